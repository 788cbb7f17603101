"""From metrics to frames; pure.

An edge node reports by exception: what it does not tell anew is as it was. So a frame of live
values holds, beside what was told at its instant, the last value of each other channel. A value
that its source calls stale, or null, is none; a bad one is kept and makes its frame suspect.
Nothing is carried into the past: values that are told late or as historical stand alone, in
frames that are stale, since they do not tell what is now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from foremend import wire
from foremend.values import Phase, Quality
from ingest.sparkplug.payload import Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from foremend.clock import Millis
    from ingest.sparkplug.channels import Introduction
    from ingest.sparkplug.payload import Metric

NEVER: Final = -(2**44)
"""An instant before any."""


class Reading(Struct, frozen=True, kw_only=True, gc=False):
    """One channel's value at one instant."""

    at: int
    """The channel's column."""
    ts_ms: Millis
    value: float | None
    suspect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One frame."""

    ts_ms: Millis
    values: tuple[float | None, ...]
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """A message's metrics, sorted."""

    live: tuple[Reading, ...]
    historical: tuple[Reading, ...]
    passed_over: int
    """Known metrics that hold no number."""
    unknown: int
    """Metrics that the birth did not introduce, or introduced with another type."""


def sort(metrics: Iterable[Metric], known: Introduction, sent_ms: Millis) -> Sorted:
    """Find each metric's channel; a metric without a time has that of its message."""
    live: list[Reading] = []
    historical: list[Reading] = []
    passed_over = unknown = 0
    for metric in metrics:
        name = _name_of(metric, known)
        column = known.columns.get(name) if name is not None else None
        if column is None:
            passed_over += name in known.passed_over
            unknown += name not in known.passed_over
        elif metric.datatype not in (0, column.datatype):
            unknown += 1
        else:
            reading = _reading(metric, column.at, column.datatype, sent_ms)
            (historical if metric.historical else live).append(reading)
    return Sorted(
        live=tuple(live),
        historical=tuple(historical),
        passed_over=passed_over,
        unknown=unknown,
    )


def _name_of(metric: Metric, known: Introduction) -> str | None:
    if metric.name is not None:
        return metric.name
    return known.names.get(metric.alias) if metric.alias is not None else None


def _reading(metric: Metric, at: int, datatype: int, sent_ms: Millis) -> Reading:
    ts_ms = sent_ms if metric.ts_ms is None else metric.ts_ms
    value = None if metric.trust is Trust.STALE else metric.number(datatype)
    return Reading(at=at, ts_ms=ts_ms, value=value, suspect=metric.trust is Trust.BAD)


@dataclass(slots=True, kw_only=True)
class Present:
    """What one device's channels hold now."""

    width: int
    held: list[Reading] = field(init=False)
    newest_ms: Millis = NEVER

    def __post_init__(self) -> None:
        self.held = [Reading(at=at, ts_ms=NEVER, value=None) for at in range(self.width)]

    def born(self, readings: Iterable[Reading], at_ms: Millis) -> Row:
        """Take the values of a birth: whatever their own times, they hold at the birth's."""
        for reading in readings:
            self.held[reading.at] = reading
        self.newest_ms = at_ms
        return _row(at_ms, self.held)

    def take(self, readings: Iterable[Reading]) -> tuple[list[Row], list[Reading]]:
        """Take live values.

        Gives one frame for each of their instants, the earliest first, and what was told too late
        for one: that is from before the newest frame.
        """
        rows: list[Row] = []
        late: list[Reading] = []
        for ts_ms, told in by_instant(readings):
            for reading in told:
                if ts_ms >= self.held[reading.at].ts_ms:
                    self.held[reading.at] = reading
            if ts_ms < self.newest_ms:
                late += told
            else:
                self.newest_ms = ts_ms
                rows.append(_row(ts_ms, self.held))
        return rows, late


def by_instant(readings: Iterable[Reading]) -> Iterable[tuple[Millis, list[Reading]]]:
    """Group readings by their instant, the earliest first."""
    instant = attrgetter("ts_ms")
    for ts_ms, told in groupby(sorted(readings, key=instant), key=instant):
        yield ts_ms, list(told)


def alone(ts_ms: Millis, told: Iterable[Reading], width: int) -> Row:
    """Give a frame of the past, which holds nothing but what was told for its instant."""
    values: list[float | None] = [None] * width
    for reading in told:
        values[reading.at] = reading.value
    return Row(ts_ms=ts_ms, values=tuple(values), quality=Quality.STALE)


def _row(ts_ms: Millis, readings: Iterable[Reading]) -> Row:
    present = [r for r in readings if r.value is not None]
    values = tuple(r.value for r in readings)
    if not present:
        return Row(ts_ms=ts_ms, values=values, quality=Quality.STALE)
    suspect = any(r.suspect for r in present)
    return Row(ts_ms=ts_ms, values=values, quality=Quality.SUSPECT if suspect else Quality.GOOD)


def silence(ts_ms: Millis, width: int) -> Row:
    """Give the frame that says that nothing is known any more."""
    return Row(ts_ms=ts_ms, values=(None,) * width, quality=Quality.STALE)


def frames(rows: Sequence[Row]) -> wire.Frames:
    """Put rows, at least one and in the order of their instants, into columns."""
    t0_ms = rows[0].ts_ms
    return wire.Frames(
        t0_ms=t0_ms,
        offset_ms=[row.ts_ms - t0_ms for row in rows],
        phase=[Phase.UNKNOWN] * len(rows),
        quality=[int(row.quality) for row in rows],
        values=[list(column) for column in zip(*(row.values for row in rows), strict=True)],
    )
