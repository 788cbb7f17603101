"""From a firing alert, or from somebody's report, to at most one open work order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from field_service import orders
from field_service.bills import Job
from field_service.sentences import opened_payload
from field_service.stepping import Step, take_step
from field_service.strategy import Case, rank
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
    from datetime import datetime

    from field_service.catalogue import Kit
    from field_service.store import Desk, Device
    from field_service.values import Alert, Subject

OPENED: Final = "work_order.opened"
POLICY: Final = "policy"


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


def respond(standing: Order | None, replaced_at: datetime | None, at: datetime) -> Decision:
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
    return _superseding(lapsed(standing, at), Reason.HORIZON_PASSED, Reason.ALREADY_OPEN)


def lapsed(order: Order, at: datetime) -> bool:
    """Tell whether an offer that nobody took up is older than what it foresaw."""
    if order.state not in orders.TABLE[orders.Action.LAPSE][0] or not order.outlook.horizon_h:
        return False
    return at > order.opened_at + timedelta(hours=order.outlook.horizon_h)


def open_from_alert(desk: Desk, alert: Alert) -> Order | None:
    """Act on a firing alert and mark it as handled; gives the order where one was opened."""
    order = _open(desk, alert)
    desk.inbox.handled(alert.id)
    return order


def open_reactive(desk: Desk, *, subject: Subject, actor: str, note: str = "") -> Order:
    """Open an order for a fault that somebody reports; gives the open one where there is one."""
    device = desk.facts.device(subject.device_id)
    standing = desk.orders.standing(device.tenant, subject)
    if standing is not None:
        return standing
    draft = _draft(desk, device, subject, Outlook(), device.now)
    params: dict[str, Any] = {"note": note} if note else {}
    opened = _write(desk, draft, actor=actor, params=params)
    return opened or _found(desk, device, subject)


def _open(desk: Desk, alert: Alert) -> Order | None:
    device = desk.facts.device(alert.subject.device_id)
    standing = desk.orders.standing(alert.tenant, alert.subject)
    replaced = desk.facts.replaced_at(standing) if standing else None
    decision = respond(standing, replaced, alert.fired_at)
    if standing is not None and decision.action is Action.ATTACH:
        _attach(desk, standing, alert, decision)
        return None
    if standing is not None:
        _supersede(desk, standing, decision.reason, replaced, alert.fired_at)
    draft = replace(
        _draft(desk, device, alert.subject, alert.outlook, alert.fired_at),
        kind=Kind.PREDICTIVE,
        alert_id=alert.id,
        evidence=alert.evidence,
        model_version=alert.model_version,
    )
    return _write(desk, draft, actor=POLICY, params={"alert": alert.id})


def _draft(desk: Desk, device: Device, subject: Subject, outlook: Outlook, at: datetime) -> Order:
    resolution = desk.catalogue.resolution(device.family, subject.component, subject.failure_mode)
    kit = resolution.kit if resolution else None
    options = rank(_case(desk, device, subject, outlook, kit))
    best = options[0] if options[0].fallout is None else None
    return Order(
        id=0,
        tenant=device.tenant,
        number=0,
        subject=subject,
        device=device.name,
        region=device.region,
        org_node=device.org_node,
        kind=Kind.REACTIVE,
        state=State.PROPOSED,
        opened_at=at,
        state_at=at,
        strategy=best.strategy if best else None,
        kit=kit.code if kit else None,
        kit_revision=kit.revision if kit else None,
        cost=best.expected if best else None,
        options=tuple(option.row() for option in options),
        outlook=outlook,
    )


def _case(desk: Desk, device: Device, subject: Subject, outlook: Outlook, kit: Kit | None) -> Case:
    sources = desk.facts.sources(device.tenant, device.org_node, kit.code) if kit else ()
    job = Job(
        family=desk.catalogue.family(device.family),
        region_code=device.region,
        region=desk.catalogue.region(device.region),
        kit=kit,
        source=next(iter(sources), None),
    )
    return Case(
        job=job,
        outlook=outlook,
        priors=desk.catalogue.priors,
        outcomes=dict(desk.facts.outcomes(device.tenant, subject.failure_mode)),
    )


def _write(desk: Desk, draft: Order, *, actor: str, params: dict[str, Any]) -> Order | None:
    """Write a draft as far as policy takes it, each move in the ledger, and tell of it once."""
    final = replace(draft, state=State.OFFERED if draft.strategy else State.PROPOSED)
    order = desk.orders.insert(final)
    if order is None:
        return None
    for event in _first_moves(order, actor, params):
        desk.orders.record(order, event)
    region = desk.catalogue.region(order.region)
    desk.notices.tell(
        order,
        event=OPENED,
        key=f"wo-{order.number}-opened",
        payload=opened_payload(order, region),
    )
    return order


def _first_moves(order: Order, actor: str, params: dict[str, Any]) -> list[LedgerEvent]:
    foreseen = order.kind is Kind.PREDICTIVE
    why = orders.Reason.FAILURE_FORESEEN if foreseen else orders.Reason.FAULT_REPORTED
    first = LedgerEvent(
        at=order.opened_at,
        actor=actor,
        action="open",
        from_state=None,
        to_state=State.PROPOSED,
        reason=why.value,
        params=params,
    )
    if order.state is not State.OFFERED:
        return [first]
    qualified = replace(
        first,
        actor=POLICY,
        action=orders.Action.QUALIFY.value,
        from_state=State.PROPOSED,
        to_state=State.QUALIFIED,
        reason=orders.Reason.EVIDENCE_SUFFICES.value,
        params={},
    )
    offered = replace(
        qualified,
        action=orders.Action.OFFER.value,
        from_state=State.QUALIFIED,
        to_state=State.OFFERED,
        reason=orders.Reason.OFFERED_BY_POLICY.value,
    )
    return [first, qualified, offered]


def _attach(desk: Desk, standing: Order, alert: Alert, decision: Decision) -> None:
    """Note on the open order that its failure was foreseen once more."""
    event = LedgerEvent(
        at=max(alert.fired_at, standing.state_at),
        actor=POLICY,
        action=decision.action.value,
        from_state=standing.state,
        to_state=standing.state,
        reason=decision.reason.value,
        params={"alert": alert.id, "probability": alert.outlook.probability},
    )
    desk.orders.record(standing, event)


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
    standing = desk.orders.standing(device.tenant, subject)
    assert standing is not None  # noqa: S101 - it stood in the way of the insert just now
    return standing
