"""Between rows of the database and field service's values; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from field_service.values import Alert, Kind, LedgerEvent, Order, Outlook, State, Strategy, Subject
from field_service.verify import Signals
from foremend.values import AsFound, Money

if TYPE_CHECKING:
    from field_service.values import Finding


_PLAIN: Final = (
    "id",
    "tenant",
    "number",
    "region",
    "org_node",
    "alert_id",
    "opened_at",
    "state_at",
    "fitted_at",
    "verify_until",
    "kit",
    "kit_revision",
    "model_version",
    "assignee",
    "reopened",
    "version",
)
"""Columns of an order that are the same in both worlds."""


def alert_of(row: dict[str, Any]) -> Alert:
    """Read a row of `next_alert`."""
    return Alert(
        id=row["id"],
        tenant=row["tenant"],
        subject=subject_of(row),
        fired_at=row["fired_at"],
        outlook=outlook_of(row),
        evidence=tuple(row["evidence"]),
        model_version=row["model_version"],
    )


def order_of(row: dict[str, Any]) -> Order:
    """Read a row of `work_order` with its device's name."""
    cost = None if row["cost"] is None else Money(amount=row["cost"], currency=row["currency"])
    return Order(
        device=row["device"],
        **{name: row[name] for name in _PLAIN},
        subject=subject_of(row),
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        held_from=State(row["held_from"]) if row["held_from"] else None,
        strategy=Strategy(row["strategy"]) if row["strategy"] else None,
        cost=cost,
        options=tuple(row["options"]),
        outlook=outlook_of(row),
        evidence=tuple(row["evidence"]),
        as_found=AsFound(row["as_found"]) if row["as_found"] else None,
    )


def subject_of(row: dict[str, Any]) -> Subject:
    """Read the four columns that share one open order."""
    return Subject(
        timeline=row["timeline"],
        device_id=row["device_id"],
        component=row["component"],
        failure_mode=row["failure_mode"],
    )


def outlook_of(row: dict[str, Any]) -> Outlook:
    """Read the five columns of a forecast."""
    names = ("probability", "horizon_h", "p10_h", "p50_h", "p90_h")
    return Outlook(**{name: row[name] for name in names})


def order_columns(order: Order) -> dict[str, Any]:
    """Give the parameters that write an order."""
    return {name: getattr(order, name) for name in _PLAIN} | {
        **subject_columns(order.subject),
        **{n: getattr(order.outlook, n) for n in Outlook.__dataclass_fields__},
        "kind": order.kind.value,
        "state": order.state.value,
        "held_from": order.held_from.value if order.held_from else None,
        "strategy": order.strategy.value if order.strategy else None,
        "cost": order.cost.amount if order.cost else None,
        "currency": order.cost.currency if order.cost else None,
        "options": Jsonb(list(order.options)),
        "evidence": Jsonb(list(order.evidence)),
        "as_found": order.as_found.value if order.as_found else None,
    }


def subject_columns(subject: Subject) -> dict[str, Any]:
    """Give the parameters that name a subject."""
    return {
        "timeline": subject.timeline,
        "device_id": subject.device_id,
        "component": subject.component,
        "failure_mode": subject.failure_mode,
    }


def event_of(row: dict[str, Any]) -> LedgerEvent:
    """Read a row of the ledger."""
    return LedgerEvent(
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        from_state=State(row["from_state"]) if row["from_state"] else None,
        to_state=State(row["to_state"]),
        reason=row["reason"],
        params=row["params"],
    )


def event_columns(order: Order, event: LedgerEvent) -> dict[str, Any]:
    """Give the parameters that append to the ledger."""
    return {
        "order_id": order.id,
        "tenant": order.tenant,
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "from_state": event.from_state.value if event.from_state else None,
        "to_state": event.to_state.value,
        "reason": event.reason,
        "params": Jsonb(event.params),
    }


def finding_columns(finding: Finding) -> dict[str, Any]:
    """Give the parameters that write a finding."""
    names = set(finding.__dataclass_fields__) - {"as_found", "verified"}
    return {name: getattr(finding, name) for name in names} | {"as_found": finding.as_found.value}


def signals_of(row: dict[str, Any]) -> Signals:
    """Read a row of `signals`; a model that abstained has said nothing."""
    hazard = row["hazard"]
    silent = hazard is None or row["abstained"] is not None or hazard != hazard  # noqa: PLR0124 - NaN
    return Signals(
        running_h=float(row["running_h"]),
        in_error=row["in_error"],
        hazard=None if silent else hazard,
        hazard_at=None if silent else row["hazard_at"],
        threshold=row["threshold"],
        anomalous=row["anomalous"],
        failed_again_at=row["failed_again_at"],
    )
