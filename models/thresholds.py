"""Calibration and thresholds, both from slices of time that the judged model had not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models import hazard
from models.backtest import Candidate, Failure, judge, open_orders
from models.labels import intervals
from models.orders import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.aim import Aim
    from models.backtest import Judgement
    from models.failure import FailureModel
    from models.features import Rows
    from models.history import History
    from models.labels import Outcomes

    Floats = NDArray[np.float64]

GRID = tuple(float(p) for p in np.round(np.linspace(0.25, 0.95, 15), 2))
"""Thresholds tried. Below one in four, an order would mostly be a visit for nothing."""
UNJUDGED = 0.5
"""The threshold where nothing could be held out."""
MANY = 30
"""Failures held out from which the best threshold is searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterSlice:
    """Rows after a cut in time, with the log-odds of the model fitted before it."""

    rows: Rows
    logit: Floats
    result: Outcomes


def calibrated(model: FailureModel, late: Sequence[LaterSlice]) -> FailureModel:
    """Return the model with its hazards recalibrated on what was held out; as it is without any."""
    if not late:
        return model
    logit = np.concatenate([s.logit for s in late])
    told = [intervals(s.result, model.horizons_h) for s in late]
    at_risk, event = (np.concatenate(each) for each in zip(*told, strict=True))
    h = len(model.horizons_h)
    flat = logit.reshape(-1, h)
    each = np.full(len(flat), min(1.0, model.spec.step_ms / (24 * HOUR_MS)))
    found = hazard.calibrate(flat, at_risk.reshape(-1, h), event.reshape(-1, h), each)
    return replace(model, calibration=found)


def choose(
    model: FailureModel,
    late: Sequence[LaterSlice],
    history: History,
    *,
    aim: Aim,
) -> tuple[tuple[float, ...], dict[str, Any]]:
    """Return a threshold per component and the figures of the later slices.

    The best F-measure of orders opened by the policy; of thresholds equally good the middle one in
    log-odds, for it leaves room on both sides. A component with few failures there takes the
    threshold of all components together. Where all have few, searching would fit chance: then the
    threshold that is best for calibrated probabilities, F / (1 + weight^2) with the best F reached
    (Lipton, Elkan & Naryanaswamy, ECML 2014).
    """
    names = model.spec.components
    if not late:
        return (UNJUDGED,) * len(names), {"calibration": asdict(model.calibration)}
    candidates = [c for s in late for c in candidates_of(model, s, history.devices)]
    shared, pooled = _best(candidates, names, history, late, aim)
    own = {name: _own(name, candidates, history, late, aim) for name in names}
    chosen = tuple(own[name] or shared for name in names)
    return chosen, {"later_slices": asdict(pooled), "calibration": asdict(model.calibration)}


def candidates_of(model: FailureModel, part: LaterSlice, devices: Sequence[str]) -> list[Candidate]:
    """Return the forecasts of a slice that any threshold of the grid could open, by time.

    A part that has failed and waits for its replacement opens nothing.
    """
    p = hazard.cumulative(part.logit, model.calibration)
    p = p[:, :, model.horizons_h.index(model.order_horizon_h)]
    row, k = np.nonzero((p >= GRID[0]) & ((part.result.hours > 0) | part.result.failed))
    order = np.argsort(part.rows.ts_ms[row], kind="stable")
    return [
        Candidate(
            device=devices[part.rows.device[i]],
            component=model.spec.components[j],
            ts_ms=int(part.rows.ts_ms[i]),
            probability=float(p[i, j]),
            row=int(i),
        )
        for i, j in zip(row[order], k[order], strict=True)
    ]


def _own(
    name: str,
    candidates: Sequence[Candidate],
    history: History,
    late: Sequence[LaterSlice],
    aim: Aim,
) -> float | None:
    mine = [c for c in candidates if c.component == name]
    best, figures = _best(mine, (name,), history, late, aim)
    return best if figures.failures >= MANY else None


def _best(
    candidates: Sequence[Candidate],
    names: Sequence[str],
    history: History,
    late: Sequence[LaterSlice],
    aim: Aim,
) -> tuple[float, Judgement]:
    figures = [_judged(candidates, names, history, late, aim, t) for t in GRID]
    score = np.array([_f_measure(f, aim.recall_weight) for f in figures])
    best = np.flatnonzero(score >= score.max() - 1e-9)
    middle = int(best[len(best) // 2])
    if figures[middle].failures < MANY:
        best_of_calibrated = float(score.max()) / (1.0 + aim.recall_weight**2)
        return max(best_of_calibrated, GRID[0]), figures[middle]
    return GRID[middle], figures[middle]


def _judged(
    candidates: Sequence[Candidate],
    names: Sequence[str],
    history: History,
    late: Sequence[LaterSlice],
    aim: Aim,
    threshold: float,
) -> Judgement:
    opened = open_orders(
        candidates,
        dict.fromkeys(names, threshold),
        happened(history, history.replacements),
        aim.right_within_h,
    )
    return judge(
        [order for order, _ in opened],
        [f for f in happened(history, history.faults) if f.component in names],
        since_ms=min(int(s.rows.ts_ms.min()) for s in late if len(s.rows)),
        until_ms=history.until_ms,
        horizon_h=aim.right_within_h,
        devices=len(history.devices),
    )


def _f_measure(figures: Judgement, beta: float) -> float:
    """Van Rijsbergen's F: recall counts `beta` times as much as precision."""
    p, r = figures.precision.value, figures.event_recall.value
    return (1 + beta**2) * p * r / (beta**2 * p + r) if p + r > 0 else 0.0


def happened(history: History, marks: Any) -> list[Failure]:  # noqa: ANN401
    """Return marks of components by name."""
    return [
        Failure(device=history.devices[d], component=history.spec.components[k], ts_ms=int(ts))
        for d, ts, k in zip(marks.device, marks.ts_ms, marks.what, strict=True)
    ]
