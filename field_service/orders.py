"""Which move an order may make, and why not; pure.

`move` decides, `moved` gives the order after it. The table is the whole law: what does not stand in
it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from field_service.values import OVER, Ask, Order, State, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class Action(Enum):
    """What can be asked of an order."""

    TRY_REMOTE = "try_remote"
    QUALIFY = "qualify"
    OFFER = "offer"
    CHOOSE = "choose"
    ACCEPT = "accept"
    SHIP = "ship"
    START = "start"
    FIT = "fit"
    PART_SEEN = "part_seen"
    CLOSE = "close"
    REOPEN = "reopen"
    HOLD = "hold"
    RESUME = "resume"
    CANNOT_COMPLETE = "cannot_complete"
    CANCEL = "cancel"
    LAPSE = "lapse"
    MERGE = "merge"


FOR_PEOPLE: Final = frozenset(
    {
        Action.CHOOSE,
        Action.ACCEPT,
        Action.SHIP,
        Action.START,
        Action.FIT,
        Action.HOLD,
        Action.RESUME,
        Action.CANNOT_COMPLETE,
        Action.CANCEL,
    }
)
"""What a person may ask for; the others are policy's and telemetry's."""


class Reason(Enum):
    """Why an order moved, or why it did not."""

    FAILURE_FORESEEN = "failure_foreseen"
    FAULT_REPORTED = "fault_reported"
    EVIDENCE_SUFFICES = "evidence_suffices"
    OFFERED_BY_POLICY = "offered_by_policy"
    REMOTE_FIRST = "remote_first"
    CONSENT_GIVEN = "consent_given"
    OWNER_CHOSE = "owner_chose"
    PARTS_SENT = "parts_sent"
    WORK_BEGUN = "work_begun"
    PART_FITTED = "part_fitted"
    PART_REPLACED_UNASKED = "part_replaced_unasked"
    RECOVERED = "recovered"
    NO_TELEMETRY = "no_telemetry"
    NOT_RECOVERED = "not_recovered"
    PUT_ON_HOLD = "put_on_hold"
    RESUMED = "resumed"
    GIVEN_UP = "given_up"
    CANCELLED = "cancelled"
    RISK_PASSED = "risk_passed"
    MERGED = "merged"
    # Refusals
    ORDER_IS_OVER = "order_is_over"
    NOT_FROM_THIS_STATE = "not_from_this_state"
    NEEDS_REASON = "needs_reason"
    NEEDS_FINDING = "needs_finding"
    NEEDS_STRATEGY = "needs_strategy"
    STRATEGY_NOT_FEASIBLE = "strategy_not_feasible"
    FINDING_STANDS = "finding_stands"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where an order goes and why; `to` is None for a refusal."""

    to: State | None
    reason: Reason


_S, _A = State, Action
_EARLY: Final = (_S.PROPOSED, _S.REMOTE_FIX, _S.QUALIFIED, _S.OFFERED)
_AT_WORK: Final = (_S.ACCEPTED, _S.PARTS_PENDING, _S.IN_PROGRESS)
_HOLDABLE: Final = (*_EARLY, *_AT_WORK)
_UNDONE: Final = (*_HOLDABLE, _S.ON_HOLD, _S.CANNOT_COMPLETE)

TABLE: Final[dict[Action, tuple[tuple[State, ...], State | None, Reason]]] = {
    _A.TRY_REMOTE: ((_S.PROPOSED,), _S.REMOTE_FIX, Reason.REMOTE_FIRST),
    _A.QUALIFY: ((_S.PROPOSED, _S.REMOTE_FIX), _S.QUALIFIED, Reason.EVIDENCE_SUFFICES),
    _A.OFFER: ((_S.QUALIFIED,), _S.OFFERED, Reason.OFFERED_BY_POLICY),
    _A.CHOOSE: (
        (*_EARLY, _S.ACCEPTED, _S.PARTS_PENDING, _S.CANNOT_COMPLETE),
        _S.OFFERED,
        Reason.OWNER_CHOSE,
    ),
    _A.ACCEPT: ((_S.OFFERED,), _S.ACCEPTED, Reason.CONSENT_GIVEN),
    _A.SHIP: ((_S.ACCEPTED,), _S.PARTS_PENDING, Reason.PARTS_SENT),
    _A.START: ((_S.ACCEPTED, _S.PARTS_PENDING), _S.IN_PROGRESS, Reason.WORK_BEGUN),
    _A.FIT: ((*_AT_WORK, _S.VERIFYING), _S.VERIFYING, Reason.PART_FITTED),
    _A.PART_SEEN: (_UNDONE, _S.VERIFYING, Reason.PART_REPLACED_UNASKED),
    _A.CLOSE: ((_S.VERIFYING,), _S.CLOSED, Reason.RECOVERED),
    _A.REOPEN: ((_S.VERIFYING,), _S.OFFERED, Reason.NOT_RECOVERED),
    _A.HOLD: (_HOLDABLE, _S.ON_HOLD, Reason.PUT_ON_HOLD),
    _A.RESUME: ((_S.ON_HOLD,), None, Reason.RESUMED),
    _A.CANNOT_COMPLETE: (_AT_WORK, _S.CANNOT_COMPLETE, Reason.GIVEN_UP),
    _A.CANCEL: (_UNDONE, _S.CANCELLED, Reason.CANCELLED),
    _A.LAPSE: (_EARLY, _S.CANCELLED, Reason.RISK_PASSED),
    _A.MERGE: (_UNDONE, _S.MERGED, Reason.MERGED),
}
"""Action -> from where, to where, and why; a resumed order goes back to where it was held."""

_NEED_WORDS: Final = frozenset({_A.HOLD, _A.CANNOT_COMPLETE, _A.CANCEL})


def move(order: Order, action: Action, ask: Ask) -> Decision:
    """Decide whether an order may make this move."""
    refusal = _refusal(order, action, ask)
    if refusal is not None:
        return Decision(to=None, reason=refusal)
    _, to, reason = TABLE[action]
    return Decision(to=to or order.held_from or State.OFFERED, reason=reason)


def moved(order: Order, action: Action, decision: Decision, now: datetime) -> Order:
    """Give the order as it stands after a move that was allowed; `now` never goes back.

    Raises:
        ValueError: the decision is a refusal.
    """
    if decision.to is None:
        raise ValueError(f"{decision.reason.value} moves nothing")
    return replace(
        order,
        state=decision.to,
        state_at=max(now, order.state_at),
        held_from=order.state if action is Action.HOLD else None,
        reopened=order.reopened + (action is Action.REOPEN),
        version=order.version + 1,
    )


def fitted(order: Order, ask: Ask, at: datetime, verify_hours: float) -> Order:
    """Give the order with what the finding says; verification may end `verify_hours` later."""
    return replace(
        order,
        as_found=ask.as_found or order.as_found,
        fitted_at=at,
        verify_until=at + timedelta(hours=verify_hours),
    )


def feasible(order: Order) -> tuple[Strategy, ...]:
    """Give the strategies that the order could have, best first."""
    return tuple(Strategy(row["strategy"]) for row in order.options if not row.get("fallout"))


def following(order: Order) -> Strategy | None:
    """Give the strategy to offer after one did not fix it: the best other one, or the same."""
    others = [s for s in feasible(order) if s is not order.strategy]
    return others[0] if others else order.strategy


def allowed(order: Order) -> tuple[Action, ...]:
    """Give what a person may ask of the order as it stands."""
    told = order.state is State.VERIFYING and order.as_found is not None
    return tuple(
        a
        for a in Action
        if a in FOR_PEOPLE and order.state in TABLE[a][0] and not (told and a is Action.FIT)
    )


def _refusal(order: Order, action: Action, ask: Ask) -> Reason | None:
    if order.state in OVER:
        return Reason.ORDER_IS_OVER
    if order.state not in TABLE[action][0]:
        return Reason.NOT_FROM_THIS_STATE
    if action in _NEED_WORDS and not ask.reason.strip():
        return Reason.NEEDS_REASON
    asked_for = _ASKED_FOR.get(action)
    return asked_for(order, ask) if asked_for else None


def _unfit(order: Order, ask: Ask) -> Reason | None:
    if ask.as_found is None:
        return Reason.NEEDS_FINDING
    # A device may say that a part was replaced before anybody says what was found.
    if order.state is State.VERIFYING and order.as_found is not None:
        return Reason.FINDING_STANDS
    return None


def _unchosen(order: Order, ask: Ask) -> Reason | None:
    if ask.strategy is None:
        return Reason.NEEDS_STRATEGY
    return None if ask.strategy in feasible(order) else Reason.STRATEGY_NOT_FEASIBLE


def _unaccepted(order: Order, ask: Ask) -> Reason | None:  # noqa: ARG001 - one shape for all
    return Reason.NEEDS_STRATEGY if order.strategy is None else None


_ASKED_FOR: Final[dict[Action, Callable[[Order, Ask], Reason | None]]] = {
    Action.FIT: _unfit,
    Action.CHOOSE: _unchosen,
    Action.ACCEPT: _unaccepted,
}
