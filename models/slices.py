"""Which rows a model is fitted on so that others, unseen by it, can judge it inside training."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History

    Mask = NDArray[np.bool_]

CUTS = (0.5, 0.75)
"""Shares of the failures after which a model is judged on what follows."""
CUTS_OF_FEW = (0.6, 0.7, 0.8, 0.9)
"""The same with few failures: a model of half of them says little of the model of all."""
DEVICE_FOLDS = 2


class HeldOut(Enum):
    """What a model is judged on inside training."""

    LATER = "later"
    """What followed. For everything that was recorded: what changes with time, shows."""
    DEVICES = "devices"
    """Devices left out. For simulated histories: all begin young and healthy together, so their
    early days say little of their later ones, and none knows of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A fit on the rows of `fit`[m] with what was known at `until_ms`, judged on `judge`[m]."""

    fit: Mask
    until_ms: int
    judge: Mask


def later(rows: Rows, history: History, *, few: bool) -> list[Slice]:
    """Return slices that are each judged on the time from their cut to the next."""
    failed = np.sort(history.faults.ts_ms)
    shares: Sequence[float] = CUTS_OF_FEW if few else CUTS
    cuts = [int(failed[int(share * len(failed))]) for share in shares]
    return [
        Slice(fit=rows.ts_ms <= cut, until_ms=cut, judge=(rows.ts_ms > cut) & (rows.ts_ms <= end))
        for cut, end in zip(cuts, [*cuts[1:], history.until_ms], strict=True)
    ]


def devices(rows: Rows, history: History, *, seed: int) -> list[Slice]:
    """Return slices that are each judged on a share of the devices."""
    fold = np.random.default_rng(seed).permutation(len(history.devices)) % DEVICE_FOLDS
    mine = [fold[rows.device] == f for f in range(DEVICE_FOLDS)]
    return [Slice(fit=~out, until_ms=history.until_ms, judge=out) for out in mine if out.any()]
