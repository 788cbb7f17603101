"""What others ask of field service; each call runs inside the caller's tenant-walled transaction.

A caller makes a desk with `postgres_desk(connection)` inside `transaction(connection, tenant=...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from field_service.opening import open_from_alert, open_reactive
from field_service.orders import FOR_PEOPLE, Action, Reason, allowed
from field_service.sentences import order_line
from field_service.stepping import MoveRefused, Step, take_step
from field_service.values import Ask
from foremend.errors import Conflict, ForemendError, Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from field_service.store import Desk
    from field_service.values import Order

__all__ = [
    "Ask",
    "InvalidAsk",
    "MoveRefused",
    "allowed",
    "describe",
    "move",
    "open_from_alert",
    "open_reactive",
]


class InvalidAsk(ForemendError):
    """What came with the action cannot be understood."""

    remedy = Remedy.REJECT


def move(
    desk: Desk,
    *,
    tenant: str,
    number: int,
    action: Action | str,
    actor: str,
    ask: Ask | Mapping[str, Any] | None = None,
    expected_version: int | None = None,
) -> Order:
    """Move an order as a person asks for it; gives it as it stands then.

    Raises:
        NotFound: no such order of this tenant.
        Conflict: it stands at another version than expected.
        InvalidAsk: an unknown action, or fields that cannot be understood.
        MoveRefused: the order may not make this move; `reason` says why.
    """
    wanted, asked = _action(action), _ask(ask)
    order = desk.orders.get(tenant, number)
    if expected_version is not None and expected_version != order.version:
        raise Conflict(f"{order.name} stands at version {order.version}, not {expected_version}")
    if wanted not in FOR_PEOPLE:
        raise MoveRefused(order, wanted, Reason.NOT_FROM_THIS_STATE)
    now = desk.facts.device(order.subject.device_id).now
    return take_step(desk, order, Step(action=wanted, actor=actor, at=now, ask=asked))


def describe(desk: Desk, order: Order) -> str:
    """Give the order in one line, as a terminal shows it."""
    return order_line(order, desk.catalogue.region(order.region))


def _action(action: Action | str) -> Action:
    try:
        return Action(action)
    except ValueError:
        known = ", ".join(sorted(a.value for a in FOR_PEOPLE))
        raise InvalidAsk(f"{action!r} is not an action; there are {known}") from None


def _ask(ask: Ask | Mapping[str, Any] | None) -> Ask:
    if isinstance(ask, Ask):
        return ask
    try:
        return msgspec.convert(dict(ask or {}), Ask)
    except msgspec.ValidationError as error:
        raise InvalidAsk(str(error)) from error
