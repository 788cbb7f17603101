"""Errors of a firmware as happenings, each once in a while; pure.

One comes as a line and as an event of a host, and with some firmwares with every line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_agent.source import Happening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.sources.marlin.words import Fault
    from foremend.clock import Millis
    from foremend.wire import Details

SAID_MS: Final = 10_000
LONGEST: Final = 256
"""Characters of the firmware's own words that are told on."""


class Complaints:
    """What one connection has told of already.

    >>> complaints.of(fault_of("Thermal Runaway"), "Thermal Runaway", now_ms=0)
    """

    def __init__(self) -> None:
        self._said_ms: dict[str, Millis] = {}

    def of(
        self, fault: Fault, text: str, now_ms: Millis, details: Details | None = None
    ) -> Iterator[Happening]:
        """Tell of it, unless its code was told within SAID_MS."""
        if now_ms - self._said_ms.get(fault.code, now_ms - SAID_MS) < SAID_MS:
            return
        self._said_ms[fault.code] = now_ms
        yield Happening(
            ts_ms=now_ms,
            code=fault.code,
            severity=fault.severity,
            component=fault.component,
            details={**(details or {}), "text": text[:LONGEST]},
        )
