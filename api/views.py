"""How lists are laid out on the console's pages: board columns, sparklines, time axes; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.judgement import FaultOutcome
from foremend.clock import HOUR_MS, to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from api.judgement import Comparison, JudgedFault
    from api.work_orders import State, WorkOrder
    from foremend.clock import Millis

COLUMNS: Final[tuple[tuple[str, tuple[State, ...]], ...]] = (
    ("Proposed", ("proposed", "remote_fix", "qualified", "offered")),
    ("Accepted", ("accepted", "parts_pending")),
    ("In progress", ("in_progress",)),
    ("Verifying", ("verifying",)),
    ("Held", ("on_hold", "cannot_complete")),
    ("Over", ("closed", "merged", "cancelled")),
)
SPARK_WIDTH: Final = 100
SPARK_HEIGHT: Final = 24
SPARK_TOP: Final = 12.0
"""The score that a sparkline's height stands for at least: a calm device draws a calm line."""

SparkPoint = tuple[int, float, bool]
"""Slot from 1, largest score, anomalous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the board."""

    title: str
    orders: tuple[WorkOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A sparkline in a box of 100 by 24: the line, the area below it, and alarms as (x, width)."""

    line: str
    area: str
    alarms: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultBar:
    """One fault on the comparison's time axis; places in per cent of its width."""

    judged: JudgedFault
    begin: float
    width: float
    """From the onset to the failure, or to the present while it develops."""
    due: float | None
    failed: float | None
    opened: float | None
    repaired: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A span of time and its marks, each (place in per cent, ms)."""

    begin_ms: Millis
    end_ms: Millis
    ticks: tuple[tuple[float, Millis], ...]

    def place(self, at_ms: Millis) -> float:
        """Give a moment's place in per cent, held to the axis."""
        share = (at_ms - self.begin_ms) / max(self.end_ms - self.begin_ms, 1)
        return round(100 * min(max(share, 0.0), 1.0), 2)


def board(orders: Iterable[WorkOrder]) -> list[Column]:
    """Sort orders into the board's columns, each keeping its order."""
    listed = list(orders)
    return [
        Column(title=title, orders=tuple(o for o in listed if o.state in states))
        for title, states in COLUMNS
    ]


def spark(points: Sequence[SparkPoint], slots: int) -> Spark | None:
    """Draw scores as a sparkline; None where fewer than two are known."""
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    top = max(SPARK_TOP, *(score for _, score, _ in points))
    step = SPARK_WIDTH / max(slots - 1, 1)
    places = [
        (round((slot - 1) * step, 2), round(SPARK_HEIGHT * (1 - max(score, 0.0) / top), 2))
        for slot, score, _ in points
    ]
    line = "M" + "L".join(f"{x} {y}" for x, y in places)
    area = f"{line}L{places[-1][0]} {SPARK_HEIGHT}L{places[0][0]} {SPARK_HEIGHT}Z"
    alarms = tuple(
        (round(max(x - step / 2, 0.0), 2), round(step, 2))
        for (x, _), (_, _, anomalous) in zip(places, points, strict=True)
        if anomalous
    )
    return Spark(line=line, area=area, alarms=alarms)


def axis(begin_ms: Millis, end_ms: Millis, *, most: int = 7) -> Axis:
    """Give an axis whose marks stand at whole hours, days or weeks, at most `most` + 1 of them."""
    span = max(end_ms - begin_ms, HOUR_MS)
    steps = (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688, 8766)
    step = next((h * HOUR_MS for h in steps if span / (h * HOUR_MS) <= most), span)
    first = -(-begin_ms // step) * step
    bare = Axis(begin_ms=begin_ms, end_ms=begin_ms + span, ticks=())
    marks = range(first, bare.end_ms + 1, step)
    ticks = tuple((bare.place(ms), ms) for ms in marks)
    return Axis(begin_ms=bare.begin_ms, end_ms=bare.end_ms, ticks=ticks)


def fault_axis(comparison: Comparison, now: datetime) -> Axis:
    """Give the axis on which all of a comparison's faults and orders find a place."""
    now_ms = to_ms(now)
    onsets = [judged.fault.onset_ms for judged in comparison.faults]
    opened = [judged.order.opened_ms for judged in comparison.orders]
    ends = [
        judged.fault.due_ms
        for judged in comparison.faults
        if judged.outcome in {FaultOutcome.FORESEEN, FaultOutcome.DEVELOPING}
    ]
    begin = min([*onsets, *opened, now_ms])
    return axis(begin, max([*ends, now_ms]))


def fault_bars(comparison: Comparison, along: Axis, now: datetime) -> list[FaultBar]:
    """Lay every fault along the axis, the newest onset first."""
    now_ms = to_ms(now)
    return [_fault_bar(judged, along, now_ms) for judged in reversed(comparison.faults)]


def _fault_bar(judged: JudgedFault, along: Axis, now_ms: Millis) -> FaultBar:
    fault, order = judged.fault, judged.order
    ends = [ms for ms in (fault.failed_ms, fault.repaired_ms) if ms is not None]
    begin = along.place(fault.onset_ms)
    end = along.place(min(ends) if ends else now_ms)
    return FaultBar(
        judged=judged,
        begin=begin,
        width=round(max(end - begin, 0.4), 2),
        due=along.place(fault.due_ms) if fault.failed_ms is None else None,
        failed=_placed(along, fault.failed_ms),
        opened=_placed(along, order.opened_ms if order else None),
        repaired=_placed(along, fault.repaired_ms),
    )


def _placed(along: Axis, at_ms: Millis | None) -> float | None:
    return None if at_ms is None else along.place(at_ms)
