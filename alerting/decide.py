"""What an evaluation, or the mere passing of time, does to an alert; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from alerting.silences import silenced
from alerting.values import (
    Action,
    AlertKind,
    AlertState,
    Decision,
    Life,
    Mute,
    Policy,
    Reason,
    Word,
)

if TYPE_CHECKING:
    from datetime import datetime

    from alerting.values import Context, Evaluation, Group

POLICIES: Final = {
    AlertKind.FAILURE: Policy(
        fire_after=2,
        clear_after=3,
        # Scoring writes each evaluation above the threshold but only the first below it, so that
        # time without a word above is what clears.
        clear_for=timedelta(hours=3),
        forget_after=timedelta(hours=48),
        certain=0.5,
    ),
    AlertKind.INSPECTION: Policy(
        fire_after=1,
        clear_after=1,
        clear_for=timedelta(0),
        forget_after=timedelta(days=14),
    ),
    AlertKind.FAULT: Policy(
        fire_after=1,
        clear_after=1,
        # Since the device was seen at work again; a fault that comes and goes comes back by then.
        clear_for=timedelta(hours=12),
        forget_after=timedelta(days=30),
    ),
}


def decide(
    state: AlertState | None, evaluation: Evaluation, context: Context, now: datetime
) -> Decision:
    """Decide what one evaluation does to the open alert of its group, or to none."""
    muted_by = mute(evaluation.group, context, now)
    action, reason = _act(state, evaluation, POLICIES[evaluation.group.kind])
    return Decision(action=action, reason=reason, muted_by=muted_by)


def tick(state: AlertState, group: Group, context: Context, now: datetime) -> Decision:
    """Decide what the passing of time does to an open alert."""
    muted_by = mute(group, context, now)
    lapse = _settle if group.kind is AlertKind.FAULT else _lapse
    action, reason = lapse(state, context, POLICIES[group.kind], now)
    if action is Action.IGNORE and muted_by is not state.muted_by:
        action = Action.REMUTE
        reason = Reason.MUTE_BEGAN if muted_by else Reason.MUTE_ENDED
    return Decision(action=action, reason=reason, muted_by=muted_by)


def expired(state: AlertState, evaluation: Evaluation) -> bool:
    """Tell whether what the alert foresaw is over while the risk goes on.

    Such an alert ends and a new one begins: its forecast said nothing about the time after its
    horizon, and nobody has taken it up. An acknowledged alert is being looked after and stays.
    """
    if state.life is not Life.FIRING or state.fired_at is None or evaluation.horizon_h is None:
        return False
    horizon = timedelta(hours=evaluation.horizon_h)
    return evaluation.word is Word.ABOVE and evaluation.ts > state.fired_at + horizon


def mute(group: Group, context: Context, now: datetime) -> Mute | None:
    """Give what keeps an alert quiet.

    A device that is away mutes only inspections: a failure that was foreseen or told stays so when
    the device falls silent, and may be why it did.
    """
    if silenced(group, context, now):
        return Mute.SILENCED
    if group.kind is not AlertKind.INSPECTION:
        return Mute.OPEN_WORK_ORDER if context.open_work_order else None
    if context.failure_alert:
        return Mute.EXPLAINED_BY_FAILURE
    return None if context.device_online else Mute.DEVICE_OFFLINE


def advance(
    state: AlertState | None, evaluation: Evaluation | None, decision: Decision, now: datetime
) -> AlertState:
    """Give the alert as it stands after a decision."""
    old = state or AlertState(life=Life.PENDING, opened_at=now, updated_at=now)
    old = replace(old, muted_by=decision.muted_by)
    if evaluation is not None:
        old = _counted(old, evaluation)
    if decision.action is Action.FIRE:
        old = replace(old, life=Life.FIRING, fired_at=now)
    elif decision.action is Action.RESOLVE:
        old = replace(old, life=Life.RESOLVED, resolved_at=now)
    elif decision.reason is Reason.RUNS_AGAIN:
        old = replace(old, below_since=now)
    return replace(old, told_at=now) if old.loud and old.told_at is None else old


def _act(state: AlertState | None, evaluation: Evaluation, policy: Policy) -> tuple[Action, Reason]:
    if evaluation.word is Word.DRIFT:
        return Action.IGNORE, Reason.DRIFT_ALONE
    if state is not None and evaluation.ts < state.updated_at:
        return Action.IGNORE, Reason.OUT_OF_ORDER
    if evaluation.group.kind is AlertKind.FAULT:
        return (Action.KEEP, Reason.TOLD_AGAIN) if state else (Action.FIRE, Reason.TOLD)
    if evaluation.word is Word.ABOVE:
        return _above(state, evaluation, policy)
    return _below(state, policy)


def _above(
    state: AlertState | None, evaluation: Evaluation, policy: Policy
) -> tuple[Action, Reason]:
    if state is not None and state.life is not Life.PENDING:
        return Action.KEEP, Reason.STILL_ABOVE
    hits = 1 if state is None else state.hits + 1
    if hits >= policy.fire_after:
        return Action.FIRE, Reason.CONFIRMED
    if _certain(evaluation, policy):
        return Action.FIRE, Reason.CERTAIN
    return Action.WAIT, Reason.FIRST_ABOVE if state is None else Reason.STILL_RISING


def _certain(evaluation: Evaluation, policy: Policy) -> bool:
    if policy.certain is None or evaluation.probability is None or evaluation.threshold is None:
        return False
    threshold = evaluation.threshold
    return evaluation.probability >= threshold + policy.certain * (1 - threshold)


def _below(state: AlertState | None, policy: Policy) -> tuple[Action, Reason]:
    if state is None:
        return Action.IGNORE, Reason.NOTHING_OPEN
    if state.life is Life.PENDING:
        return Action.RESOLVE, Reason.NEVER_CONFIRMED
    if state.misses + 1 >= policy.clear_after:
        return Action.RESOLVE, Reason.STAYED_BELOW
    return Action.KEEP, Reason.FIRST_BELOW if state.misses == 0 else Reason.STILL_BELOW


def _settle(
    state: AlertState, context: Context, policy: Policy, now: datetime
) -> tuple[Action, Reason]:
    """Look at a fault that its device told: it may have said that it is well, or run again."""
    if any(state.updated_at < at <= now for at in context.well_at):
        return Action.RESOLVE, Reason.WELL_AGAIN
    if state.below_since is None and context.running:
        return Action.KEEP, Reason.RUNS_AGAIN
    action, reason = _lapse(state, context, policy, now)
    return action, Reason.RAN_ON if reason is Reason.STAYED_BELOW else reason


def _lapse(
    state: AlertState, _context: Context, policy: Policy, now: datetime
) -> tuple[Action, Reason]:
    if state.below_since is not None and now - state.below_since >= policy.clear_for:
        return Action.RESOLVE, Reason.STAYED_BELOW
    if now - state.updated_at >= policy.forget_after:
        return Action.RESOLVE, Reason.NO_WORD
    return Action.IGNORE, Reason.NOTHING_DUE


def _counted(state: AlertState, evaluation: Evaluation) -> AlertState:
    if evaluation.word is Word.ABOVE:
        return replace(
            state, hits=state.hits + 1, misses=0, below_since=None, updated_at=evaluation.ts
        )
    return replace(
        state,
        hits=0,
        misses=state.misses + 1,
        below_since=state.below_since or evaluation.ts,
        updated_at=evaluation.ts,
    )
