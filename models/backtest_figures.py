"""The figures of a failure backtest: what its orders were worth, beside what is simpler."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from models import backtest_failures, baselines, reliability, thresholds
from models.backtest import judge
from models.features.spec import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.backtest import Judgement
    from models.backtest_failures import Told
    from models.orders import Order

    Floats = NDArray[np.float64]


def figures(told: Told) -> dict[str, Any]:
    """Return what the orders were worth, and beside them what simpler methods would have got."""
    judgement = judgement_of(told, told.orders)
    model = told.trained.model
    return {
        **plain(judgement),
        "calibration": reliability.figures(told.probability, told.result, told.task.horizon_h),
        "components": _by_component(told),
        "thresholds": dict(zip(model.spec.components, model.thresholds, strict=True)),
        "labelled_failures": dict(told.trained.failures),
        "abstained_share": float(np.isnan(told.probability).mean()),
        "devices_judged": len(told.judged),
        "cadence_h": told.fleet.cadence_ms / HOUR_MS,
        **_simple(told, judgement.foreseen),
    }


def judgement_of(told: Told, orders: Sequence[Order], component: str | None = None) -> Judgement:
    """Judge orders on the judged devices; of one component, or of all."""
    history = told.fleet.history
    mine = set(told.judged)
    return judge(
        [o for o in orders if component in (None, o.component)],
        [
            f
            for f in thresholds.happened(history, history.failures)
            if f.device in mine and component in (None, f.component)
        ],
        since_ms=told.fleet.clock(told.task.judge_from_ms),
        until_ms=told.until_ms,
        horizon_h=told.task.horizon_h,
        devices=len(told.judged),
    )


def plain(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as JSON holds it: what was not counted is null."""
    told = asdict(judgement)
    told["work_orders"] = told.pop("orders")
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in told.items()}


def _by_component(told: Told) -> dict[str, Any]:
    names = told.fleet.history.spec.components
    judged = {name: judgement_of(told, told.orders, name) for name in names}
    return {
        name: {
            "work_orders": j.orders,
            "true_orders": j.true_orders,
            "failures": j.failures,
            "foreseen": j.foreseen,
        }
        for name, j in judged.items()
    }


def _simple(told: Told, foreseen: int) -> dict[str, Any]:
    """Each simpler method at the threshold, chosen with hindsight, that foresees as many."""
    history, model = told.fleet.history, told.trained.model
    scores = {
        "error_code_lookup": baselines.lookup_scores(history, told.rows, told.lookup),
        "telemetry_alone": baselines.telemetry_scores(model, told.rows.values),
    }
    return {name: plain(_at_recall(told, score, foreseen)) for name, score in scores.items()}


def _at_recall(told: Told, score: Floats, foreseen: int) -> Judgement:
    history = told.fleet.history
    levels = baselines.levels(score[score > 0])
    kept = np.where(score >= levels[0], score, 0.0)
    candidates = backtest_failures.candidates(history, told.rows, kept, int(told.rows.ts_ms.min()))
    replaced = backtest_failures.replaced(history)
    judged = [
        judgement_of(told, orders)
        for _, orders in baselines.along_thresholds(
            candidates, levels, history.spec.components, replaced, told.task.horizon_h
        )
    ]
    return baselines.at_recall(judged, foreseen)
