"""Frames and events of many devices in turns, so that each turn is one vectorised call a lane."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from models.scoring.entries import FrameRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from models.scoring.entries import Batch, EventRow

    Ints = NDArray[np.int64]


def turns(
    batches: Sequence[Batch],
) -> Iterable[tuple[list[FrameRows], list[EventRow]]]:
    """Give frames and events in turns such that each device's own order is kept."""
    events = [(b, e) for b, batch in enumerate(batches) for e in batch.events]
    by_device = {
        device: sorted((b, e.rank) for b, e in mine)
        for device, mine in groupby(
            sorted(events, key=lambda one: one[1].device), key=lambda one: one[1].device
        )
    }
    many = 1 + max((len(marks) for marks in by_device.values()), default=0)
    placed = [
        (_turn_of_frames(b, rows, by_device), rows)
        for b, batch in enumerate(batches)
        for rows in batch.frames
    ]
    in_turn = {(e.device, b, e.rank): by_device[e.device].index((b, e.rank)) for b, e in events}
    for turn in range(many):
        frames = [
            chosen_rows(rows, which == turn) for which, rows in placed if (which == turn).any()
        ]
        now = [e for b, e in events if in_turn[e.device, b, e.rank] == turn]
        yield _joined(frames), sorted(now, key=lambda e: e.device)


def _turn_of_frames(
    batch: int, rows: FrameRows, by_device: dict[int, list[tuple[int, int]]]
) -> Ints:
    """Give, per frame, how many of its device's events come before it."""
    turn = np.zeros(len(rows.device), dtype=np.int64)
    for device, marks in by_device.items():
        mine = rows.device == device
        for event_batch, rank in marks:
            turn[mine] += event_batch < batch or ((event_batch == batch) & (rows.rank[mine] > rank))
    return turn


def _joined(parts: Sequence[FrameRows]) -> list[FrameRows]:
    """Put rows of equal width together, in their order."""
    by_width: dict[int, list[FrameRows]] = {}
    for part in parts:
        by_width.setdefault(part.values.shape[1], []).append(part)
    return [_concatenated(group) for group in by_width.values()]


def _concatenated(group: list[FrameRows]) -> FrameRows:
    if len(group) == 1:
        return group[0]
    return FrameRows(
        **{
            name: np.concatenate([getattr(part, name) for part in group])
            for name in FrameRows.__slots__
        }
    )


def chosen_rows(rows: FrameRows, mine: NDArray[np.bool_]) -> FrameRows:
    """Give some of the rows."""
    if mine.all():
        return rows
    return FrameRows(**{name: getattr(rows, name)[mine] for name in FrameRows.__slots__})
