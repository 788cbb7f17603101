"""What simpler methods would have got: a look-up of error codes, and telemetry alone.

Both are learnt on the same history as the model and open orders by the same policy, so that what
differs is the evidence. Each is shown along its whole range of thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.backtest import Candidate, judge, open_orders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from models.backtest import Failure, Judgement
    from models.failure import FailureModel
    from models.features import Rows
    from models.history import History
    from models.labels import Outcomes
    from models.orders import Order

    Floats = NDArray[np.float64]

STEPS = 24
"""Thresholds tried along a baseline's range."""


def learn_lookup(history: History, rows: Rows, result: Outcomes, horizon_h: float) -> Floats:
    """Return the probability that a component fails within the horizon of a code; [k, q].

    Counted over the hours in which a code was heard, with one occurrence of no failure added.
    """
    fresh = _fresh(history, rows)
    soon = result.failed & (result.hours <= horizon_h)
    told = soon | (result.hours >= horizon_h)
    hits = np.einsum("mk,mq->kq", soon.astype(float), fresh.astype(float))
    total = np.einsum("mk,mq->kq", told.astype(float), fresh.astype(float))
    share: Floats = hits / (total + 1.0)
    return share


def lookup_scores(history: History, rows: Rows, lookup: Floats) -> Floats:
    """Return per component the largest probability among codes heard since the last row; [m, k]."""
    fresh = _fresh(history, rows)
    return np.stack([(fresh * lookup[k]).max(axis=1) for k in range(len(lookup))], axis=1)


def telemetry_scores(model: FailureModel, values: NDArray[np.float32]) -> Floats:
    """Return how far each component's most telling channel deviates, in healthy sigmas; [m, k]."""
    seen = model.sighted(values)
    standard = np.nan_to_num(seen.z) / model.signatures.sigma
    weight = model.signatures.weight
    telling = np.argmax(np.abs(weight), axis=1)
    sign = np.sign(weight[np.arange(len(weight)), telling])
    signed: Floats = standard[:, telling] * sign
    return signed


def curve(
    scores: Floats,
    rows: Rows,
    history: History,
    failures: Sequence[Failure],
    replaced: Sequence[Failure],
    *,
    horizon_h: float,
    since_ms: int,
    until_ms: int,
) -> list[Judgement]:
    """Return the judgement at each of a range of thresholds, from the loosest to the strictest."""
    row, k = np.nonzero(scores > 0)
    order = np.argsort(rows.ts_ms[row], kind="stable")
    names = history.spec.components
    candidates = [
        Candidate(
            device=history.devices[rows.device[i]],
            component=names[j],
            ts_ms=int(rows.ts_ms[i]),
            probability=float(scores[i, j]),
        )
        for i, j in zip(row[order], k[order], strict=True)
    ]
    return [
        judge(
            orders,
            failures,
            since_ms=since_ms,
            until_ms=until_ms,
            horizon_h=horizon_h,
            devices=len(history.devices),
        )
        for _, orders in along_thresholds(
            candidates, levels(scores[row, k]), names, replaced, horizon_h
        )
    ]


def levels(positive: Floats) -> Floats:
    """Return thresholds along the upper quarter of what was scored, rising."""
    if not len(positive):
        return np.ones(1)
    places = np.linspace(0, len(positive) - 1, 4 * STEPS).astype(int)
    found: Floats = np.unique(np.sort(positive)[places])[-STEPS:]
    return found


def along_thresholds(
    candidates: Sequence[Candidate],
    thresholds: Floats,
    names: Sequence[str],
    replaced: Sequence[Failure],
    horizon_h: float,
) -> Iterator[tuple[float, list[Order]]]:
    """Yield each threshold with the orders it opens."""
    for level in thresholds.tolist():
        opened = open_orders(candidates, dict.fromkeys(names, level), replaced, horizon_h)
        yield level, [order for order, _ in opened]


def at_recall(judged: Sequence[Judgement], foreseen: int) -> Judgement:
    """Return the most precise judgement that foresees at least so many, else the widest net."""
    enough = [j for j in judged if j.foreseen >= foreseen]
    if enough:
        return max(enough, key=lambda j: (j.precision.value, j.foreseen))
    return max(judged, key=lambda j: (j.foreseen, j.precision.value))


def _fresh(history: History, rows: Rows) -> NDArray[np.bool_]:
    """Codes heard since the boundary before each row; [m, q]."""
    hours = rows.values[:, history.spec.parts["hours_since"]]
    return np.asarray(hours < history.spec.step_ms / 3_600_000)
