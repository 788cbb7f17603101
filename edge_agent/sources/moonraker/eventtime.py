"""How old what Klipper tells is, by its own clock; pure.

Klipper dates by `eventtime`, seconds of its host's monotonic clock: no instant that we know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foremend.clock import Millis

WINDOW_MS: Final = 30_000
"""The quickest message of the last one to two of these is taken for one without delay."""
_BACK_S: Final = 1.0
"""A clock that goes back by more began anew: its host was started."""


@dataclass(slots=True)
class EventClock:
    """Ages on our steady clock, by the smallest difference between both that was seen.

    Clocks of two hosts drift, and one that sleeps falls behind: old differences are forgotten.

    >>> clock = EventClock()
    >>> clock.age_ms(100.0, 5_000), clock.age_ms(101.0, 6_250)
    (0, 250)
    """

    _least: Millis | None = None
    _before: Millis | None = None
    """The smallest difference of this window, and of the one before."""
    _since_ms: Millis = 0
    _last_s: float = float("-inf")

    def age_ms(self, event_s: float, now_ms: Millis) -> Millis:
        """Tell how long ago `event_s` was, heard at `now_ms` on our steady clock."""
        if event_s < self._last_s - _BACK_S:
            self._least = self._before = None
        self._last_s = event_s
        if now_ms - self._since_ms >= WINDOW_MS:
            self._before, self._least, self._since_ms = self._least, None, now_ms
        offset = now_ms - round(1000 * event_s)
        self._least = offset if self._least is None else min(self._least, offset)
        known = self._least if self._before is None else min(self._least, self._before)
        return offset - known
