"""What became of a component after a row: failed after so many hours, or unknown from then on.

A finding of `failed` ends a life with a failure. `degraded` does so too: the order that took the
part out was right, and a good order must not erase its own label. A replacement that found no
fault, or of which nothing was told, says only that the part had not failed until then: what would
have come is unknown (censored). Nothing is used that was not known at the history's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.history import HOUR_MS, Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Per row and component: `hours[m, k]` until the failure or the end of knowledge.

    `failed[m, k]` tells which; between a failure and its repair both are zero. `episode[m, k]`
    numbers the failure (-1: none), so that samples of one failure can be kept together.
    `watched_h[m]` is how long after the row anything could have become known.
    """

    hours: Floats
    failed: NDArray[np.bool_]
    episode: NDArray[np.int64]
    watched_h: Floats

    def at(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Outcomes:
        """Return those of some rows."""
        return Outcomes(
            hours=self.hours[rows],
            failed=self.failed[rows],
            episode=self.episode[rows],
            watched_h=self.watched_h[rows],
        )


def outcomes(rows: Rows, history: History) -> Outcomes:
    """Return the outcome of every component after every row of the history."""
    m, k = len(rows), len(history.spec.components)
    hours, failed = np.zeros((m, k)), np.zeros((m, k), dtype=bool)
    episode = np.full((m, k), -1, dtype=np.int64)
    first = 0
    for device, at in _by_device(rows.device):
        for component in range(k):
            ends, bad, down = _ends(history, device, component)
            nxt = np.searchsorted(ends, rows.ts_ms[at], side="right").clip(max=len(ends) - 1)
            ahead = (ends[nxt] > rows.ts_ms[at]) & ~down[nxt]
            left = np.where(down[nxt], 0, ends[nxt] - rows.ts_ms[at])
            hours[at, component] = left / HOUR_MS
            failed[at, component] = bad[nxt] & ahead
            episode[at, component] = np.where(bad[nxt] & ahead, first + nxt, -1)
            first += len(ends)
    watched = (history.until_ms - rows.ts_ms) / HOUR_MS
    return Outcomes(hours=hours, failed=failed, episode=episode, watched_h=watched)


def intervals(
    result: Outcomes, horizons_h: Sequence[float]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (at_risk, event), each [m, k, h]: the person-periods of a discrete hazard.

    Interval i runs from the horizon before it to horizon i, its end included. A censored life is at
    risk only in intervals it was seen to the end of. No life is, failed or not, in intervals that
    the end of knowledge cuts: else, of the last rows, only failures would be told.
    """
    upper = np.asarray(horizons_h, dtype=float)
    lower = np.r_[0.0, upper[:-1]]
    left, failed = result.hours[..., None], result.failed[..., None]
    event = failed & (left > lower) & (left <= upper)
    at_risk = np.where(failed, left > lower, left >= upper)
    return at_risk & (result.watched_h[:, None, None] >= upper), event


def _by_device(device: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(device, kind="stable")
    cuts = np.flatnonzero(np.diff(device[order])) + 1
    return [(int(device[at[0]]), at) for at in np.split(order, cuts) if len(at)]


def _ends(
    history: History, device: int, component: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return when lives of one component ended, in order, and whether by a failure.

    And whether what ended was no life but the time a failed part waited to be replaced.
    """
    f, r = history.findings, history.replacements
    found = (f.device == device) & (f.what == component) & (f.condition != Found.NO_FAULT)
    bad = f.ts_ms[found & (f.known_ms <= history.until_ms)]
    swapped = r.ts_ms[(r.device == device) & (r.what == component)]
    swapped = swapped[~np.isin(swapped, bad)]
    ends = np.concatenate([bad, swapped, [history.until_ms]])
    failed = np.arange(len(ends)) < len(bad)
    order = np.argsort(ends, kind="stable")
    ends, failed = ends[order], failed[order]
    at_once = np.isin(ends, r.ts_ms[(r.device == device) & (r.what == component)])
    waited = np.r_[False, failed[:-1] & ~at_once[:-1]]
    return ends, failed, waited
