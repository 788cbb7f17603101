"""Orders that move by time and telemetry alone: verification, parts replaced unasked, lapses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from field_service import orders, verify
from field_service.drafting import POLICY
from field_service.opening import is_reported, lapsed
from field_service.stepping import Step, take_step
from field_service.values import OVER, State

if TYPE_CHECKING:
    from datetime import datetime

    from field_service.store import Desk
    from field_service.values import Order

GRACE: Final = timedelta(hours=12)
"""How long somebody who fitted a part has to say what was found before telemetry speaks alone."""
TELEMETRY: Final = "telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The move that time makes, if any, and the instant it counts from."""

    action: orders.Action | None
    reason: orders.Reason | None = None
    at: datetime | None = None


def passing(
    order: Order,
    *,
    replaced_at: datetime | None,
    alert_over: bool,
    reported: bool = False,
    now: datetime,
) -> Decision:
    """Decide what time does to an order that nobody has fitted yet; pure.

    A part that the device says was replaced ends the work after a grace; an offer that nobody
    took up lapses once its horizon has passed and its alert is resolved, unless somebody has
    reported a fault on it.
    """
    if order.state in OVER or order.state is State.VERIFYING:
        return Decision(action=None)
    if replaced_at is not None and now >= replaced_at + GRACE:
        reason = orders.Reason.PART_REPLACED_UNASKED
        return Decision(action=orders.Action.PART_SEEN, reason=reason, at=replaced_at)
    if alert_over and not reported and lapsed(order, now):
        return Decision(action=orders.Action.LAPSE, reason=orders.Reason.RISK_PASSED, at=now)
    return Decision(action=None)


def look_at(desk: Desk, order: Order) -> Order:
    """Move one locked order as far as time and telemetry say; gives it as it stands then."""
    now = desk.facts.device(order.subject.device_id).now
    if order.state is State.VERIFYING:
        return _verified(desk, order, now)
    decision = passing(
        order,
        replaced_at=desk.facts.replaced_at(order),
        alert_over=order.alert_id is not None and desk.facts.alert_over(order.alert_id),
        reported=is_reported(desk, order),
        now=now,
    )
    if decision.action is None:
        return order
    step = Step(
        action=decision.action,
        actor=TELEMETRY if decision.action is orders.Action.PART_SEEN else POLICY,
        at=decision.at or now,
        reason=decision.reason,
    )
    return take_step(desk, order, step)


def _verified(desk: Desk, order: Order, now: datetime) -> Order:
    decision = verify.verify(order, desk.facts.signals(order), now)
    if decision.action is verify.Action.WAIT:
        return order
    close = decision.action is verify.Action.CLOSE
    step = Step(
        action=orders.Action.CLOSE if close else orders.Action.REOPEN,
        actor=TELEMETRY,
        at=now,
        reason=_MEANS.get(decision.reason),
        verdict=decision.verdict,
        params={"verification": decision.reason.value},
    )
    return take_step(desk, order, step)


_MEANS: Final = {verify.Reason.NO_TELEMETRY: orders.Reason.NO_TELEMETRY}
