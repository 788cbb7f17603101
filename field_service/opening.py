"""From a firing alert, or from somebody's report, to at most one open work order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from field_service import orders
from field_service.drafting import POLICY, draft, write
from field_service.stepping import Step, take_step
from field_service.values import (
    Kind,
    LedgerEvent,
    Order,
    Outlook,
    State,
    Verified,
)
from field_service.verify import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from field_service.store import Desk, Device
    from field_service.values import Alert, Subject

REPORT: Final = "report"
"""In the ledger: somebody reports a fault in the component of an order that is open."""


class Action(Enum):
    """What an alert leads to."""

    OPEN = "open"
    ATTACH = "attach"
    SUPERSEDE = "supersede"


class Reason(Enum):
    """Why."""

    NOTHING_OPEN = "nothing_open"
    ALREADY_OPEN = "already_open"
    BEING_VERIFIED = "being_verified"
    WATCH_IS_OVER = "watch_is_over"
    PART_REPLACED = "part_replaced"
    HORIZON_PASSED = "horizon_passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with an alert, and why."""

    action: Action
    reason: Reason


def respond(
    standing: Order | None,
    replaced_at: datetime | None,
    at: datetime,
    *,
    reported: bool = False,
) -> Decision:
    """Decide what an alert that fired at `at` means for the open order of its subject, if any.

    Everything is judged at the alert's own instant, so that the outcome does not depend on how
    late it is looked at.
    """
    if standing is None:
        return Decision(action=Action.OPEN, reason=Reason.NOTHING_OPEN)
    if standing.state is State.VERIFYING:
        late = at >= _patience_ends(standing)
        return _superseding(late, Reason.WATCH_IS_OVER, Reason.BEING_VERIFIED)
    if replaced_at is not None and replaced_at <= at:
        return Decision(action=Action.SUPERSEDE, reason=Reason.PART_REPLACED)
    over = not reported and lapsed(standing, at)
    return _superseding(over, Reason.HORIZON_PASSED, Reason.ALREADY_OPEN)


def lapsed(order: Order, at: datetime) -> bool:
    """Tell whether an offer that nobody took up is older than what it foresaw.

    One that was reopened was taken up, and what was foreseen has not been put right.
    """
    early = order.state in orders.TABLE[orders.Action.LAPSE][0] and not order.reopened
    if not early or not order.outlook.horizon_h:
        return False
    return at > order.opened_at + timedelta(hours=order.outlook.horizon_h)


def open_from_alert(desk: Desk, alert: Alert) -> Order | None:
    """Act on a firing alert and mark it as handled; gives the order where one was opened."""
    order = _open(desk, alert)
    desk.inbox.handled(alert.id)
    return order


def is_reported(desk: Desk, order: Order) -> bool:
    """Tell whether somebody has reported a fault on an order: then it waits, and does not lapse."""
    return any(event.action == REPORT for event in desk.orders.ledger(order))


def joins(standing: Sequence[Order], subject: Subject) -> Order | None:
    """Decide which of its component's open orders a report joins, the oldest first; None for none.

    Whoever works on the component sees to whatever is wrong with it. Once it is being verified
    nobody will, so that only a report of the same failure mode joins.
    """
    same = _of(standing, subject)
    return same or next((o for o in standing if o.state is not State.VERIFYING), None)


def open_reactive(desk: Desk, *, subject: Subject, actor: str, note: str = "") -> Order:
    """Open an order for a fault that somebody reports, or have the report join one that is open.

    Gives the order that the report belongs to, be it of another failure mode of the component. An
    order that is being verified is reopened: the repair has not held.
    """
    device = desk.facts.device(subject.device_id)
    joined = joins(desk.orders.standing(device.tenant, subject), subject)
    params: dict[str, Any] = {"note": note} if note else {}
    if joined is not None:
        said = {"failure_mode": subject.failure_mode} | params
        return _join(desk, joined, actor=actor, at=device.now, said=said)
    new = draft(desk, device, subject, Outlook(), device.now)
    opened = write(desk, new, actor=actor, params=params)
    return opened or _found(desk, device, subject)


def _join(desk: Desk, order: Order, *, actor: str, at: datetime, said: dict[str, Any]) -> Order:
    reason = orders.Reason.FAULT_REPORTED
    if order.state is State.VERIFYING:
        reopen = Step(
            action=orders.Action.REOPEN,
            actor=actor,
            at=at,
            reason=reason,
            verdict=Verified.NOT_RECOVERED,
            params=said,
        )
        return take_step(desk, order, reopen)
    _note(desk, order, action=REPORT, reason=reason.value, actor=actor, at=at, params=said)
    return order


def _of(standing: Sequence[Order], subject: Subject) -> Order | None:
    return next((order for order in standing if order.subject == subject), None)


def _open(desk: Desk, alert: Alert) -> Order | None:
    device = desk.facts.device(alert.subject.device_id)
    standing = _of(desk.orders.standing(alert.tenant, alert.subject), alert.subject)
    replaced = desk.facts.replaced_at(standing) if standing else None
    reported = standing is not None and is_reported(desk, standing)
    decision = respond(standing, replaced, alert.fired_at, reported=reported)
    if standing is not None and decision.action is Action.ATTACH:
        _attach(desk, standing, alert, decision)
        return None
    if standing is not None:
        _supersede(desk, standing, decision.reason, replaced, alert.fired_at)
    new = replace(
        draft(desk, device, alert.subject, alert.outlook, alert.fired_at),
        kind=Kind.PREDICTIVE,
        alert_id=alert.id,
        evidence=alert.evidence,
        model_version=alert.model_version,
    )
    return write(desk, new, actor=POLICY, params={"alert": alert.id})


def _attach(desk: Desk, standing: Order, alert: Alert, decision: Decision) -> None:
    """Note on the open order that its failure was foreseen once more."""
    _note(
        desk,
        standing,
        action=decision.action.value,
        reason=decision.reason.value,
        actor=POLICY,
        at=alert.fired_at,
        params={"alert": alert.id, "probability": alert.outlook.probability},
    )


def _note(
    desk: Desk,
    order: Order,
    *,
    action: str,
    reason: str,
    actor: str,
    at: datetime,
    params: dict[str, Any],
) -> None:
    """Write into an order's ledger what does not move it."""
    event = LedgerEvent(
        at=max(at, order.state_at),
        actor=actor,
        action=action,
        from_state=order.state,
        to_state=order.state,
        reason=reason,
        params=params,
    )
    desk.orders.record(order, event)


def _supersede(
    desk: Desk, standing: Order, reason: Reason, replaced: datetime | None, at: datetime
) -> None:
    """End an order whose time is over, so that a new one may open."""
    if reason is Reason.HORIZON_PASSED:
        take_step(desk, standing, Step(action=orders.Action.LAPSE, actor=POLICY, at=at))
        return
    if reason is Reason.PART_REPLACED:
        seen = Step(action=orders.Action.PART_SEEN, actor=POLICY, at=replaced or at)
        standing = take_step(desk, standing, seen)
    close = Step(
        action=orders.Action.CLOSE,
        actor=POLICY,
        at=at,
        reason=orders.Reason.NO_TELEMETRY,
        verdict=Verified.NO_TELEMETRY,
    )
    take_step(desk, standing, close)


def _superseding(over: bool, why: Reason, otherwise: Reason) -> Decision:
    if over:
        return Decision(action=Action.SUPERSEDE, reason=why)
    return Decision(action=Action.ATTACH, reason=otherwise)


def _patience_ends(order: Order) -> datetime:
    fitted = order.fitted_at or order.state_at
    return fitted + ((order.verify_until or fitted) - fitted) * PATIENCE


def _found(desk: Desk, device: Device, subject: Subject) -> Order:
    standing = _of(desk.orders.standing(device.tenant, subject), subject)
    assert standing is not None  # noqa: S101 - it stood in the way of the insert just now
    return standing
