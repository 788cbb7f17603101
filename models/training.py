"""Trains a failure model from a history; the same code for recorded, simulated and stored ones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from foremend.errors import ForemendError
from models import hazard, thresholds
from models.failure import FailureModel
from models.fitting import FEW, Fitted, TrainingPlan, fit_until
from models.history import rows_of
from models.labels import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History

    Floats = NDArray[np.float64]
    Progress = Callable[[str, int, int], None]

CUTS = (0.5, 0.75)
"""Shares of the failures after which the model is judged on what follows, inside training."""
CUTS_OF_FEW = (0.6, 0.7, 0.8, 0.9)
"""The same with few failures: a model of half of them says little of the model of all."""


class TooFewFailures(ForemendError):
    """There are too few labelled failures to train on: collect more findings first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model with what must be recorded beside it."""

    model: FailureModel
    since_ms: int
    until_ms: int
    failures: Mapping[str, int]
    metrics: Mapping[str, Any]


def _quiet(stage: str, done: int, total: int) -> None:
    """Tell nothing."""


def train(history: History, plan: TrainingPlan, *, progress: Progress = _quiet) -> TrainedModel:
    """Return the model that a history teaches, with its thresholds chosen inside that history.

    The model is fitted several times: on what came before cuts in time, to be judged on what
    followed each (calibration and thresholds come from there), and at last on everything.
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
    shares = CUTS_OF_FEW if len(failed) < FEW else CUTS
    cuts = [int(failed[int(share * len(failed))]) for share in shares] + [history.until_ms]
    work = [joblib.delayed(fit_until)(rows, history.told_by(cut), cut, plan) for cut in cuts]
    fitted: list[Fitted] = []
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


def _model(history: History, fitted: Fitted, plan: TrainingPlan) -> FailureModel:
    return FailureModel(
        spec=history.spec,
        prior=fitted.prior,
        signatures=fitted.signatures,
        columns=fitted.columns,
        bags=fitted.bags,
        calibration=hazard.Calibration(),
        horizons_h=plan.horizons_h,
        order_horizon_h=plan.order_horizon_h,
        thresholds=(0.5,) * len(history.spec.components),
        min_failures=plan.min_failures,
        failure_modes=dict(plan.failure_modes),
    )
