"""Vibration zones of ISO 10816/20816 as versioned configuration, for machines above 15 kW only."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from models.signatures.library import Machine

UNKNOWN: Final = (float("nan"),) * 3
SUPPORTS: Final = ("rigid", "flexible")


class Zone(Enum):
    """How severe vibration is, by ISO 10816-1."""

    A = "a"
    """As of machines newly put into service."""
    B = "b"
    """Acceptable for unrestricted long operation."""
    C = "c"
    """Unsatisfactory for long operation; run until there is an opportunity to mend it."""
    D = "d"
    """Severe enough to do damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Zone limits A/B, B/C and C/D of one group and support, mm/s RMS."""

    group: int
    above_kw: float
    support: str
    ab: float
    bc: float
    cd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneTable:
    """One version of the limits."""

    version: int
    source: str
    least_kw: float
    limits: tuple[Limits, ...]


@cache
def zone_table() -> ZoneTable:
    """Read the version that ships."""
    raw = tomllib.loads((files("models.signatures") / "data" / "zones.toml").read_text("utf-8"))
    limits = tuple(Limits(**row) for row in raw["limits"])
    return ZoneTable(
        version=raw["version"], source=raw["source"], least_kw=raw["least_kw"], limits=limits
    )


def limits_for(machine: Machine, table: ZoneTable | None = None) -> Limits | None:
    """Give a machine's limits; None where the standard does not speak of such a machine."""
    known = table or zone_table()
    if machine.rated_kw <= known.least_kw:
        return None
    fitting = [
        one
        for one in known.limits
        if one.support == machine.support and machine.rated_kw > one.above_kw
    ]
    return max(fitting, key=lambda one: one.above_kw, default=None)


def zone_of(velocity: float, limits: Limits) -> Zone:
    """Give the zone of a vibration velocity, mm/s RMS.

    >>> group_2 = Limits(group=2, above_kw=15.0, support="rigid", ab=1.4, bc=2.8, cd=4.5)
    >>> zone_of(3.0, group_2)
    <Zone.C: 'c'>
    """
    for zone, limit in ((Zone.A, limits.ab), (Zone.B, limits.bc), (Zone.C, limits.cd)):
        if velocity <= limit:
            return zone
    return Zone.D
