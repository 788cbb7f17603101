"""Which rows are late, so that they travel in a transaction of their own; pure.

Old sections are compressed and dropped by housekeeping, and whoever holds one makes its writers
wait. Live rows must never wait with them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from foremend.clock import DAY_MS
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.clock import Millis

LATE_AFTER_MS: Final = 2 * DAY_MS
"""Behind the timeline's own clock; an outage of a night or two is still live."""
PLAYED_LATE_AFTER_MS: Final = 28 * DAY_MS
"""The same where a clock runs as fast as it may: devices of a replay drift days apart for a while,
and what is played fast is stored fast only in large transactions."""
SECTION_MS: Final = 7 * DAY_MS
SECTION_ORIGIN_MS: Final = 4 * DAY_MS
"""1970-01-05, a Monday: sections of frames begin on Mondays, 00:00 UTC."""


class SectionLocked(Unavailable):
    """Somebody holds an old section of frames; what lies in it must wait, and nothing else."""


class Lane(Enum):
    """Which messages a store takes, and in which order it locks."""

    ALL = "all"
    """Everything as it comes."""
    LIVE = "live"
    """What is late is given back."""
    LATE = "late"
    """Everything; old sections are waited for before anything is locked that live rows need."""


def live_since(clock_ms: Millis, *, wary: bool, played: bool = False) -> Millis:
    """Give the instant from which on frames are live on a timeline that stands at `clock_ms`.

    `wary`, once a live commit had to wait for a section: nothing but the present one is live.
    `played`, where the timeline does not follow the wall's clock.

    >>> live_since(SECTION_ORIGIN_MS + 3 * DAY_MS, wary=True) == SECTION_ORIGIN_MS
    True
    """
    if wary:
        return clock_ms - (clock_ms - SECTION_ORIGIN_MS) % SECTION_MS
    return clock_ms - (PLAYED_LATE_AFTER_MS if played else LATE_AFTER_MS)


def sections(starts: Sequence[Millis], spans: Sequence[Millis]) -> list[tuple[Millis, Millis]]:
    """Give runs of touching sections, as the instants of their first and last, for stretches.

    >>> week = SECTION_MS
    >>> sections([SECTION_ORIGIN_MS, SECTION_ORIGIN_MS + 9 * week], [week, 0])
    [(345600000, 950400000), (5788800000, 5788800000)]
    """
    first, last = section(min(starts)), section(max(starts) + max(spans))
    if first == last:
        # The usual case, and the one that is quick.
        return [(_begin(first), _begin(first))]
    numbers: set[int] = set()
    for start, span in zip(starts, spans, strict=True):
        numbers.update(range(section(start), section(start + span) + 1))
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return [(_begin(first), _begin(last)) for first, last in runs]


def _begin(number: int) -> Millis:
    return SECTION_ORIGIN_MS + number * SECTION_MS


def section(at_ms: Millis) -> int:
    """Number the section in which a frame lies."""
    return (at_ms - SECTION_ORIGIN_MS) // SECTION_MS
