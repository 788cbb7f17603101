"""One move of one order with everything that belongs to it: parts, finding, ledger, notices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from field_service import orders
from field_service.orders import Action, Reason
from field_service.sentences import moved_payload
from field_service.values import Ask, Finding, LedgerEvent, State
from foremend.errors import ForemendError, Remedy
from foremend.values import AsFound, Money

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from field_service.store import Desk
    from field_service.values import Order, Strategy, Verified

TOLD: Final = {
    State.CLOSED: "work_order.closed",
    State.CANCELLED: "work_order.cancelled",
    State.CANNOT_COMPLETE: "work_order.cannot_complete",
}
REOPENED: Final = "work_order.reopened"
MOVED: Final = "work_order.moved"


class MoveRefused(ForemendError):
    """The order may not make this move."""

    remedy = Remedy.REJECT

    def __init__(self, order: Order, action: Action, reason: Reason) -> None:
        super().__init__(
            f"{order.name} is {order.state.value}: {action.value} is refused, {reason.value}"
        )
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A move to be made; `reason` replaces the table's where more is known."""

    action: Action
    actor: str
    at: datetime
    ask: Ask = field(default_factory=Ask)
    reason: Reason | None = None
    verdict: Verified | None = None
    params: dict[str, Any] = field(default_factory=dict)


def take_step(desk: Desk, order: Order, step: Step) -> Order:
    """Make one move and everything that belongs to it; gives the order after it.

    Raises:
        MoveRefused: the state machine says no.
        Conflict: somebody moved the order first.
    """
    decision = orders.move(order, step.action, step.ask)
    if decision.to is None:
        raise MoveRefused(order, step.action, decision.reason)
    after = orders.moved(order, step.action, decision, step.at)
    after = changed(after, order, step, desk.verify_hours)
    effect = _EFFECTS.get(step.action)
    params = step.params | (effect(desk, order, after, step) if effect else {})
    desk.orders.save(after, order.version)
    if step.verdict is not None:
        desk.findings.judge(order.id, step.verdict)
    event = _event(order, after, step, step.reason or decision.reason, params)
    desk.orders.record(after, event)
    _tell(desk, after, step, event)
    return after


def changed(after: Order, before: Order, step: Step, verify_hours: float) -> Order:
    """Give the order with what the move changes beside its state; pure."""
    ask = step.ask
    if step.action is Action.CHOOSE and ask.strategy is not None:
        return chosen(after, ask.strategy)
    if step.action is Action.REOPEN:
        following = orders.following(before)
        after = replace(after, as_found=None, verify_until=None)
        return chosen(after, following) if following else after
    if step.action is Action.FIT:
        return orders.fitted(after, ask, _fit_time(before, step), verify_hours)
    if step.action is Action.PART_SEEN:
        return orders.fitted(after, ask, step.at, verify_hours)
    return replace(after, assignee=ask.assignee or before.assignee)


def chosen(order: Order, strategy: Strategy) -> Order:
    """Give the order with another of its options; pure."""
    row = next(r for r in order.options if r["strategy"] == strategy.value)
    cost = Money(amount=Decimal(row["cost"]), currency=row["currency"])
    return replace(order, strategy=strategy, cost=cost)


def _fit_time(before: Order, step: Step) -> datetime:
    """Give when the part went in: as told, else as the device said, else now; never ahead."""
    return min(step.ask.occurred_at or before_fit(before) or step.at, step.at)


def before_fit(before: Order) -> datetime | None:
    """Give when the device said that the part was replaced, if it said so before anybody else."""
    return before.fitted_at if before.state is State.VERIFYING else None


def finding_of(before: Order, after: Order, step: Step) -> Finding:
    """Give the finding that a fit reports; pure."""
    ask, subject = step.ask, before.subject
    as_found = ask.as_found or AsFound.NO_FAULT_FOUND
    replaced = as_found is not AsFound.NO_FAULT_FOUND if ask.replaced is None else ask.replaced
    return Finding(
        order_id=before.id,
        attempt=before.reopened + 1,
        tenant=before.tenant,
        timeline=subject.timeline,
        device_id=subject.device_id,
        component=ask.component or subject.component,
        failure_mode=ask.failure_mode or subject.failure_mode,
        as_found=as_found,
        kit=(ask.kit or before.kit) if replaced else None,
        replaced=replaced,
        note=ask.note,
        occurred_at=after.fitted_at or step.at,
        known_at=step.at,
    )


def _reserve(desk: Desk, before: Order, after: Order, step: Step) -> dict[str, Any]:
    if before.kit is None:
        return {}
    nodes = [s.org_node for s in desk.facts.sources(before.tenant, before.org_node, before.kit)]
    node = desk.parts.reserve(before, before.kit, nodes, after.state_at)
    return {"reserved_at": node, "assignee": step.ask.assignee}


def _ship(desk: Desk, before: Order, after: Order, step: Step) -> dict[str, Any]:
    node = desk.parts.ship(before, after.state_at)
    if node is None:
        _reserve(desk, before, after, step)
        node = desk.parts.ship(before, after.state_at)
    return {"shipped_from": node}


def _fit(desk: Desk, before: Order, after: Order, step: Step) -> dict[str, Any]:
    finding = finding_of(before, after, step)
    desk.findings.add(finding)
    if finding.replaced and finding.kit == before.kit:
        desk.parts.use(before, after.state_at)
    else:
        desk.parts.release(before, after.state_at)
        desk.parts.take_back(before, after.state_at)
    return {
        "as_found": finding.as_found.value,
        "component": finding.component,
        "replaced": finding.replaced,
        "kit": finding.kit,
        "note": finding.note,
    }


def _give_back(desk: Desk, before: Order, after: Order, step: Step) -> dict[str, Any]:  # noqa: ARG001 - one shape for all
    desk.parts.release(before, after.state_at)
    desk.parts.take_back(before, after.state_at)
    return {}


_EFFECTS: Final[dict[Action, Callable[[Desk, Order, Order, Step], dict[str, Any]]]] = {
    Action.ACCEPT: _reserve,
    Action.SHIP: _ship,
    Action.FIT: _fit,
    Action.PART_SEEN: _give_back,
    Action.CANCEL: _give_back,
    Action.LAPSE: _give_back,
    Action.MERGE: _give_back,
}


def _event(
    before: Order, after: Order, step: Step, reason: Reason, params: dict[str, Any]
) -> LedgerEvent:
    said = {"words": step.ask.reason} if step.ask.reason else {}
    chose = {"strategy": step.ask.strategy.value} if step.ask.strategy else {}
    return LedgerEvent(
        at=after.state_at,
        actor=step.actor,
        action=step.action.value,
        from_state=before.state,
        to_state=after.state,
        reason=reason.value,
        params=params | said | chose,
    )


def _tell(desk: Desk, after: Order, step: Step, event: LedgerEvent) -> None:
    reopened = step.action is Action.REOPEN
    desk.notices.tell(
        after,
        event=REOPENED if reopened else TOLD.get(after.state, MOVED),
        key=f"wo-{after.number}-v{after.version}",
        payload=moved_payload(after, event),
    )
