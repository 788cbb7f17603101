"""Which rows are late, so that they travel in a transaction of their own; pure.

Old sections are compressed and dropped by housekeeping, and whoever holds one makes its writers
wait. Live rows must never wait with them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from foremend.clock import DAY_MS

if TYPE_CHECKING:
    from foremend.clock import Millis

LATE_AFTER_MS: Final = 2 * DAY_MS
"""Behind the timeline's own clock; an outage of a night or two is still live."""
SECTION_MS: Final = 7 * DAY_MS
SECTION_ORIGIN_MS: Final = 4 * DAY_MS
"""1970-01-05, a Monday: sections of frames begin on Mondays, 00:00 UTC."""


class Lane(Enum):
    """Which transactions a message travels in."""

    LIVE = "live"
    LATE = "late"


def live_since(clock_ms: Millis, *, wary: bool) -> Millis:
    """Give the instant from which on frames are live on a timeline that stands at `clock_ms`.

    `wary`, once a live commit had to wait for a section: nothing but the present one is live.

    >>> live_since(SECTION_ORIGIN_MS + 3 * DAY_MS, wary=True) == SECTION_ORIGIN_MS
    True
    """
    if wary:
        return clock_ms - (clock_ms - SECTION_ORIGIN_MS) % SECTION_MS
    return clock_ms - LATE_AFTER_MS
