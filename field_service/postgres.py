"""Orders, findings and facts in PostgreSQL; a desk serves one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from field_service.bills import Source
from field_service.catalogue import DEFAULT_REGION, load
from field_service.parts import PostgresParts
from field_service.rows import (
    alert_of,
    event_columns,
    event_of,
    finding_columns,
    order_columns,
    order_of,
    signals_of,
    subject_columns,
)
from field_service.store import Desk, Device
from field_service.strategy import Tally
from field_service.values import Strategy
from foremend.db import Queries
from foremend.errors import Conflict, NotFound
from foremend.outbox import enqueue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import psycopg

    from field_service.values import Alert, Finding, LedgerEvent, Order, Subject, Verified
    from field_service.verify import Signals

_SQL: Final = Queries.load("field_service", "orders.sql")
_PARTS: Final = Queries.load("field_service", "parts.sql")
LISTEN: Final = _SQL["listen"]
VERIFY_HOURS: Final = 6.0


def postgres_desk(connection: psycopg.Connection[Any], verify_hours: float = VERIFY_HOURS) -> Desk:
    """Give the desk of the transaction that `connection` is in."""
    return Desk(
        inbox=PostgresInbox(connection),
        orders=PostgresOrders(connection),
        findings=PostgresFindings(connection),
        facts=PostgresFacts(connection),
        parts=PostgresParts(connection),
        notices=PostgresNotices(connection),
        catalogue=load(),
        verify_hours=verify_hours,
    )


class _Room:
    """Runs named blocks; rows are dictionaries whatever the connection's own are."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._cursor = connection.cursor(row_factory=dict_row)

    def _one(self, block: str, **parameters: object) -> dict[str, Any] | None:
        return self._cursor.execute(_SQL[block], parameters).fetchone()

    def _run(self, block: str, **parameters: object) -> int:
        return self._cursor.execute(_SQL[block], parameters).rowcount


class PostgresInbox(_Room):
    """What waits to be acted upon; see `Inbox`."""

    def next_alert(self) -> Alert | None:
        """Give the oldest alert that nobody has acted on, locked."""
        row = self._one("next_alert")
        return alert_of(row) if row else None

    def handled(self, alert_id: int) -> None:
        """Mark an alert as acted upon."""
        self._run("handled", id=alert_id)

    def next_watched(self, after: int) -> Order | None:
        """Give, locked, the next order by id that time or telemetry may move."""
        row = self._one("next_watched", after=after)
        return order_of(row) if row else None


class PostgresOrders(_Room):
    """Work orders and their ledger; see `Orders`."""

    def standing(self, tenant: str, subject: Subject) -> Sequence[Order]:
        """Give its component's open orders, locked, as is the tenant's counter from here on."""
        self._one("lock_counter", tenant=tenant)
        rows = self._cursor.execute(_SQL["standing"], subject_columns(subject)).fetchall()
        return [order_of(row) for row in rows]

    def get(self, tenant: str, number: int) -> Order:
        """Give an order, locked."""
        row = self._one("get", tenant=tenant, number=number)
        if row is None:
            raise NotFound(f"there is no work order WO-{number}")
        return order_of(row)

    def insert(self, draft: Order) -> Order | None:
        """Write a new order under the tenant's next number; None where one is open already."""
        self._one("lock_counter", tenant=draft.tenant)
        row = self._one("insert", **order_columns(draft))
        if row is None:
            return None
        # Counted only after the insert, so that an order that was open already leaves no hole.
        self._run("count", tenant=draft.tenant, number=row["number"])
        return self.get(draft.tenant, row["number"])

    def save(self, order: Order, expected_version: int) -> None:
        """Write an order that moved."""
        columns = order_columns(order)
        if self._run("save", **columns, expected_version=expected_version) != 1:
            raise Conflict(f"{order.name} was moved by somebody else; load it again")

    def record(self, order: Order, event: LedgerEvent) -> None:
        """Append to the ledger."""
        self._run("record", **event_columns(order, event))

    def ledger(self, order: Order) -> Sequence[LedgerEvent]:
        """Give the ledger of an order, oldest first."""
        rows = self._cursor.execute(_SQL["ledger"], {"order_id": order.id}).fetchall()
        return [event_of(row) for row in rows]


class PostgresFindings(_Room):
    """What was found by those who looked; see `Findings`."""

    def add(self, finding: Finding) -> None:
        """Write a finding; the same attempt twice is written once."""
        self._run("add_finding", **finding_columns(finding))

    def judge(self, order_id: int, verified: Verified) -> None:
        """Write what telemetry said of the latest attempt."""
        self._run("judge", order_id=order_id, verified=verified.value)


class PostgresFacts(_Room):
    """What the rest of the system knows; see `Facts`."""

    def device(self, device_id: int) -> Device:
        """Give a device."""
        row = self._one("device", device_id=device_id, default_region=DEFAULT_REGION)
        if row is None:
            raise NotFound(f"there is no device {device_id}")
        return Device(**row)

    def outcomes(self, tenant: str, failure_mode: str) -> Mapping[Strategy, Tally]:
        """Give the repairs that telemetry has judged, by strategy."""
        parameters = {"tenant": tenant, "failure_mode": failure_mode}
        rows = self._cursor.execute(_SQL["outcomes"], parameters).fetchall()
        return {Strategy(r["strategy"]): Tally(r["fixed"], r["not_fixed"]) for r in rows}

    def sources(self, tenant: str, org_node: str | None, kit: str) -> Sequence[Source]:
        """Give the nodes that have a kit, the nearest first."""
        parameters = {"tenant": tenant, "org_node": org_node, "kit": kit}
        rows = self._cursor.execute(_PARTS["sources"], parameters).fetchall()
        return [Source(**row) for row in rows]

    def signals(self, order: Order) -> Signals:
        """Give what telemetry says since the part went in."""
        row = self._one("signals", order_id=order.id)
        if row is None:
            raise NotFound(f"there is no work order {order.name}")
        return signals_of(row)

    def replaced_at(self, order: Order) -> datetime | None:
        """Give when the device first said that the order's component was replaced."""
        row = self._one("replaced_at", order_id=order.id)
        return row["ts"] if row else None

    def alert_over(self, alert_id: int) -> bool:
        """Tell whether an alert is resolved."""
        row = self._one("alert_over", id=alert_id)
        return row is None or bool(row["over"])


class PostgresNotices(_Room):
    """Who is told; see `Notices`."""

    def tell(self, order: Order, *, event: str, key: str, payload: dict[str, Any]) -> None:
        """Queue one event for the outside, once a key, and wake up who listens inside."""
        enqueue(self._connection, tenant=order.tenant, key=key, event=event, payload=payload)
        self._run("tell", payload=f"{order.tenant}/{order.number}")
