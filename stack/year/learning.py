"""How a year learns: when there is enough that is new, what is trained, and whether it is adopted.

Training sees what devices said and what orders found, never the simulation's truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from models.backtest import judge, open_orders
from models.fitting import TrainingPlan
from models.labels import outcomes
from models.thresholds import LaterSlice, candidates_of, happened
from models.training import TooFewFailures, train_rows
from stack.training import RECALL_WEIGHT, RIGHT_WITHIN_H
from stack.year.terms import PACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.clock import Millis
    from models.failure import FailureModel
    from models.features import Rows
    from models.history import History
    from stack.year.record import Known

GROWTH: Final = 2.0
"""A model is trained anew once so many times as many failures are known as it was taught by."""
BAGS: Final = 3
"""Of trees while failures are few: each asks for its share of every judgement of the year."""
TRIAL: Final = 0.75
"""Share of the known failures on which a newcomer is tried; both are judged on what followed."""


class Reason(Enum):
    """Why a model is trained or not, adopted or not."""

    NOTHING_IN_FORCE = "nothing_in_force"
    ENOUGH_NEW = "enough_new"
    LITTLE_NEW = "little_new"
    TOO_FEW_FAILURES = "too_few_failures"
    NO_WORSE = "no_worse"
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether to do it, and why."""

    yes: bool
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What orders of a model would have been worth on what it had not seen."""

    precision: float
    recall: float

    @property
    def worth(self) -> float:
        """Van Rijsbergen's F, in which a missed failure weighs as the thresholds' choice has it."""
        beta2 = RECALL_WEIGHT**2
        bottom = beta2 * self.precision + self.recall
        return (1 + beta2) * self.precision * self.recall / bottom if bottom > 0.0 else 0.0


def due(known: int, taught: int) -> Decision:
    """Decide whether so many known failures are worth a training, after one by `taught`."""
    if known >= GROWTH * taught:
        return Decision(yes=True, reason=Reason.ENOUGH_NEW)
    return Decision(yes=False, reason=Reason.LITTLE_NEW)


def adopted(newcomer: Score, champion: Score | None) -> Decision:
    """Decide whether a newcomer takes the place of the model in force, if there is one."""
    if champion is None:
        return Decision(yes=True, reason=Reason.NOTHING_IN_FORCE)
    if newcomer.worth >= champion.worth:
        return Decision(yes=True, reason=Reason.NO_WORSE)
    return Decision(yes=False, reason=Reason.WORSE)


def plan(failure_modes: Mapping[str, str], seed: int) -> TrainingPlan:
    """Give the demonstration's plan of training at the year's slower pace."""
    usual = TrainingPlan()
    return TrainingPlan(
        horizons_h=tuple(PACE * hours for hours in usual.horizons_h),
        order_horizon_h=PACE * usual.order_horizon_h,
        right_within_h=PACE * RIGHT_WITHIN_H,
        recall_weight=RECALL_WEIGHT,
        seed=seed,
        jobs=1,
        bags_of_few=BAGS,
        failure_modes=tuple(sorted(failure_modes.items())),
    )


def taught(known: Known, how: TrainingPlan) -> FailureModel | None:
    """Train on all that is known; None where that is too little."""
    try:
        return train_rows(known.rows, known.history, how).model
    except TooFewFailures:
        return None


def tried(known: Known, how: TrainingPlan, champion: FailureModel | None) -> Decision:
    """Train a newcomer on the first three quarters of the failures, and judge it on the rest.

    The model in force is judged on the same; it was taught before, so neither has seen any of it.
    """
    cut_ms = _cut(known.history)
    earlier = known.until(cut_ms)
    later = known.rows.where(known.rows.ts_ms > cut_ms)
    newcomer = taught(earlier, how)
    if newcomer is None or not len(later):
        return Decision(yes=champion is None, reason=Reason.TOO_FEW_FAILURES)
    before = None if champion is None else score(champion, later, known.history, how)
    return adopted(score(newcomer, later, known.history, how), before)


def score(model: FailureModel, rows: Rows, history: History, how: TrainingPlan) -> Score:
    """Judge the orders that a model would have opened on rows that it has not seen."""
    part = LaterSlice(rows=rows, logit=model.logits(rows.values), result=outcomes(rows, history))
    opened = open_orders(
        candidates_of(model, part, history.devices),
        dict(zip(model.spec.components, model.thresholds, strict=True)),
        happened(history, history.replacements),
        how.aim.right_within_h,
    )
    told = judge(
        [order for order, _ in opened],
        happened(history, history.faults),
        since_ms=int(rows.ts_ms.min()),
        until_ms=history.until_ms,
        horizon_h=how.aim.right_within_h,
        devices=len(history.devices),
    )
    return Score(
        precision=float(np.nan_to_num(told.precision.value)),
        recall=float(np.nan_to_num(told.event_recall.value)),
    )


def _cut(history: History) -> Millis:
    known = np.sort(history.faults.ts_ms)
    if not len(known):
        return history.until_ms
    return int(known[int(TRIAL * len(known))])
