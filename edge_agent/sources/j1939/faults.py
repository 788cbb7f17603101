"""Fault codes of SAE J1939-73 (DM1, DM2) as events; pure.

Each sender tells all its active faults at once: one that is missing from the next has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from edge_agent.source import Happening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.sources.j1939.frames import Parameters
    from foremend.clock import Millis
    from foremend.wire import Scalar

DM1: Final = 65226
"""Active faults, each second and at each change."""
DM2: Final = 65227
"""Faults that were active before, on request."""
_COUNT_UNKNOWN: Final = 127
_NONE: Final = {(0, 0), (0x7FFFF, 31)}
"""SPN and FMI of a code that stands for none."""
_ON: Final = 1

Severity = Literal["info", "warning", "critical"]
LAMPS: Final[tuple[tuple[str, int, Severity], ...]] = (
    ("red_stop", 4, "critical"),
    ("amber_warning", 2, "warning"),
    ("malfunction", 6, "warning"),
    ("protect", 0, "warning"),
)
"""Name, place in the first byte, and gravity, the gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One diagnostic trouble code, in the conversion of version 4."""

    spn: int
    """Which parameter, 0 to 524,287."""
    fmi: int
    """In which way, 0 to 31."""
    count: int | None
    """How often so far, 0 to 126."""
    old: bool
    """Whether it claims one of the conversions that are no longer used: then `spn` may be wrong."""


def faults(payload: bytes) -> list[Fault]:
    """Read the codes behind the two bytes of lamps; padding and an incomplete one are left out."""
    codes = (payload[at : at + 4] for at in range(2, len(payload) - 3, 4))
    return [fault for code in codes if (fault := _fault(code)) is not None]


def _fault(code: bytes) -> Fault | None:
    spn = code[0] | code[1] << 8 | (code[2] & 0xE0) << 11
    fmi, count = code[2] & 0x1F, code[3] & 0x7F
    if (spn, fmi) in _NONE:
        return None
    known = None if count == _COUNT_UNKNOWN else count
    return Fault(spn=spn, fmi=fmi, count=known, old=bool(code[3] & 0x80))


def lamp(payload: bytes) -> tuple[str, Severity]:
    """Give the gravest lamp that is lit, and how grave that is."""
    for name, place, severity in LAMPS:
        if payload[0] >> place & 3 == _ON:
            return name, severity
    return "none", "info"


@dataclass(slots=True)
class Faults:
    """Knows which faults each sender has told last."""

    _told: dict[tuple[int, int], dict[tuple[int, int], Fault]] = field(default_factory=dict)
    """By parameter group and sender, by SPN and FMI."""

    def standing(self) -> dict[str, str]:
        """Spell what each sender has told last: `{"active@17": "spn110_fmi0 x3"}`."""
        kinds = {DM1: "active", DM2: "stored"}
        return {
            f"{kinds[pgn]}@{source}": ", ".join(_spelt(fault) for fault in told.values())
            for (pgn, source), told in sorted(self._told.items())
            if told
        }

    def hear(self, heard: Parameters, now_ms: Millis) -> Iterator[Happening]:
        """Tell what is new in a DM1 or DM2, and what has ended."""
        if len(heard.payload) < 6:  # noqa: PLR2004 - lamps and one code
            return
        place = heard.pgn, heard.source
        before = self._told.get(place, {})
        now = {(fault.spn, fault.fmi): fault for fault in faults(heard.payload)}
        self._told[place] = now
        name, severity = lamp(heard.payload)
        for key in (key for key in now if key not in before):
            details = _details(now[key], heard.source, name)
            if heard.pgn == DM1:
                yield Happening(
                    ts_ms=now_ms, code=_code(now[key], ""), severity=severity, details=details
                )
            else:
                yield Happening(ts_ms=now_ms, code=_code(now[key], "_stored"), details=details)
        ended = "_cleared" if heard.pgn == DM1 else "_stored_cleared"
        for key in (key for key in before if key not in now):
            details = _details(before[key], heard.source, name)
            yield Happening(ts_ms=now_ms, code=_code(before[key], ended), details=details)


def _code(fault: Fault, suffix: str) -> str:
    return f"spn{fault.spn}_fmi{fault.fmi}{suffix}"


def _spelt(fault: Fault) -> str:
    return _code(fault, "" if fault.count is None else f" x{fault.count}")


def _details(fault: Fault, source: int, name: str) -> dict[str, Scalar]:
    details: dict[str, Scalar] = {
        "spn": fault.spn,
        "fmi": fault.fmi,
        "lamp": name,
        "source": source,
    }
    if fault.count is not None:
        details["oc"] = fault.count
    if fault.old:
        details["cm"] = 1
    return details
