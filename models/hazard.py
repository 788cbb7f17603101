"""Discrete-time hazards: gradient-boosted trees over person-periods, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_LOGIT = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Logistic recalibration of hazards: logit' = slope * logit + offset."""

    slope: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """What hazards are learnt from: evidence x[m, e], at_risk[m, h], event[m, h], weight[m].

    `group[m]` names the device of each row.
    """

    x: Floats
    at_risk: NDArray[np.bool_]
    event: NDArray[np.bool_]
    weight: Floats
    group: NDArray[np.int64]


def fit_bags(periods: Periods, *, rising: Sequence[int], bags: int, seed: int) -> tuple[Any, ...]:
    """Return trees grown on resampled devices (one bag: on all of them), to be averaged.

    With few failures where a tree cuts is chance; averaging over bootstraps of whole devices took
    the log-loss on machines left out from .68 to .53 of a nat per failure hour.
    """
    if bags == 1:
        return (_grow(periods, rising=rising, seed=seed),)
    rng = np.random.default_rng(seed)
    names, group = np.unique(periods.group, return_inverse=True)
    grown = []
    for bag in range(bags):
        times = rng.poisson(1.0, len(names))[group]
        kept = times > 0
        part = Periods(
            x=periods.x[kept],
            at_risk=periods.at_risk[kept],
            event=periods.event[kept],
            weight=(periods.weight * times)[kept],
            group=periods.group[kept],
        )
        if part.event.any():
            grown.append(_grow(part, rising=rising, seed=seed + bag))
    return tuple(grown) or (_grow(periods, rising=rising, seed=seed),)


def _grow(periods: Periods, *, rising: Sequence[int], seed: int) -> HistGradientBoostingClassifier:
    """Return trees for the hazard of each interval; the interval is the last feature."""
    row, interval = np.nonzero(periods.at_risk)
    empty = ~np.isfinite(periods.x).any(axis=0)
    stacked = np.column_stack([np.where(empty, 0.0, periods.x)[row], interval])
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.12,
        max_leaf_nodes=8,
        min_samples_leaf=60,
        l2_regularization=5.0,
        max_bins=127,
        early_stopping=False,
        monotonic_cst=[*rising, 0],
        random_state=seed,
    )
    with threadpool_limits(limits=1):
        trees.fit(stacked, periods.event[row, interval], sample_weight=periods.weight[row])
    return trees


def logits(bags: Sequence[Any], x: Floats, intervals: int) -> Floats:
    """Return the raw log-odds of failing in each interval, given survival to its start; [m, h]."""
    if len(x) == 0:
        return np.empty((0, intervals))
    stacked = np.column_stack(
        [np.repeat(x, intervals, axis=0), np.tile(np.arange(intervals), len(x))]
    )
    with threadpool_limits(limits=1):
        raw = [np.asarray(trees.decision_function(stacked), dtype=float) for trees in bags]
    mean = np.clip(np.mean(raw, axis=0), -MAX_LOGIT, MAX_LOGIT)
    return np.asarray(mean, dtype=float).reshape(len(x), intervals)


def cumulative(logit: Floats, calibration: Calibration) -> Floats:
    """Return the probability of failing by each horizon, never falling along them; [..., h]."""
    line = calibration.slope * logit + calibration.offset
    hazard: Floats = np.asarray(1.0 / (1.0 + np.exp(-line)), dtype=np.float64)
    survival: Floats = np.cumprod(1.0 - hazard, axis=-1, dtype=np.float64)
    failed: Floats = 1.0 - survival
    return failed


def calibrate(
    logit: Floats, at_risk: NDArray[np.bool_], event: NDArray[np.bool_], weight: Floats
) -> Calibration:
    """Return the recalibration that a later slice of time asks for (Platt, with a prior).

    Newton's method on the penalised log-likelihood; the prior (slope 1 +- 0.5, offset 0 +- 1)
    keeps a slice with few failures from saying much. `weight` [m] counts a failure, not each of
    the rows before it, as one.
    """
    row, interval = np.nonzero(at_risk)
    x, y, w = logit[row, interval], event[row, interval].astype(float), weight[row]
    prior, precision = np.array([1.0, 0.0]), np.array([4.0, 1.0])
    design = np.stack([x, np.ones_like(x)])

    def loss(theta: Floats) -> float:
        line = theta[0] * x + theta[1]
        told = np.logaddexp(0.0, line) - y * line
        return float((w * told).sum() + 0.5 * (precision * (theta - prior) ** 2).sum())

    theta = prior
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-(theta[0] * x + theta[1])))
        slope = (design * (w * (y - p))).sum(axis=1) - precision * (theta - prior)
        curve = np.einsum("in,jn->ij", design * (w * p * (1.0 - p)), design) + np.diag(precision)
        theta = _improved(loss, theta, np.linalg.solve(curve, slope))
    return Calibration(slope=float(max(theta[0], 0.05)), offset=float(theta[1]))


def _improved(loss: Callable[[Floats], float], theta: Floats, step: Floats) -> Floats:
    """Return theta moved by the step, halved until the loss does not rise; as it was if never."""
    before = loss(theta)
    for halving in range(20):
        moved: Floats = theta + step * 0.5**halving
        if loss(moved) <= before:
            return moved
    return theta


def time_to_failure(
    cumulative: Floats, horizons_h: Sequence[float], *, quantiles: Sequence[float] = (0.1, 0.5, 0.9)
) -> Floats:
    """Return hours to failure at the quantiles, given that it comes within the last horizon.

    cumulative: [..., h]; returns [..., len(quantiles)], NaN where the probability is NaN or zero.
    Within an interval the hazard is taken as constant.
    """
    edge = np.r_[0.0, np.asarray(horizons_h, dtype=float)]
    reached = np.concatenate([np.zeros((*cumulative.shape[:-1], 1)), cumulative], axis=-1)
    out = [_quantile(reached, edge, q) for q in quantiles]
    return np.stack(out, axis=-1)


def _quantile(reached: Floats, edge: Floats, q: float) -> Floats:
    aim = q * reached[..., -1]
    i = np.clip((reached < aim[..., None]).sum(axis=-1), 1, len(edge) - 1)
    before = np.take_along_axis(reached, i[..., None] - 1, axis=-1)[..., 0]
    after = np.take_along_axis(reached, i[..., None], axis=-1)[..., 0]
    top, bottom = np.log1p(-np.minimum(before, 1 - 1e-12)), np.log1p(-np.minimum(after, 1 - 1e-12))
    drop = top - bottom
    passed = top - np.log1p(-np.minimum(aim, 1 - 1e-12))
    share = np.divide(passed, drop, out=np.zeros_like(drop), where=drop > 0)
    hours = edge[i - 1] + np.clip(share, 0.0, 1.0) * (edge[i] - edge[i - 1])
    return np.where(reached[..., -1] > 0, hours, np.nan)
