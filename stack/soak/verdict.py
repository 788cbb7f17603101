"""Holds what was stored of a soak against what its witnesses saw; pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foremend.values import SOURCE_BACK as BACK
from foremend.values import SOURCE_LOST as LOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foremend.clock import Millis

CHANNELS: Final = ("hotend_temp", "hotend_target", "bed_temp", "bed_target")
"""Whose values are held against what OctoPrint told."""
ROUNDING: Final = 0.005
SLACK_MS: Final = 2_500
"""OctoPrint tells in whole seconds when it measured, and each listener a little later."""
NOTICED_MS: Final = 10_000
"""How long after a cable was plugged in again its loss may be told of at the latest."""

Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What OctoPrint told somebody else than the agent, in the order of CHANNELS."""

    at_ms: Millis
    """When it measured, by its own clock."""
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One frame; its values begin with those of CHANNELS."""

    boot: str
    seq: int
    ts_ms: Millis
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A time without a cable; `noticed` says that the agent must tell of it."""

    began_ms: Millis
    ended_ms: Millis
    noticed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the database holds."""

    rows: tuple[Row, ...]
    happened: tuple[tuple[str, Millis], ...]
    """Code and instant of each event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a soak came to; all but `reconnects` and `untold` count frames."""

    frames: int
    acked: int
    lost: int
    """Acknowledged, and not stored as they were sent."""
    duplicates: int
    invented: int
    """Stored with a value that OctoPrint did not tell at that time."""
    untold: int
    """Pulled cables of which no event tells."""
    reconnects: int


def judge(
    found: Found,
    acked: Mapping[tuple[str, int], Sequence[Row]],
    told: Sequence[Entry],
    pulled: Sequence[Pulled],
    *,
    stale_after_ms: Millis,
) -> Verdict:
    """Compare; `told` is in the order of its instants."""
    stored = Counter(found.rows)
    sent = [row for rows in acked.values() for row in rows]
    lost_ms = [ts_ms for code, ts_ms in found.happened if code == LOST]
    return Verdict(
        frames=len(found.rows),
        acked=len(sent),
        lost=sum(row not in stored for row in sent),
        duplicates=len(found.rows) - len({row.ts_ms for row in found.rows}),
        invented=sum(not _was_told(row, told, stale_after_ms) for row in found.rows),
        untold=sum(one.noticed and not _is_told(one, lost_ms) for one in pulled),
        reconnects=sum(code == BACK for code, _ in found.happened),
    )


def _is_told(one: Pulled, lost_ms: Sequence[Millis]) -> bool:
    return any(one.began_ms - SLACK_MS <= at_ms <= one.ended_ms + NOTICED_MS for at_ms in lost_ms)


def _was_told(row: Row, told: Sequence[Entry], stale_after_ms: Millis) -> bool:
    """Whether each value was told within the time for which it may be believed."""
    first = bisect_left(told, row.ts_ms - stale_after_ms - SLACK_MS, key=lambda one: one.at_ms)
    end = bisect_right(told, row.ts_ms + SLACK_MS, key=lambda one: one.at_ms)
    return all(
        value is None or any(_is(value, one.values[place]) for one in told[first:end])
        for place, value in enumerate(row.values[: len(CHANNELS)])
    )


def _is(value: float, other: float | None) -> bool:
    return other is not None and abs(value - other) <= ROUNDING
