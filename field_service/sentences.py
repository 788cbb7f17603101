"""What people and other systems are told about an order; pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from field_service.values import Strategy
from foremend.values import Money

if TYPE_CHECKING:
    from field_service.catalogue import Region
    from field_service.values import LedgerEvent, Order

SHORT: Final = {
    Strategy.SELF_REPAIR: "self-repair",
    Strategy.WALK_IN: "walk-in",
    Strategy.MAIL_IN: "mail-in",
    Strategy.ON_SITE: "visit",
    Strategy.SWAP: "swap",
    Strategy.TRADE_IN: "trade-in",
}


def order_line(order: Order, region: Region) -> str:
    """Give one line for a terminal.

    `WO-1: kit FAN-2, self-repair (North America), 14 USD; next best: walk-in, 92 USD`
    """
    kit = f"kit {order.kit}" if order.kit else "no kit known"
    if order.strategy is None:
        return f"{order.name}: {kit}, no strategy is feasible ({region.name})"
    line = f"{order.name}: {kit}, {SHORT[order.strategy]} ({region.name}), {order.cost}"
    second = runner_up(order)
    if second is None:
        return f"{line}; nothing else is feasible"
    return f"{line}; next best: {SHORT[second[0]]}, {second[1]}"


def runner_up(order: Order) -> tuple[Strategy, Money] | None:
    """Give the best feasible option that is not the order's own, with its expected cost."""
    for row in order.options:
        strategy = Strategy(row["strategy"])
        if not row.get("fallout") and strategy is not order.strategy:
            return strategy, Money(amount=Decimal(row["cost"]), currency=row["currency"])
    return None


def opened_payload(order: Order, region: Region) -> dict[str, Any]:
    """Give what `work_order.opened` carries."""
    outlook = order.outlook
    return _subject(order) | {
        "kind": order.kind.value,
        "alert": order.alert_id,
        "probability": outlook.probability,
        "horizon_h": outlook.horizon_h,
        "hours_left": [outlook.p10_h, outlook.p50_h, outlook.p90_h],
        "strategy": order.strategy.value if order.strategy else None,
        "kit": order.kit,
        "kit_revision": order.kit_revision,
        "cost": str(order.cost.amount) if order.cost else None,
        "currency": order.cost.currency if order.cost else None,
        "options": list(order.options),
        "evidence": list(order.evidence),
        "model_version": order.model_version,
        "at": order.opened_at.isoformat(),
        "text": order_line(order, region),
    }


def moved_payload(order: Order, event: LedgerEvent) -> dict[str, Any]:
    """Give what every later event of an order carries."""
    return _subject(order) | {
        "action": event.action,
        "reason": event.reason,
        "actor": event.actor,
        "from_state": event.from_state.value if event.from_state else None,
        "reopened": order.reopened,
        "as_found": order.as_found.value if order.as_found else None,
        "at": event.at.isoformat(),
        "text": f"{order.name}: {event.action}, {order.state.value}",
    }


def _subject(order: Order) -> dict[str, Any]:
    return {
        "order": order.name,
        "number": order.number,
        "state": order.state.value,
        "device": order.device,
        "component": order.subject.component,
        "failure_mode": order.subject.failure_mode,
        "timeline": order.subject.timeline,
        "region": order.region,
        "org_node": order.org_node,
    }
