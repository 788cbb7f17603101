"""What a report of a failure backtest draws: leads, precision against burden, worst misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models import backtest_failures, thresholds
from models.backtest import open_orders
from models.backtest_figures import judgement_of
from models.features.spec import HOUR_MS

if TYPE_CHECKING:
    from models.backtest import Failure
    from models.backtest_failures import Told

LEVELS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
WORST: Final = 8
FRAMES: Final = 60
"""Frames of telemetry shown before a failure that was missed."""


def plots(told: Told) -> dict[str, Any]:
    """Return `leads`, `burden` (one entry a threshold) and the worst `misses`."""
    return {"leads": _leads(told), "burden": _burden(told), "misses": _misses(told)}


def _opened(told: Told) -> dict[tuple[str, str], list[int]]:
    out: dict[tuple[str, str], list[int]] = {}
    for o in told.orders:
        out.setdefault((o.device, o.component), []).append(o.opened_ms)
    return out


def _leads(told: Told) -> list[dict[str, Any]]:
    """Return how many failures were foreseen how many whole hours ahead."""
    horizon = round(told.task.horizon_h * HOUR_MS)
    opened, leads = _opened(told), []
    for f in thresholds.happened(told.fleet.history, told.fleet.history.failures):
        ahead = [f.ts_ms - ts for ts in opened.get((f.device, f.component), ())]
        right = [a for a in ahead if 0 < a <= horizon]
        leads += [max(right) // HOUR_MS] if right and f.ts_ms <= told.until_ms else []
    hours, count = np.unique(np.array(leads, dtype=np.int64), return_counts=True)
    told_hours = zip(hours.tolist(), count.tolist(), strict=True)
    return [{"hours": h, "failures": n} for h, n in told_hours]


def _burden(told: Told) -> list[dict[str, Any]]:
    history = told.fleet.history
    names, since = history.spec.components, told.fleet.clock(told.task.judge_from_ms)
    known = np.nan_to_num(told.probability)
    out = []
    for level in LEVELS:
        due = np.where(known >= level, known, 0.0)
        telling = backtest_failures.candidates(history, told.rows, due, since)
        opened = open_orders(
            telling,
            dict.fromkeys(names, level),
            backtest_failures.replaced(history),
            told.task.horizon_h,
        )
        judged = judgement_of(told, [order for order, _ in opened])
        out.append(
            {
                "threshold": level,
                "precision": judged.precision.value if judged.orders else None,
                "event_recall": judged.event_recall.value if judged.failures else None,
                "false_per_100_machine_weeks": judged.false_per_100_machine_weeks,
            }
        )
    return out


def _misses(told: Told) -> list[dict[str, Any]]:
    """Return failures no order foresaw, those that seemed least likely first."""
    horizon = round(told.task.horizon_h * HOUR_MS)
    opened = _opened(told)
    missed = [
        f
        for f in thresholds.happened(told.fleet.history, told.fleet.history.failures)
        if f.device in told.judged
        and told.fleet.clock(told.task.judge_from_ms) < f.ts_ms <= told.until_ms
        and not any(0 < f.ts_ms - ts <= horizon for ts in opened.get((f.device, f.component), ()))
    ]
    found = [_miss(told, f, horizon) for f in missed]
    return sorted(found, key=lambda m: m["highest_probability"] or 0.0)[:WORST]


def _miss(told: Told, failure: Failure, horizon: int) -> dict[str, Any]:
    history = told.fleet.history
    device = history.devices.index(failure.device)
    k = history.spec.components.index(failure.component)
    ahead = failure.ts_ms - told.rows.ts_ms
    mine = (told.rows.device == device) & (ahead > 0) & (ahead <= horizon)
    highest = told.probability[mine, k]
    highest = highest[np.isfinite(highest)]
    f = history.frames
    seen = np.flatnonzero((f.device == device) & (f.ts_ms <= failure.ts_ms))[-FRAMES:]
    return {
        "device": failure.device,
        "component": failure.component,
        "failed_ms": told.fleet.instant(failure.ts_ms),
        "highest_probability": float(highest.max()) if len(highest) else None,
        "telemetry": {
            name: [None if np.isnan(v) else float(v) for v in f.values[seen, j]]
            for j, name in enumerate(history.spec.channels)
        },
    }
