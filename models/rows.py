"""Feature rows of a history, made boundary by boundary as the online state makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.features import FeatureState, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from models.features import FeatureSpec
    from models.history import Frames, History, Marks

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Feed:
    take: Callable[[Ints], Rows]
    ts_ms: Ints


class RowMaker:
    """Takes a history stretch by stretch, each later than the one before, and makes its rows.

    A stretch ends between two instants, never within one: at one instant frames go first, then
    events, then replacements.
    """

    def __init__(self, spec: FeatureSpec, devices: int, installs: Marks) -> None:
        self._state = FeatureState(spec, devices=devices)
        self._devices = devices
        self._state.observe_installs(installs.device, installs.what, installs.ts_ms)

    def take(self, frames: Frames, events: Marks, replacements: Marks) -> Rows:
        """Take a stretch; gives the rows that became due."""
        f, state = frames, self._state
        feeds = (
            _Feed(
                lambda i: state.observe_frames(f.device[i], f.ts_ms[i], f.phase[i], f.values[i]),
                f.ts_ms,
            ),
            _Feed(_taker(events, state.observe_events), events.ts_ms),
            _Feed(_taker(replacements, state.observe_replacements), replacements.ts_ms),
        )
        due = [feed.take(i) for feed, i in _in_order(feeds)]
        return Rows.joined([d for d in due if len(d)], state.spec.width)

    def finish(self, until_ms: int) -> Rows:
        """Say that all up to `until_ms` was taken; gives the rows that this makes due."""
        last = until_ms - until_ms % self._state.spec.step_ms
        return self._state.advance(np.arange(self._devices), last + 1)


def rows_of(history: History) -> Rows:
    """Return the feature rows of a history, boundary by boundary, as the online state makes them.

    At one instant frames go first, then events, then replacements.
    """
    maker = RowMaker(history.spec, len(history.devices), history.installs)
    due = maker.take(history.frames, history.events, history.replacements)
    return Rows.joined([due, maker.finish(history.until_ms)], history.spec.width)


def _taker(marks: Marks, observe: Callable[[Ints, Ints, Ints], Rows]) -> Callable[[Ints], Rows]:
    return lambda i: observe(marks.device[i], marks.ts_ms[i], marks.what[i])


def _in_order(feeds: tuple[_Feed, ...]) -> Iterator[tuple[_Feed, Ints]]:
    """Yield runs of one feed's entries, all feeds merged by time; ties go in order of feeds."""
    ts = np.concatenate([f.ts_ms for f in feeds])
    if not len(ts):
        return
    which = np.repeat(np.arange(len(feeds)), [len(f.ts_ms) for f in feeds])
    entry = np.concatenate([np.arange(len(f.ts_ms)) for f in feeds])
    order = np.argsort(ts, kind="stable")
    which, entry = which[order], entry[order]
    cuts = np.flatnonzero(np.diff(which)) + 1
    for run, kind in zip(np.split(entry, cuts), which[np.r_[0, cuts]], strict=True):
        yield feeds[kind], run
