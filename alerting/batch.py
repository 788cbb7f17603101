"""Gather, decide, apply: one batch of evaluations, or one look at the clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alerting.decide import advance, decide, expired, tick
from alerting.metrics import count
from alerting.values import Action, AlertKind, Change, Life, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from alerting.store import AlertStore, Due
    from alerting.values import AlertState, Context, Decision, Evaluation, Group

BATCH: Final = 500


def handle(store: AlertStore, limit: int = BATCH) -> int:
    """Handle the oldest unhandled rows; gives their number."""
    evaluations = store.take(limit)
    groups = {e.group for e in evaluations}
    board = store.standing(groups)
    contexts = store.surroundings(groups)
    changes = [c for e in evaluations for c in fold(board, e, contexts[e.group])]
    store.save(changes, evaluations)
    count(changes)
    return len(evaluations)


def look_at_clock(store: AlertStore) -> int:
    """Resolve what stayed quiet and review what is muted; gives the number of changes."""
    due = store.due()
    groups = {entry.group for entry in due}
    board = store.standing(groups)
    contexts = store.surroundings(groups)
    changes = [
        change
        for entry in due
        if entry.group in board
        for change in _ticked(board, entry, contexts[entry.group])
    ]
    store.save(changes, ())
    count(changes)
    return len(changes)


def fold(
    board: dict[Group, AlertState], evaluation: Evaluation, context: Context
) -> Iterator[Change]:
    """Give the changes that one evaluation makes, and bring the board up to date.

    Time that passed before the evaluation counts first: an alert whose time to clear was over
    resolves, and the evaluation begins a new one, however late both were looked at.
    """
    group, now = evaluation.group, evaluation.ts
    context = _explained(context, board, group)
    over = _over(board.get(group), evaluation, context)
    if over is not None:
        yield _stepped(board, group, None, over, context, now)
    if over is not None and over.reason is Reason.HORIZON_PASSED:
        decision = replace(over, action=Action.FIRE, reason=Reason.RENEWED)
    else:
        decision = decide(board.get(group), evaluation, context, now)
    if decision.action is not Action.IGNORE:
        yield _stepped(board, group, evaluation, decision, context, now)


def _over(state: AlertState | None, evaluation: Evaluation, context: Context) -> Decision | None:
    """Give the decision that ends the open alert before the evaluation is looked at, if any."""
    if state is None:
        return None
    decision = tick(state, evaluation.group, context, evaluation.ts)
    if decision.action is Action.RESOLVE:
        return decision
    if expired(state, evaluation):
        return replace(decision, action=Action.RESOLVE, reason=Reason.HORIZON_PASSED)
    return None


def _ticked(board: dict[Group, AlertState], entry: Due, context: Context) -> Iterator[Change]:
    context = _explained(context, board, entry.group)
    decision = tick(board[entry.group], entry.group, context, entry.now)
    if decision.action is not Action.IGNORE:
        yield _stepped(board, entry.group, None, decision, context, entry.now)


def _stepped(
    board: dict[Group, AlertState],
    group: Group,
    evaluation: Evaluation | None,
    decision: Decision,
    context: Context,
    now: datetime,
) -> Change:
    before = board.pop(group, None)
    after = advance(before, evaluation, decision, now)
    if after.life is not Life.RESOLVED:
        board[group] = after
    return Change(
        group=group,
        decision=decision,
        before=before,
        after=after,
        context=context,
        at=now,
        evaluation=evaluation,
    )


def _explained(context: Context, board: dict[Group, AlertState], group: Group) -> Context:
    """Tell the context whether a failure of the same device is foreseen, as the board stands."""
    if group.kind is not AlertKind.INSPECTION:
        return context
    foreseen = any(
        other.kind is AlertKind.FAILURE
        and (other.timeline, other.device_id) == (group.timeline, group.device_id)
        and state.life is not Life.PENDING
        for other, state in board.items()
    )
    return replace(context, failure_alert=foreseen)
