"""Which devices a history is of, and what they tell: the layout that training reads it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foremend.db import Queries
from foremend.errors import NotFound
from foremend.values import NO_FAULTS, PART_REPLACED
from models.features import FeatureSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from foremend.db import Connection

    Ints = NDArray[np.int64]

MOST_CODES: Final = 64
"""Error codes that are told apart; rarer ones count as one."""
SQL: Final = Queries.load("models", "stored.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which history: of one family on one timeline, in (since, until]."""

    timeline: str
    family: str
    since: datetime
    until: datetime
    live: bool
    """The timeline follows the wall's clock, so that arrival times can be held against `until`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The devices of a window and what they tell; `ids[n]` and `names[n]` in order of names."""

    window: Window
    ids: tuple[int, ...]
    names: tuple[str, ...]
    spec: FeatureSpec
    columns: dict[int, Ints]
    """Per list of channels, the place of each of the spec's channels; past its end where absent."""
    channels: dict[int, list[dict[str, Any]]]
    """Per list of channels, the list as births told it."""


def families(connection: Connection, timeline: str) -> list[str]:
    """Name the families that have devices on a timeline."""
    return [name for (name,) in connection.execute(SQL["families"], {"timeline": timeline})]


def clock_of(connection: Connection, timeline: str) -> tuple[datetime, bool]:
    """Give a timeline's present, and whether it is the wall's.

    Raises:
        NotFound: there is no such timeline, or nothing ever happened on it.
    """
    row = connection.execute(SQL["now"], {"timeline": timeline}).fetchone()
    if row is None or row[0] is None:
        raise NotFound(f"nothing is known of a timeline {timeline!r}")
    return row[0], row[1] == "live"


def read_cohort(connection: Connection, window: Window) -> Cohort:
    """Read which devices a window has, and what they tell.

    Raises:
        NotFound: there is no such device.
    """
    asked = {"timeline": window.timeline, "family": window.family}
    found = connection.execute(SQL["devices"], asked).fetchall()
    if not found:
        raise NotFound(f"there is no device of family {window.family!r} on {window.timeline!r}")
    ids, names = zip(*found, strict=True)
    schemas: dict[int, list[dict[str, Any]]] = dict(
        connection.execute(SQL["schemas"], {"devices": list(ids)}).fetchall()
    )
    parts = tuple(p for (p,) in connection.execute(SQL["components"], {"devices": list(ids)}))
    codes = connection.execute(SQL["codes"], terms(window, ids) | {"most": MOST_CODES})
    spec = _spec(window.family, schemas, parts, sorted(code for (code,) in codes))
    return Cohort(
        window=window,
        ids=ids,
        names=names,
        spec=spec,
        columns={number: _places(spec, told) for number, told in schemas.items()},
        channels=schemas,
    )


def _spec(
    family: str, schemas: dict[int, list[dict[str, Any]]], parts: tuple[str, ...], codes: list[str]
) -> FeatureSpec:
    """Lay out the features: every channel that any device tells, the newest word on each."""
    told = {c["name"]: c.get("component") for _, listed in sorted(schemas.items()) for c in listed}
    places = {name: i for i, name in enumerate(parts)}
    return FeatureSpec(
        family=family,
        channels=tuple(told),
        components=parts,
        codes=tuple(codes),
        channel_component=tuple(places.get(part or "", -1) for part in told.values()),
    )


def _places(spec: FeatureSpec, told: list[dict[str, Any]]) -> Ints:
    places = {c["name"]: i for i, c in enumerate(told)}
    return np.array([places.get(name, len(told)) for name in spec.channels], dtype=np.int64)


def terms(window: Window, devices: Sequence[int]) -> dict[str, Any]:
    """Give what every statement about some devices of a window is asked with."""
    return {
        "devices": list(devices),
        "since": window.since,
        "until": window.until,
        "wall": window.until if window.live else None,
        "part_replaced": PART_REPLACED,
        "no_faults": sorted(NO_FAULTS),
    }
