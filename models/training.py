"""Trains a failure model from a history; the same code for recorded, simulated and stored ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from foremend.errors import ForemendError
from models import hazard, slices, thresholds
from models.failure import FailureModel
from models.fitting import FEW, Fitted, TrainingPlan, fit
from models.history import rows_of
from models.labels import outcomes
from models.slices import HeldOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History
    from models.slices import Slice

    Floats = NDArray[np.float64]
    Progress = Callable[[str, int, int], None]


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

    The model is fitted several times: on parts, to be judged on what each held out (calibration and
    thresholds come from there), and at last on everything.
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
    if len(history.faults) < plan.min_failures:
        raise TooFewFailures(
            f"{len(history.faults)} failures of {history.spec.family} are labelled, and "
            f"{plan.min_failures} are wanted: collect more findings first"
        )
    parts = _parts(rows, history, plan)
    fitted = _fitted(rows, history, parts, plan, progress)
    late = [
        _judging(_model(history, f, plan), rows, history, part)
        for f, part in zip(fitted[:-1], parts, strict=True)
    ]
    progress("calibrate", 0, 1)
    final = thresholds.calibrated(_model(history, fitted[-1], plan), late)
    chosen, metrics = thresholds.choose(final, late, history, aim=plan.aim)
    progress("calibrate", 1, 1)
    model = replace(final, thresholds=chosen)
    names = history.spec.components
    counts = dict(zip(names, model.signatures.failures.tolist(), strict=True))
    return TrainedModel(
        model=model,
        since_ms=int(rows.ts_ms.min()),
        until_ms=history.until_ms,
        failures=counts,
        metrics=metrics
        | {"thresholds": dict(zip(names, chosen, strict=True)), "plan": _told(plan)},
    )


def _told(plan: TrainingPlan) -> dict[str, Any]:
    """What makes this training repeatable."""
    return {
        "seed": plan.seed,
        "horizons_h": plan.horizons_h,
        "order_horizon_h": plan.order_horizon_h,
        "held_out": plan.held_out.value,
        "right_within_h": plan.aim.right_within_h,
        "recall_weight": plan.recall_weight,
    }


def _parts(rows: Rows, history: History, plan: TrainingPlan) -> list[Slice]:
    if plan.held_out is HeldOut.DEVICES:
        parts = slices.devices(rows, history, seed=plan.seed)
    else:
        parts = slices.later(rows, history, few=len(history.faults) < FEW)
    return [part for part in parts if part.fit.any() and part.judge.any()]


def _fitted(
    rows: Rows, history: History, parts: list[Slice], plan: TrainingPlan, progress: Progress
) -> list[Fitted]:
    """Fit each part, and at last everything."""
    everything = np.ones(len(rows), dtype=bool)
    asked = [(part.fit, part.until_ms) for part in parts] + [(everything, history.until_ms)]
    work = [
        joblib.delayed(_fit)(rows.where(kept), history.told_by(until), plan)
        for kept, until in asked
    ]
    fitted: list[Fitted] = []
    for done in joblib.Parallel(n_jobs=plan.jobs, return_as="generator")(work):
        fitted.append(done)
        progress("fit", len(fitted), len(work))
    return fitted


def _fit(rows: Rows, history: History, plan: TrainingPlan) -> Fitted:
    """Fit on one thread: with more, a linear solver's last bits depend on their number."""
    with threadpool_limits(limits=1):
        return fit(rows, history, plan)


def _judging(
    model: FailureModel, rows: Rows, history: History, part: Slice
) -> thresholds.LaterSlice:
    some = rows.where(part.judge)
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
