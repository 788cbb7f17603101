"""Trains a failure model from a history; the same code for recorded, simulated and stored ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from foremend.errors import ForemendError
from models import deviations, evidence, hazard, thresholds
from models.failure import FailureModel
from models.history import rows_of
from models.labels import intervals, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History
    from models.labels import Outcomes

    Floats = NDArray[np.float64]
    Progress = Callable[[str, int, int], None]

FOLDS = 5
CUTS = (0.5, 0.75)
"""Shares of the failures after which the model is judged on what follows, inside training."""
MAX_QUIET = 40_000
"""Rows without a failure near that are trained on; the rest is told by their weight."""


class TooFewFailures(ForemendError):  # noqa: N818 - names a state
    """There are too few labelled failures to train on: collect more findings first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is trained for; horizons in hours."""

    horizons_h: tuple[float, ...] = (6.0, 12.0, 24.0, 48.0)
    order_horizon_h: float = 24.0
    min_failures: int = 3
    seed: int = 7
    jobs: int = 2
    failure_modes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model with what must be recorded beside it."""

    model: FailureModel
    since_ms: int
    until_ms: int
    failures: Mapping[str, int]
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    prior: deviations.CohortPrior
    signatures: evidence.Signatures
    trees: Any


def _quiet(stage: str, done: int, total: int) -> None:
    """Tell nothing."""


def train(
    history: History, plan: TrainingPlan = TrainingPlan(), *, progress: Progress = _quiet
) -> TrainedModel:
    """Return the model that a history teaches, with its thresholds chosen inside that history.

    The model is fitted three times: on what came before two cuts in time, to be judged on what
    followed them (calibration and thresholds come from there), and at last on everything.
    Raises `TooFewFailures`.
    """
    progress("features", 0, 1)
    rows = rows_of(history)
    progress("features", 1, 1)
    return train_rows(rows, history, plan, progress=progress)


def train_rows(
    rows: Rows, history: History, plan: TrainingPlan, *, progress: Progress = _quiet
) -> TrainedModel:
    """Return the model taught by rows already made of this history."""
    failed = np.sort(history.failures.ts_ms)
    if len(failed) < plan.min_failures:
        raise TooFewFailures
    cuts = [int(failed[int(share * len(failed))]) for share in CUTS] + [history.until_ms]
    work = [joblib.delayed(_fit_until)(rows, history.told_by(cut), cut, plan) for cut in cuts]
    fitted: list[_Fitted] = []
    for done in joblib.Parallel(n_jobs=plan.jobs, return_as="generator")(work):
        fitted.append(done)
        progress("fit", len(fitted), len(work))
    draft = [_model(history, f, plan) for f in fitted]
    late = [
        _later(draft[i], rows, history, cut, end)
        for i, (cut, end) in enumerate(itertools.pairwise(cuts))
    ]
    progress("calibrate", 0, 1)
    final = thresholds.calibrated(draft[-1], late)
    chosen, metrics = thresholds.choose(final, late, history)
    progress("calibrate", 1, 1)
    model = replace(final, thresholds=chosen)
    names = history.spec.components
    counts = dict(zip(names, model.signatures.failures.tolist(), strict=True))
    return TrainedModel(
        model=model,
        since_ms=int(rows.ts_ms.min()),
        until_ms=history.until_ms,
        failures=counts,
        metrics=metrics,
    )


def _later(
    model: FailureModel, rows: Rows, history: History, cut: int, end: int
) -> thresholds.LaterSlice:
    kept = (rows.ts_ms > cut) & (rows.ts_ms <= end)
    some = type(rows)(device=rows.device[kept], ts_ms=rows.ts_ms[kept], values=rows.values[kept])
    result = outcomes(some, history)
    return thresholds.LaterSlice(rows=some, logit=model.logits(some.values), result=result)


def _model(history: History, fitted: _Fitted, plan: TrainingPlan) -> FailureModel:
    return FailureModel(
        spec=history.spec,
        prior=fitted.prior,
        signatures=fitted.signatures,
        trees=fitted.trees,
        calibration=hazard.Calibration(),
        horizons_h=plan.horizons_h,
        order_horizon_h=plan.order_horizon_h,
        thresholds=(0.5,) * len(history.spec.components),
        min_failures=plan.min_failures,
        failure_modes=dict(plan.failure_modes),
    )


def _fit_until(rows: Rows, history: History, until_ms: int, plan: TrainingPlan) -> _Fitted:
    kept = rows.ts_ms <= until_ms
    device, values = rows.device[kept], rows.values[kept]
    known = type(rows)(device=device, ts_ms=rows.ts_ms[kept], values=values)
    spec = history.spec
    prior = deviations.learn_prior(spec, device, values)
    result = outcomes(known, history)
    chosen, weight = _sample(result, plan)
    z = deviations.compare(spec, prior, values[chosen]).z
    seen = evidence.sight(spec, z, values[chosen])
    result = _take(result, chosen)
    return _fit(seen, result, device[chosen], weight, prior, plan)


def _fit(
    seen: evidence.Sighted,
    result: Outcomes,
    device: NDArray[np.int64],
    weight: Floats,
    prior: deviations.CohortPrior,
    plan: TrainingPlan,
) -> _Fitted:
    x = _out_of_fold(seen, result, device, plan.seed)
    m, k, e = x.shape
    at_risk, event = intervals(result.hours, result.failed, plan.horizons_h)
    h = len(plan.horizons_h)
    trees = hazard.fit_trees(
        x.reshape(m * k, e),
        at_risk.reshape(m * k, h),
        event.reshape(m * k, h),
        np.repeat(weight, k),
        rising=evidence.RISING,
        seed=plan.seed,
    )
    everything = evidence.learn(seen, result, np.ones(m, dtype=bool))
    return _Fitted(prior=prior, signatures=everything, trees=trees)


def _out_of_fold(
    seen: evidence.Sighted, result: Outcomes, device: NDArray[np.int64], seed: int
) -> Floats:
    """Return evidence by signatures that other devices taught, so trees learn its true worth."""
    names = np.unique(device)
    fold_of = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, len(names))
    fold = fold_of[np.searchsorted(names, device)]
    x = np.full((len(device), result.hours.shape[1], len(evidence.COLUMNS)), np.nan)
    for f in np.unique(fold):
        mine = fold == f
        taught = evidence.learn(seen, result, ~mine if len(names) > 1 else mine)
        x[mine] = evidence.evidence(taught, _rows_of(seen, mine))
    return x


def _sample(result: Outcomes, plan: TrainingPlan) -> tuple[NDArray[np.int64], Floats]:
    """Return rows to train on and their weights: all near failures, every n-th of the quiet."""
    span = 1.5 * plan.horizons_h[-1]
    near = np.asarray((result.failed & (result.hours <= span)).any(axis=1))
    stride = max(1, int((~near).sum()) // MAX_QUIET)
    order = np.cumsum(~near)
    chosen = np.flatnonzero(near | (order % stride == 0))
    return chosen, np.where(near[chosen], 1.0, float(stride))


def _take(result: Outcomes, at: NDArray[np.int64]) -> Outcomes:
    return type(result)(
        hours=result.hours[at], failed=result.failed[at], episode=result.episode[at]
    )


def _rows_of(seen: evidence.Sighted, at: NDArray[np.bool_]) -> evidence.Sighted:
    return type(seen)(
        z=seen.z[at],
        heard=seen.heard[at],
        hours_since=seen.hours_since[at],
        age_h=seen.age_h[at],
        device=seen.device[at],
        reach_h=seen.reach_h,
    )
