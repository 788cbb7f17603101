"""Backtest on a recorded Azure-layout fleet: `python -m models.backtest_azure --data DIR`."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import baselines, diagnosis, thresholds
from models.azure import read_history
from models.backtest import judge, open_orders
from models.backtest_files import write_orders
from models.features import Rows
from models.fitting import TrainingPlan
from models.history import rows_of
from models.labels import outcomes
from models.training import train_rows

__all__ = ["judged", "run", "write_orders"]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.backtest import Judgement
    from models.failure import FailureModel
    from models.history import History
    from models.orders import Order


def run(
    history: History, *, until_ms: int, plan: TrainingPlan
) -> tuple[dict[str, Any], list[Order]]:
    """Train on what was known at `until_ms`, judge what follows; return figures and orders."""
    rows = rows_of(history)
    known = history.told_by(until_ms)
    model = train_rows(_between(rows, 0, until_ms), known, plan).model
    later = _between(rows, until_ms, history.until_ms)
    orders = _orders(model, later, history)
    return judged(model, rows, history, orders, until_ms=until_ms), orders


def judged(
    model: FailureModel, rows: Rows, history: History, orders: Sequence[Order], *, until_ms: int
) -> dict[str, Any]:
    """Return the figures of orders opened after `until_ms`, and beside them the simple methods'.

    `rows` are the history's; `orders` may come from anywhere, so long as they name its devices.
    """
    later = _between(rows, until_ms, history.until_ms)
    figures = _judged(orders, history, until_ms, model.order_horizon_h)
    simple = _simple(model, rows, later, history, until_ms, figures.foreseen)
    return {**_told(figures), "thresholds": list(model.thresholds), **simple}


def _between(rows: Rows, after_ms: int, until_ms: int) -> Rows:
    kept = (rows.ts_ms > after_ms) & (rows.ts_ms <= until_ms)
    return Rows(device=rows.device[kept], ts_ms=rows.ts_ms[kept], values=rows.values[kept])


def _orders(model: FailureModel, rows: Rows, history: History) -> list[Order]:
    part = thresholds.LaterSlice(
        rows=rows, logit=model.logits(rows.values), result=outcomes(rows, history)
    )
    limits = dict(zip(model.spec.components, model.thresholds, strict=True))
    replaced = thresholds.happened(history, history.replacements)
    candidates = thresholds.candidates_of(model, part, history.devices)
    opened = open_orders(candidates, limits, replaced, model.order_horizon_h)
    return [_explained(model, rows, order, row) for order, row in opened]


def _explained(model: FailureModel, rows: Rows, order: Order, row: int) -> Order:
    k = model.spec.components.index(order.component)
    why = diagnosis.reasons(model, rows.values[row], component=k, top=3)
    return replace(order, top_reasons=tuple(r.short() for r in why))


def _judged(
    orders: Sequence[Order], history: History, since_ms: int, horizon_h: float
) -> Judgement:
    return judge(
        orders,
        thresholds.happened(history, history.failures),
        since_ms=since_ms,
        until_ms=history.until_ms,
        horizon_h=horizon_h,
        devices=len(history.devices),
    )


def _simple(
    model: FailureModel,
    rows: Rows,
    later: Rows,
    history: History,
    until_ms: int,
    foreseen: int,
) -> dict[str, Any]:
    before = _between(rows, 0, until_ms)
    known = history.told_by(until_ms)
    h = model.order_horizon_h
    lookup = baselines.learn_lookup(known, before, outcomes(before, known), h)
    scores = {
        "error_code_lookup": baselines.lookup_scores(history, later, lookup),
        "telemetry_alone": baselines.telemetry_scores(model, later.values),
    }
    failures = thresholds.happened(history, history.failures)
    replaced = thresholds.happened(history, history.replacements)
    out: dict[str, Any] = {}
    for name, score in scores.items():
        judged = baselines.curve(
            score,
            later,
            history,
            failures,
            replaced,
            horizon_h=h,
            since_ms=until_ms,
            until_ms=history.until_ms,
        )
        out[name] = _told(baselines.at_recall(judged, foreseen))
    return out


def _told(figures: Judgement) -> dict[str, Any]:
    told = asdict(figures)
    told["work_orders"] = told.pop("orders")
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in told.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the last line printed is the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train-until", default="2015-02-20")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    told = parser.parse_args(arguments)
    began = time.monotonic()
    until = datetime.fromisoformat(told.train_until).replace(tzinfo=UTC)
    figures, orders = run(
        read_history(told.data),
        until_ms=round(until.timestamp() * 1000),
        plan=TrainingPlan(seed=told.seed),
    )
    if told.out:
        write_orders(told.out, orders)
    figures["seconds"] = round(time.monotonic() - began, 1)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
