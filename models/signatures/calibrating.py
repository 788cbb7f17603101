"""Fits a library's odds to probabilities, and its order threshold to a precision, on histories.

Hazards come from some units, the threshold from others; what is then claimed is to be checked on
yet others. The hazards say how far the library's weights are to be believed and how often such
devices fail at all; the shifts, which modes show earlier or later before failure than others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from models import hazard
from models.backtest import Candidate, Failure, judge, open_orders
from models.history import Findings, Found, Marks, rows_of
from models.labels import intervals, outcomes
from models.signatures.library import HORIZONS_H, NO_ORDER, ORDER_HORIZON_H, Calibration
from models.signatures.likelihood import weigh
from models.signatures.model import SignatureModel
from models.signatures.recorded import as_seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.backtest import Judgement
    from models.features import Rows
    from models.history import History
    from models.labels import Outcomes
    from models.signatures.library import Library

    Floats = NDArray[np.float64]

GRID: Final = tuple(round(0.05 * i, 2) for i in range(6, 20))
PRECISION: Final = 0.9
"""Share of orders that must be right on units that the odds were not fitted to."""
CELL: Final = 0.125
"""Odds nearer to one another than this are taken as equal."""
DAY: Final = 24.0
"""Rows of one day say much the same: each counts as this part of an observation."""
LEAST_ORDERS: Final = 20
"""Orders below which a precision is chance."""
RIGHT_WITHIN_H: Final = 72.0
"""An order is right if its component fails, or is found degraded, within so many hours."""
KNOTS: Final = (-10.0, -7.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0)
"""Odds between which hazards run straight."""
ROUGHNESS: Final = 4.0
"""How much a bend between knots costs: a few failures must not draw a zigzag."""
HELD: Final = 8.0
"""How firmly the shift of a mode is held at 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A history in a library's terms, with what became of each mode after each row."""

    history: History
    rows: Rows
    odds: Floats
    known: NDArray[np.bool_]
    result: Outcomes
    """Over the modes, not the components."""


def judged(
    library: Library, history: History, modes: Sequence[str], device_model: str | None = None
) -> Judged:
    """Weigh a history; `modes` name the failure mode of each of its findings."""
    model = SignatureModel(library=library)
    seen = as_seen(model, history, device_model)
    rows = rows_of(seen)
    weighed = weigh(model.layout, rows.values)
    by_mode = _by_mode(model, seen, _modes_of(model, history, modes))
    result = outcomes(rows, by_mode)
    # A device that stands still waiting for a part is beyond foresight: scoring is silent there.
    waits = np.asarray(((result.hours <= 0) & ~result.failed).any(axis=1))
    return Judged(
        history=by_mode,
        rows=rows,
        odds=weighed.odds,
        known=weighed.known & ~waits[:, None],
        result=result,
    )


def _modes_of(model: SignatureModel, history: History, modes: Sequence[str]) -> list[str]:
    """Keep the modes of findings in components that the library knows."""
    known = model.spec.components
    return [
        mode
        for mode, what in zip(modes, history.findings.what, strict=True)
        if history.spec.components[what] in known
    ]


def _by_mode(model: SignatureModel, seen: History, modes: Sequence[str]) -> History:
    """Give a history whose parts are modes: a replacement ends every mode of its component."""
    names = tuple(f"{component}/{mode}" for component, mode in model.modes)
    owner = model.layout.component
    f = seen.findings
    told = [f"{seen.spec.components[k]}/{mode}" for k, mode in zip(f.what, modes, strict=True)]
    what = np.array([names.index(name) if name in names else -1 for name in told], dtype=np.int64)
    spec = replace(seen.spec, components=names)
    return replace(
        seen,
        spec=spec,
        findings=Findings(
            device=f.device, ts_ms=f.ts_ms, what=what, condition=f.condition, known_ms=f.known_ms
        ).where(what >= 0),
        replacements=_spread(seen.replacements, owner),
        installs=_spread(seen.installs, owner),
    )


def _spread(marks: Marks, owner: NDArray[np.int64]) -> Marks:
    """Give a mark of a component to each of its modes."""
    parts = [marks.where(marks.what == component) for component in owner]
    return Marks.of(
        np.concatenate([p.device for p in parts]),
        np.concatenate([p.ts_ms for p in parts]),
        np.repeat(np.arange(len(owner)), [len(p) for p in parts]),
    )


def fitted(library: Library, fit: Sequence[Judged], held: Sequence[Judged], source: str) -> Library:
    """Return the library with a calibration for its evidence.

    Odds are fitted to `fit`, the threshold to `held`; `source` says on what.
    """
    hazards, shifts = _fit(fit, len(library.modes))
    found = Calibration(
        knots=KNOTS,
        hazards=hazards,
        shifts=shifts,
        threshold=NO_ORDER,
        evidence=library.fingerprint,
        source=source,
    )
    uncut = replace(library, calibration=found)
    chosen = _threshold(SignatureModel(library=uncut), held)
    return replace(library, calibration=replace(found, threshold=chosen))


def _fit(
    fit: Sequence[Judged], modes: int
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Penalised maximum likelihood by Newton's method over person-periods."""
    design, events, weight = _periods(fit, modes)
    size = len(KNOTS) * len(HORIZONS_H)
    penalty = np.diag(np.r_[np.full(size, 1e-3), np.full(modes, HELD)])
    penalty[:size, :size] += _bends()
    theta = np.r_[np.tile(0.6 * np.array(KNOTS) - 3.0, len(HORIZONS_H)), np.zeros(modes)]
    for _ in range(60):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ theta, -30.0, 30.0)))
        slope = design.T @ (events - weight * p) - penalty @ theta
        curve = (design * (weight * p * (1.0 - p))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        theta = theta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-8:  # noqa: PLR2004 - settled
            break
    level = np.maximum.accumulate(theta[:size].reshape(len(HORIZONS_H), -1), axis=1)
    hazards = tuple(tuple(round(float(v), 3) for v in row) for row in level.T)
    return hazards, tuple(round(float(v), 3) for v in theta[size:])


def _bends() -> Floats:
    """Give the penalty on second differences along the knots of each interval."""
    second = np.diff(np.eye(len(KNOTS)), n=2, axis=0)
    return np.asarray(
        np.kron(np.eye(len(HORIZONS_H)), ROUGHNESS * second.T @ second), dtype=np.float64
    )


def _periods(fit: Sequence[Judged], modes: int) -> tuple[Floats, Floats, Floats]:
    """Give cells of equal odds, mode and interval: weights on knots and modes, events, weight."""
    knots, h = len(KNOTS), len(HORIZONS_H)
    cells, events = [], []
    for one in fit:
        at_risk, event = intervals(one.result, HORIZONS_H)
        row, mode, interval = np.nonzero(at_risk & one.known[:, :, None])
        step = np.rint(np.clip(one.odds[row, mode], KNOTS[0], KNOTS[-1]) / CELL).astype(np.int64)
        cells.append(np.column_stack([step, mode, interval]))
        events.append(event[row, mode, interval].astype(float))
    cell, which, count = np.unique(
        np.concatenate(cells), axis=0, return_inverse=True, return_counts=True
    )
    happened = np.bincount(which.reshape(-1), np.concatenate(events), len(cell))
    design = np.zeros((len(cell), knots * h + modes))
    hats = _hats(cell[:, 0] * CELL)
    for i in range(h):
        mine = cell[:, 2] == i
        design[mine, i * knots : (i + 1) * knots] = hats[mine]
    design[np.arange(len(cell)), knots * h + cell[:, 1]] = 1.0
    return design, happened / DAY, count / DAY


def _hats(odds: Floats) -> Floats:
    """Give the weight of each knot at odds [n]; [n, knots]."""
    eye = np.eye(len(KNOTS))
    return np.column_stack([np.interp(odds, KNOTS, eye[i]) for i in range(len(KNOTS))])


def _threshold(model: SignatureModel, held: Sequence[Judged]) -> float:
    """Return the lowest threshold from which on every one keeps the precision; else no order.

    Thresholds that hardly open an order tell nothing.
    """
    chosen = NO_ORDER
    for threshold in reversed(GRID):
        told = [orders_judged(model, one, threshold).precision for one in held]
        hits, total = sum(t.hits for t in told), sum(t.total for t in told)
        if total < LEAST_ORDERS:
            continue
        if hits / total < PRECISION:
            break
        chosen = threshold
    return chosen


def probabilities(model: SignatureModel, one: Judged) -> Floats:
    """Return the probability at the order horizon of every row and mode; [m, k]."""
    told = hazard.cumulative(model.logits(one.odds), hazard.Calibration())
    at = HORIZONS_H.index(ORDER_HORIZON_H)
    return np.where(one.known, told[:, :, at], np.nan)


def brier(model: SignatureModel, one: Judged) -> tuple[float, float]:
    """Return the Brier score at the order horizon, and how often modes failed by then."""
    p, failed = told_and_failed(model, one)
    return float(((p - failed) ** 2).mean()), float(failed.mean())


def told_and_failed(model: SignatureModel, one: Judged) -> tuple[Floats, Floats]:
    """Return probabilities at the order horizon and what came, where both are known; [n] each."""
    p = probabilities(model, one)
    told = one.known & (one.result.watched_h[:, None] >= ORDER_HORIZON_H)
    told &= one.result.failed | (one.result.hours >= ORDER_HORIZON_H)
    failed = one.result.failed & (one.result.hours <= ORDER_HORIZON_H)
    return p[told], failed[told].astype(float)


def orders_judged(model: SignatureModel, one: Judged, threshold: float) -> Judgement:
    """Judge the orders that a threshold opens in a history, by component."""
    p = probabilities(model, one)
    row, mode = np.nonzero(np.nan_to_num(p) >= threshold)
    order = np.lexsort((mode, one.rows.ts_ms[row]))
    component = [name for name, _ in model.modes]
    candidates = [
        Candidate(
            device=one.history.devices[one.rows.device[row[i]]],
            component=component[mode[i]],
            ts_ms=int(one.rows.ts_ms[row[i]]),
            probability=float(p[row[i], mode[i]]),
        )
        for i in order
    ]
    opened = open_orders(
        candidates,
        dict.fromkeys(component, threshold),
        _happened(model, one, one.history.replacements),
        RIGHT_WITHIN_H,
    )
    return judge(
        [order for order, _ in opened],
        _happened(model, one, _ends(one)),
        since_ms=int(one.rows.ts_ms.min()),
        until_ms=one.history.until_ms,
        horizon_h=RIGHT_WITHIN_H,
        devices=len(one.history.devices),
    )


def _ends(one: Judged) -> Marks:
    """Give every end of a life with a fault: failed, or found degraded."""
    f = one.history.findings
    bad = f.condition != Found.NO_FAULT
    return Marks.of(f.device[bad], f.ts_ms[bad], f.what[bad])


def _happened(model: SignatureModel, one: Judged, marks: Marks) -> list[Failure]:
    """Name what happened to components; modes of one component share an instant."""
    told = {
        (one.history.devices[d], model.modes[k][0], int(ts))
        for d, ts, k in zip(marks.device, marks.ts_ms, marks.what, strict=True)
    }
    return [Failure(device=d, component=c, ts_ms=ts) for d, c, ts in sorted(told)]
