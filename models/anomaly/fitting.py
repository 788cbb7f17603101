"""Fits a cohort's prior on healthy history.

The prior is what the devices of the cohort end up with: their history is run through the scorer
itself, and the levels, covariances and exceedance tables that it learnt are pooled. Nothing is
known of them by other means, so what a new device starts from is what an old one would say.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.anomaly.levels import independence
from models.anomaly.prior import CohortPrior, empty_prior
from models.anomaly.scorer import FleetScorer
from models.anomaly.spec import Floats, Ints, ScorerSpec
from models.anomaly.state import COUNT, RESIDUAL, SPREAD, STEP, WANDER, ScorerState

HEAVIEST = 2000.0
"""A prior counts for so many frames at most, however alike the devices are."""
CONTEXT_COUNT = 400.0
"""What is known of the context counts for so many frames."""
TAIL_COUNT = 500.0
"""The prior's exceedance tables count for so many values."""
_BATCH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Frames of several devices, each device's in order of time."""

    device: Ints
    ts_ms: Ints
    phase: npt.NDArray[np.int16]
    values: Floats


def fit_prior(
    spec: ScorerSpec,
    *,
    device: npt.ArrayLike,
    ts_ms: npt.ArrayLike,
    phase: npt.ArrayLike,
    values: npt.ArrayLike,
) -> CohortPrior:
    """Learn what is usual in a cohort from healthy frames [n] of several devices.

    `device` holds any integers, `values` is [n, c] with NaN where missing; rows may stand in any
    order. The order of devices and channels does not change the result beyond rounding.
    """
    history = _ordered(device, ts_ms, phase, values)
    settled = _played(FleetScorer(spec), history)
    lit = _with_context(empty_prior(spec), settled)
    levels = _with_levels(lit, spec, settled)
    calibrated = _played(FleetScorer(spec, levels), history)
    used = calibrated.used
    climbing = replace(levels, climbs=_pooled(calibrated.climbs[:used]))
    calibrated = _played(FleetScorer(spec, climbing), history)
    return replace(climbing, tails=_pooled(calibrated.tails[:used]))


def _ordered(
    device: npt.ArrayLike,
    ts_ms: npt.ArrayLike,
    phase: npt.ArrayLike,
    values: npt.ArrayLike,
) -> History:
    devices, times = np.asarray(device, np.int64), np.asarray(ts_ms, np.int64)
    order = np.lexsort((times, devices))
    return History(
        device=devices[order],
        ts_ms=times[order],
        phase=np.asarray(phase, np.int16)[order],
        values=np.asarray(values, np.float64)[order],
    )


def _played(scorer: FleetScorer, history: History) -> ScorerState:
    """The state after the whole history."""
    _, device = np.unique(history.device, return_inverse=True)
    slots = np.array([scorer.slot(i) for i in range(device.max(initial=-1) + 1)], np.int64)
    # By time, so that waves are wide; a device's own order is kept.
    by_time = np.argsort(history.ts_ms, kind="stable")
    for start in range(0, len(by_time), _BATCH):
        rows = by_time[start : start + _BATCH]
        scorer.score(
            slots[device[rows]],
            history.ts_ms[rows],
            history.phase[rows],
            history.values[rows],
        )
    return scorer.state


def _with_levels(prior: CohortPrior, spec: ScorerSpec, state: ScorerState) -> CohortPrior:
    """`prior` with the levels and the covariance that devices ended up with."""
    levels = state.levels[: state.used].astype(np.float64)
    centres = _where_meant(prior, spec, state)
    enough = levels[:, :, COUNT] >= spec.warm_up
    centre = _median(centres, enough)
    away = np.abs(centres - centre)
    between = 1.4826 * _median(away, enough)
    spread = np.maximum(_median(levels[:, :, RESIDUAL], enough), 0.0)
    wander = _median(levels[:, :, SPREAD], enough)
    step = _median(levels[:, :, STEP], enough)
    pairs = state.pairs[: state.used]
    counts = levels[:, :, COUNT].sum(axis=0)
    weight = np.where(enough.any(axis=0), _weight(spec, counts, wander, step, between), 0.0)
    worth = independence(levels[:, :, STEP], levels[:, :, SPREAD])
    independent = (levels[:, :, COUNT] * worth).sum(axis=0)
    return replace(
        prior,
        centre=centre,
        spread=np.maximum(spread, wander),
        between=between,
        step=step,
        wander=_median(levels[:, :, WANDER], enough),
        weight=weight,
        independent=np.minimum(weight, independent),
        correlation=_correlation(pairs, len(spec.channels)),
        cadence_s=float(np.median(state.cadence[: state.used])) if state.used else 0.0,
    )


def _with_context(prior: CohortPrior, state: ScorerState) -> CohortPrior:
    """`prior` with what devices know of their context, those that know more counting for more."""
    used = slice(0, state.used)
    taught = state.taught[used].astype(np.float64)
    if not taught.sum():
        return prior
    share = taught / taught.sum()
    return replace(
        prior,
        usual=(share * state.usual[used]).sum(axis=0),
        spread_of_context=(share * state.spread[used]).sum(axis=0),
        cross=(share[:, :, None] * state.cross[used]).sum(axis=0),
        path=(share * state.path[used]).sum(axis=0),
        taught=np.minimum(taught.mean(axis=0), CONTEXT_COUNT),
    )


def _where_meant(prior: CohortPrior, spec: ScorerSpec, state: ScorerState) -> Floats:
    """Centres [d, p, c] of all devices as they would be in the cohort's usual context."""
    centres = state.centre[: state.used].copy()
    if prior.taught[0] > 0 and spec.work in spec.phases:
        away = prior.usual - state.usual[: state.used]
        moved = (away[:, :, None] * state.slopes[: state.used]).sum(axis=1)
        centres[:, spec.phases.index(spec.work)] += moved
    return centres


def _weight(
    spec: ScorerSpec, counts: Floats, spread: Floats, step: Floats, between: Floats
) -> Floats:
    """n0: own frames after which a device's own mean is as good a guess as the cohort's.

    A mean of n frames is off by spread² / (n r), r as in `levels.blended`; the cohort's centre is
    off by between². It is never worth more frames than it was fitted on.
    """
    ratio = np.minimum(0.5 * (step / np.maximum(spread, 1e-12)) ** 2, 1.0)
    noise = spread**2 / np.maximum(ratio, 1e-6)
    most = np.clip(counts, spec.warm_up, HEAVIEST)
    return np.clip(noise / np.maximum(between**2, 1e-12), spec.warm_up, most)


def _correlation(pairs: npt.NDArray[np.float32], channels: int) -> Floats:
    weight = pairs[:, :1].astype(np.float64)
    mean = (weight * pairs[:, 1:]).sum(axis=0) / np.maximum(weight.sum(), 1.0)
    matrix = np.eye(channels)
    if weight.sum() >= channels * channels:
        rows, columns = np.triu_indices(channels)
        matrix[rows, columns] = matrix[columns, rows] = mean
        # A channel never seen has no variance of its own: it stands alone, at 1.
        unseen = np.diagonal(matrix) <= 0
        matrix[unseen, unseen] = 1.0
    return matrix


def _pooled(tables: npt.NDArray[np.uint16]) -> Floats:
    pooled = tables.astype(np.float64).sum(axis=0)
    total = pooled[:, :1]
    return np.where(total > 0, pooled * np.minimum(1.0, TAIL_COUNT / np.maximum(total, 1.0)), 0.0)


def _median(values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
    """Median over devices [d, p, c] of those that know enough; 0 where none does."""
    masked = np.ma.masked_array(values, mask=~where)
    return np.asarray(np.ma.median(masked, axis=0).filled(0.0), np.float64)
