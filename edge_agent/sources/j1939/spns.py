"""Suspect parameters of SAE J1939-71: where each stands in its group, and what it is; pure."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from foremend.errors import ConfigurationError

_PATH: Final = re.compile(r"spn:(?P<spn>\d{1,6})(?:@(?P<source>\d{1,3}))?")
_BYTE_BITS: Final = 8
_HIGHEST: Final = 0xFA
"""Of a value's top byte; above lie indicators, 0xFE is an error, 0xFF "not available" (J1939-71,
Table 1)."""


class Spn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One suspect parameter."""

    spn: Annotated[int, Meta(ge=1, le=0x7FFFF)]
    name: str
    pgn: Annotated[int, Meta(ge=0, le=0x3FFFF)]
    byte: Annotated[int, Meta(ge=1)]
    """The first, counted from 1."""
    bit: Annotated[int, Meta(ge=1, le=8)] = 1
    """Within that byte, counted from 1, the least significant."""
    bits: Annotated[int, Meta(ge=1, le=32)]
    scale: float = 1.0
    offset: float = 0.0
    unit: str
    requested: bool = False
    """Whether it is sent on request alone."""
    source: str = "SAE J1939-71"

    def read(self, payload: bytes) -> float | None:
        """Give its value in `unit`; None where it is in error, not available or not there."""
        first = self.byte - 1
        last = first + (self.bit - 1 + self.bits + _BYTE_BITS - 1) // _BYTE_BITS
        if last > len(payload):
            return None
        raw = int.from_bytes(payload[first:last], "little") >> self.bit - 1
        raw &= (1 << self.bits) - 1
        return raw * self.scale + self.offset if self._is_value(raw) else None

    def _is_value(self, raw: int) -> bool:
        """Whether it is no indicator: of whole bytes the top one tells, of bits the top two."""
        if self.bits % _BYTE_BITS == 0:
            return raw >> self.bits - _BYTE_BITS <= _HIGHEST
        return self.bits == 1 or raw < (1 << self.bits) - 2


class _Shipped(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: str
    spn: tuple[Spn, ...]


@cache
def shipped() -> dict[int, Spn]:
    """Give the parameters that come with the agent, by number."""
    file = resources.files("edge_agent.sources.j1939") / "spns.toml"
    return {spn.spn: spn for spn in msgspec.toml.decode(file.read_bytes(), type=_Shipped).spn}


def wanted(path: str, known: dict[int, Spn]) -> tuple[Spn, int | None]:
    """Read a path, `spn:190` or, of one sender alone, `spn:190@0`.

    Raises:
        ConfigurationError: it is none, or the parameter is not known.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise ConfigurationError(f"{path!r} is no spn:NUMBER or spn:NUMBER@ADDRESS")
    spn = known.get(int(found["spn"]))
    if spn is None:
        raise ConfigurationError(f"{path!r}: tell what it is under [[source.spns]]")
    return spn, None if found["source"] is None else int(found["source"])
