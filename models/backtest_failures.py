"""Backtest of the failure model on a recorded fleet: what it would have ordered, and the figures.

The model learns what was known when training ends, of the devices it may learn from. Then time goes
on: every step of the judged devices is told once, with what was known by then, and opens orders. A
device is scored as soon as judging begins, by its last step before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from foremend.errors import ForemendError
from models import baselines, diagnosis, thresholds
from models.backtest import Candidate, open_orders
from models.features.spec import HOUR_MS
from models.fitting import TrainingPlan
from models.history import rows_of
from models.labels import outcomes
from models.training import train_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.backtest import Failure
    from models.failure import FailureModel
    from models.features import Rows
    from models.history import History
    from models.labels import Outcomes
    from models.orders import Order
    from models.tables.fleet import Fleet
    from models.training import TrainedModel

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Progress = Callable[[str, int, int], None]

SHARES_OF_HORIZON = (0.25, 0.5, 1.0, 2.0)
"""Horizons told beside the one that orders are opened for."""


class NothingToJudge(ForemendError):
    """No telemetry of a judged device lies after the day from which is judged."""


class WrongDates(ForemendError):
    """Training must end before judging begins."""


class UnknownDevices(ForemendError):
    """Devices to judge are not in the telemetry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked: instants in ms since the epoch; no `judged` devices means all of them."""

    train_until_ms: int
    judge_from_ms: int
    judge_until_ms: int | None = None
    horizon_h: float = 24.0
    judged: frozenset[str] = frozenset()
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the model said of the judged devices, on the history's clock.

    `probability[m, k]` at the order horizon, NaN where it abstained.
    """

    fleet: Fleet
    task: Task
    trained: TrainedModel
    lookup: Floats
    """What an error code alone says of each component; [k, q]."""
    rows: Rows
    probability: Floats
    result: Outcomes
    orders: tuple[Order, ...]
    judged: tuple[str, ...]
    until_ms: int
    """Where the recording ends."""


def tell(fleet: Fleet, task: Task, *, progress: Progress = lambda *_: None) -> Told:
    """Train, and let the model tell the judged time.

    Raises:
        WrongDates, UnknownDevices, NothingToJudge: the task does not fit the fleet.
        TooFewFailures: there is too little to learn from.
    """
    judged = _judged_devices(fleet.history, task)
    history = fleet.history
    progress("features", 0, 1)
    rows = rows_of(history)
    progress("features", 1, 1)
    until, since = fleet.clock(task.train_until_ms), fleet.clock(task.judge_from_ms)
    taught = ~judged if task.judged else np.ones_like(judged)
    later = rows.where((rows.ts_ms >= since - history.spec.step_ms) & judged[rows.device])
    if not (later.ts_ms >= since).any():
        raise NothingToJudge
    known = history.told_by(until).of_devices(taught)
    plan = plan_of(history, task)
    kept = (rows.ts_ms <= until) & taught[rows.device]
    before = rows.where(kept)
    trained = train_rows(before, known, plan, progress=progress)
    lookup = baselines.learn_lookup(known, before, outcomes(before, known), task.horizon_h)
    return _with_orders(_draft(fleet, task, trained, lookup, judged, later))


def plan_of(history: History, task: Task) -> TrainingPlan:
    """Return how to train: horizons shorter than a step cannot be told apart."""
    step_h = history.spec.step_ms / HOUR_MS
    horizons = {share * task.horizon_h for share in SHARES_OF_HORIZON}
    return TrainingPlan(
        horizons_h=tuple(sorted(h for h in horizons if h >= min(step_h, task.horizon_h))),
        order_horizon_h=task.horizon_h,
        seed=task.seed,
        jobs=1,
    )


def end_of(fleet: Fleet, task: Task) -> int:
    """Return where the recording ends, on the history's clock.

    Tables seldom end together. Where the last code, replacement or failure lies less than a step
    and a horizon before the last telemetry, the telling may have ended with it: no order is called
    false for what was not recorded. A longer silence is taken as silence.
    """
    history = fleet.history
    marks = (history.events, history.replacements, history.failures)
    last = max((int(m.ts_ms.max()) for m in marks if len(m)), default=history.until_ms)
    silent = history.until_ms - last
    told = last if silent < history.spec.step_ms + task.horizon_h * HOUR_MS else history.until_ms
    asked = task.judge_until_ms
    return told if asked is None else min(told, fleet.clock(asked))


def _judged_devices(history: History, task: Task) -> Mask:
    if task.train_until_ms > task.judge_from_ms:
        raise WrongDates
    strangers = sorted(task.judged - set(history.devices))
    if strangers:
        raise UnknownDevices(f"no telemetry of {', '.join(strangers[:5])}, which are to be judged")
    return np.array([not task.judged or name in task.judged for name in history.devices])


def _draft(
    fleet: Fleet, task: Task, trained: TrainedModel, lookup: Floats, judged: Mask, rows: Rows
) -> Told:
    """Return what the model says of every row, and no orders yet."""
    history, model = fleet.history, trained.model
    until = end_of(fleet, task)
    result = outcomes(rows, replace(history, until_ms=until))
    waiting = (result.hours <= 0) & ~result.failed & (result.watched_h[:, None] > 0)
    told = model.at_order_horizon(model.predict(rows.values))
    return Told(
        fleet=fleet,
        task=task,
        trained=trained,
        lookup=lookup,
        rows=rows,
        probability=np.where(waiting, np.nan, told),
        result=result,
        orders=(),
        judged=tuple(n for n, mine in zip(history.devices, judged, strict=True) if mine),
        until_ms=until,
    )


def _with_orders(draft: Told) -> Told:
    """Return the same with its orders, and without the rows from before the judging."""
    history, model, rows = draft.fleet.history, draft.trained.model, draft.rows
    since = draft.fleet.clock(draft.task.judge_from_ms)
    limits = dict(zip(model.spec.components, model.thresholds, strict=True))
    due = draft.probability >= np.array(model.thresholds)
    telling = candidates(history, rows, np.where(due, draft.probability, 0.0), since)
    opened = open_orders(telling, limits, replaced(history), draft.task.horizon_h)
    judged = rows.ts_ms >= since
    return replace(
        draft,
        rows=rows.where(judged),
        probability=draft.probability[judged],
        result=draft.result.at(judged),
        orders=tuple(_explained(model, rows, o, i) for o, i in opened),
    )


def candidates(history: History, rows: Rows, probability: Floats, since: int) -> list[Candidate]:
    """Return what could open an order, by time; what was told last before counts as `since`."""
    swaps = history.replacements
    row, k = np.nonzero(probability > 0)
    out = []
    for i, j in zip(row, k, strict=True):
        ts, device = int(rows.ts_ms[i]), int(rows.device[i])
        if ts < since:
            fresh = (swaps.device == device) & (swaps.what == j)
            if (fresh & (swaps.ts_ms > ts) & (swaps.ts_ms <= since)).any():
                continue
        out.append(
            Candidate(
                device=history.devices[device],
                component=history.spec.components[j],
                ts_ms=max(ts, since),
                probability=float(probability[i, j]),
                row=int(i),
            )
        )
    return sorted(out, key=lambda c: c.ts_ms)


def _explained(model: FailureModel, rows: Rows, order: Order, row: int) -> Order:
    k = model.spec.components.index(order.component)
    why = diagnosis.reasons(model, rows.values[row], component=k, top=3)
    return replace(order, top_reasons=tuple(r.short() for r in why))


def replaced(history: History) -> list[Failure]:
    """Return the replacements of a history, those of failed parts included."""
    return thresholds.happened(history, history.replacements)
