"""From which level a chart is read, and on what grid; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foremend.clock import Millis

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
MOST_ROWS: Final = 12_000
"""Rows of ten channels that the database sums up in well under 100 ms (docs/adr/0013)."""


class Level(Enum):
    """How fine the rows are that a chart is made of."""

    RAW = "raw"
    MINUTE = "minute"
    HOUR = "hour"

    @property
    def width_ms(self) -> Millis:
        """The length of one row; 1 ms for frames, as times are whole milliseconds."""
        return {Level.RAW: 1, Level.MINUTE: MINUTE_MS, Level.HOUR: HOUR_MS}[self]


class Reason(Enum):
    """Why a level was chosen."""

    FEW_FRAMES = "the frames themselves are few enough"
    MANY_FRAMES = "there are too many frames, and few enough minutes"
    MANY_MINUTES = "there are too many minutes as well"
    FRAMES_DROPPED = "some of its frames may have been dropped by retention"
    MINUTES_DROPPED = "some of its minutes may have been dropped by retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A level and the reason for it."""

    level: Level
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one device's readings before a window of them is read."""

    frames: int
    """In the window; counted to one past MOST_ROWS and no further."""
    minutes_end: Millis | None = None
    """Where the newest minute begins that was rolled up."""
    hours_end: Millis | None = None
    frames_from: Millis | None = None
    """What is earlier may have been dropped; None where nothing was."""
    minutes_from: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a window is read: hours before `hours_to`, then minutes before `minutes_to`, then frames.

    So a chart shows the newest readings whether or not they are rolled up yet.
    """

    start: Millis
    end: Millis
    """Exclusive; both are widened to whole rows of the level."""
    slot_ms: Millis
    hours_to: Millis
    minutes_to: Millis


def choose_level(start: Millis, end: Millis, known: Known) -> Choice:
    """Give the finest level of which [start, end) holds few enough rows, and all that there were.

    >>> choose_level(0, 30 * 24 * HOUR_MS, Known(frames=12_001)).level
    <Level.HOUR: 'hour'>
    """
    if known.minutes_from is not None and start < known.minutes_from:
        return Choice(level=Level.HOUR, reason=Reason.MINUTES_DROPPED)
    if end - start > MOST_ROWS * MINUTE_MS and known.frames > MOST_ROWS:
        return Choice(level=Level.HOUR, reason=Reason.MANY_MINUTES)
    if known.frames_from is not None and start < known.frames_from:
        few = end - start <= MOST_ROWS * MINUTE_MS
        return Choice(level=Level.MINUTE if few else Level.HOUR, reason=Reason.FRAMES_DROPPED)
    if known.frames > MOST_ROWS:
        return Choice(level=Level.MINUTE, reason=Reason.MANY_FRAMES)
    return Choice(level=Level.RAW, reason=Reason.FEW_FRAMES)


def plan(start: Millis, end: Millis, points: int, level: Level, known: Known) -> Plan:
    """Lay at most `points` slots of whole rows over a window, and say what is read from where."""
    width = level.width_ms
    start, end = start // width * width, -(-end // width) * width
    rows = (end - start) // width

    slot = -(-rows // points) * width
    hours = _reached(known.hours_end, HOUR_MS, known.minutes_from)
    minutes = _reached(known.minutes_end, MINUTE_MS, known.frames_from)
    hours_to = _within(start, hours, end) if level is Level.HOUR else start
    minutes_to = _within(hours_to, minutes, end) if level is not Level.RAW else start
    return Plan(start=start, end=end, slot_ms=slot, hours_to=hours_to, minutes_to=minutes_to)


def _reached(newest: Millis | None, width: Millis, finer_from: Millis | None) -> Millis | None:
    """Give up to where rollups are read; the newest row is still growing, so finer ones replace it.

    Unless those are gone: then it is all that is left.
    """
    if newest is None:
        return None
    gone = finer_from is not None and newest < finer_from
    return newest + width if gone else newest


def _within(low: Millis, value: Millis | None, high: Millis) -> Millis:
    return low if value is None else min(max(low, value), high)
