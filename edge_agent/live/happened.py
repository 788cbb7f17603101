"""What happened on a device and waits to be taken in: the newest, and how much went before it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from edge_agent.source import Happening
from foremend.values import GAP

if TYPE_CHECKING:
    from foremend.clock import Millis
    from foremend.wire import Details

MOST: Final = 1000
"""That may wait."""
NOT_TAKEN_IN: Final = "not_taken_in"
"""Why: more happened than was taken in."""


def let_go(events: int, ts_ms: Millis) -> Happening:
    """Tell that so many happenings, the last of them at `ts_ms`, will never be told themselves."""
    details: Details = {"reason": NOT_TAKEN_IN, "events": events}
    return Happening(ts_ms=ts_ms, code=GAP, severity="warning", details=details)


class Happened:
    """Keeps the newest of what nobody has taken yet.

    >>> happened.add(Happening(ts_ms=0, code="E1"))
    >>> happened.take()  # a gap first, where some found no room
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: deque[Happening] = deque()
        self._gone = 0
        self._last_gone_ms = 0

    def add(self, happening: Happening) -> None:
        """Keep one more; the oldest goes where there is no room."""
        self._waiting.append(happening)
        if len(self._waiting) > self._most:
            self._gone += 1
            self._last_gone_ms = self._waiting.popleft().ts_ms

    def take(self) -> list[Happening]:
        """Give what waits, in its order, and forget it."""
        gap = [let_go(self._gone, self._last_gone_ms)] if self._gone else []
        taken = [*gap, *self._waiting]
        self._waiting.clear()
        self._gone = 0
        return taken
