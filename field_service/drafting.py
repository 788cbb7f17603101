"""What a new order says, and how it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from field_service import orders
from field_service.bills import Job
from field_service.sentences import opened_payload
from field_service.strategy import Case, rank
from field_service.values import Kind, LedgerEvent, Order, State

if TYPE_CHECKING:
    from datetime import datetime

    from field_service.catalogue import Kit
    from field_service.store import Desk, Device
    from field_service.values import Outlook, Subject

OPENED: Final = "work_order.opened"
POLICY: Final = "policy"


def draft(desk: Desk, device: Device, subject: Subject, outlook: Outlook, at: datetime) -> Order:
    """Give an order that nobody has written yet, with its strategies ranked and its kit."""
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


def write(desk: Desk, drafted: Order, *, actor: str, params: dict[str, Any]) -> Order | None:
    """Write a draft as far as policy takes it, each move in the ledger, and tell of it once."""
    final = replace(drafted, state=State.OFFERED if drafted.strategy else State.PROPOSED)
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
