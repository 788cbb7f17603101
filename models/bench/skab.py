"""The Skoltech Anomaly Benchmark: is each second of a test rig anomalous or not.

The first 400 rows of each file are known to be healthy; the rest is judged row by row, with no
adjustment that would count a whole fault as found when one of its rows is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from models.anomaly.spec import Bools

HEALTHY_ROWS: Final = 400
LABELS: Final = frozenset({"anomaly", "changepoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Of the judged rows of all files together."""

    f1: float
    false_alarm_percent: float
    missed_percent: float
    f1_of_all_ones: float
    """What one gets who calls every row anomalous."""


def judged(told: Bools, truth: Bools) -> Judged:
    """Compare answers [n] with labels [n]; at least one row of either kind."""
    hit, false = int((told & truth).sum()), int((told & ~truth).sum())
    missed, quiet = int((~told & truth).sum()), int((~told & ~truth).sum())
    share = float(np.mean(truth))
    return Judged(
        f1=2 * hit / (2 * hit + false + missed),
        false_alarm_percent=100.0 * false / (false + quiet),
        missed_percent=100.0 * missed / (hit + missed),
        f1_of_all_ones=2 * share / (1 + share),
    )
