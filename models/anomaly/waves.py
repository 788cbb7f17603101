"""Rows of many devices as waves: each wave holds at most one row of a device, in its order."""

from collections.abc import Iterator

import numpy as np

from models.anomaly.spec import Ints


def is_wave(slots: Ints) -> bool:
    """Whether the rows are one wave as they stand: slots that rise from row to row."""
    return len(slots) > 0 and bool((slots[1:] > slots[:-1]).all())


def waves(slots: Ints) -> Iterator[Ints]:
    """Row indices, wave after wave: the first row of each device, then the second, and so on."""
    if len(slots) == 0:
        return
    by_slot = np.argsort(slots, kind="stable")
    ordered = slots[by_slot]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(slots)])
    rank = np.arange(len(slots)) - np.repeat(starts, lengths)
    by_rank = np.argsort(rank, kind="stable")
    ends = np.cumsum(np.bincount(rank))
    for start, end in zip(np.r_[0, ends[:-1]], ends, strict=True):
        yield by_slot[by_rank[start:end]]
