"""What a report says: values by their field, error codes as they come and go; pure.

Fields as the community has documented them: Doridian/OpenBambuAPI mqtt.md, greghesp/ha-bambulab.
A P1 or A1 tells only what has changed; an X1 tells everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from edge_agent.live.words import Told
from edge_agent.source import Happening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.live.words import Word
    from foremend.clock import Millis

MAX_REPORT: Final = 256 * 1024
"""Bytes; a full report is some 6 KiB."""
MOST_CODES: Final = 64
"""Of the health management system that are taken at once."""
_SIGNAL: Final = "wifi_signal"
_SIGNAL_UNIT: Final = "dBm"

CANCELLED: Final = frozenset({0x0300400C, 0x0500400E})
"""Print errors, and reasons to fail, that only say that somebody cancelled the print (the maker's
lists of codes; ha-bambulab); `gcode_state` is FAILED all the same, until the next print."""
_BEGUN: Final = frozenset({"PREPARE", "RUNNING"})
STATE: Final = "state"
"""The path of `gcode_state`, or of `CANCELLED` in its place."""

Severity = Literal["info", "warning", "error", "critical"]
_SEVERITY: Final[dict[int, Severity]] = {1: "critical", 2: "error", 3: "warning", 4: "info"}
"""Of a code: the upper half of `code` (ha-bambulab, `get_HMS_severity`)."""


@dataclass(slots=True)
class Reader:
    """Reads one printer's reports in their order."""

    codes: set[str] = field(default_factory=set)
    """Of the health management system that stand now."""
    error: int = 0
    """The print error that stands now; 0 for none."""
    cancelled: bool = False
    """Whether somebody cancelled the last print."""
    state: str | None = None
    """What the printer says that it does."""

    def words(self, payload: bytes, now_ms: Millis) -> Iterator[Word]:
        """Give what one message says; nothing for what is no report."""
        report = _report(payload)
        if report is None:
            return
        status = report.get("print")
        if not isinstance(status, dict):
            # Answers to other questions: it is there.
            yield Told()
            return
        yield Told(values=_values(status) | self._state(status))
        yield from self._error(status.get("print_error"), now_ms)
        yield from self._health(status.get("hms"), now_ms)

    def _state(self, status: dict[str, Any]) -> dict[str, object]:
        """Tell what it does; a print that was cancelled has not failed."""
        told = status.get("gcode_state")
        self.state = told if isinstance(told, str) else self.state
        if self.state in _BEGUN:
            self.cancelled = False
        if {_number(status.get("print_error")), _number(status.get("fail_reason"))} & CANCELLED:
            self.cancelled = True
        if self.state is None:
            return {}
        return {STATE: "CANCELLED" if self.state == "FAILED" and self.cancelled else self.state}

    def _error(self, told: object, now_ms: Millis) -> Iterator[Word]:
        if not isinstance(told, int) or isinstance(told, bool) or told == self.error:
            return
        before, self.error = self.error, told
        if told & 2**32 - 1 in CANCELLED:
            yield Happening(ts_ms=now_ms, code="job_cancelled")
        elif told:
            yield Happening(
                ts_ms=now_ms, code=f"print_error_{told & 2**32 - 1:08X}", severity="error"
            )
        elif before & 2**32 - 1 not in CANCELLED:
            code = f"print_error_{before & 2**32 - 1:08X}_cleared"
            yield Happening(ts_ms=now_ms, code=code)

    def _health(self, told: object, now_ms: Millis) -> Iterator[Word]:
        if not isinstance(told, list):
            return
        standing = dict(filter(None, map(_health_code, told[:MOST_CODES])))
        for code in sorted(standing.keys() - self.codes):
            yield Happening(ts_ms=now_ms, code=code, severity=standing[code])
        for code in sorted(self.codes - standing.keys()):
            yield Happening(ts_ms=now_ms, code=f"{code}_cleared")
        self.codes = set(standing)


def _report(payload: bytes) -> dict[str, Any] | None:
    if len(payload) > MAX_REPORT:
        return None
    try:
        report = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _number(told: object) -> int:
    """Read a code, which is told as a number or as text; 0 where it is none."""
    try:
        return int(told) & 2**32 - 1  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return 0


def _values(status: dict[str, Any]) -> dict[str, object]:
    told: dict[str, object] = {
        name: v for name, v in status.items() if isinstance(v, str | int | float)
    }
    signal = told.get(_SIGNAL)
    if isinstance(signal, str):
        told[_SIGNAL] = signal.removesuffix(_SIGNAL_UNIT)
    return told


def _health_code(told: object) -> tuple[str, Severity] | None:
    """Spell a code as the maker's pages do.

    >>> _health_code({"attr": 0x03000100, "code": 0x00010001})
    ('HMS_0300_0100_0001_0001', 'critical')
    """
    if not isinstance(told, dict):
        return None
    attr, code = told.get("attr"), told.get("code")
    if not isinstance(attr, int) or not isinstance(code, int):
        return None
    words = (attr >> 16 & 0xFFFF, attr & 0xFFFF, code >> 16 & 0xFFFF, code & 0xFFFF)
    name = "HMS_" + "_".join(f"{word:04X}" for word in words)
    return name, _SEVERITY.get(words[2], "warning")
