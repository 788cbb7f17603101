"""Stock as a ledger of movements in PostgreSQL; see `Parts` in `field_service.store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from foremend.db import Queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import psycopg

    from field_service.values import Order

_SQL: Final = Queries.load("field_service", "parts.sql")


class PostgresParts:
    """Each call first looks at what the order's movements say, so that a repeat does nothing."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = connection.cursor(row_factory=dict_row)

    def reserve(self, order: Order, kit: str, nodes: Sequence[str], at: datetime) -> str | None:
        """Reserve one kit at the first node that has one."""
        for row in self._rows("reserved", order_id=order.id):
            return str(row["org_node"])
        for node in nodes:
            if self._reserve_at(order, kit, node, at):
                return node
        return None

    def release(self, order: Order, at: datetime) -> None:
        """Give back what is reserved and not shipped."""
        for row in self._rows("reserved", order_id=order.id):
            self._move(order, row, "release", row["quantity"], at)

    def ship(self, order: Order, at: datetime) -> str | None:
        """Ship what is reserved, or give the node of what is underway already."""
        for row in self._rows("reserved", order_id=order.id):
            self._move(order, row, "release", row["quantity"], at)
            self._move(order, row, "ship", -row["quantity"], at)
        underway = self._rows("underway", order_id=order.id)
        return str(underway[0]["org_node"]) if underway else None

    def use(self, order: Order, at: datetime) -> None:
        """Say that the order's kit was fitted; what was only reserved leaves its node first."""
        self.ship(order, at)
        for row in self._rows("underway", order_id=order.id):
            self._move(order, row, "use", 0, at)

    def take_back(self, order: Order, at: datetime) -> None:
        """Take a shipped kit back that was not used."""
        for row in self._rows("underway", order_id=order.id):
            self._move(order, row, "return", 1, at)

    def _reserve_at(self, order: Order, kit: str, node: str, at: datetime) -> bool:
        where = {"tenant": order.tenant, "org_node": node, "kit": kit}
        # Stock is a sum: two who look at once would both see the last one without this.
        self._cursor.execute(_SQL["lock_node"], where)
        return bool(self._rows("reserve", **where, order_id=order.id, at=at))

    def _move(
        self, order: Order, row: dict[str, Any], kind: str, quantity: int, at: datetime
    ) -> None:
        parameters = {
            "tenant": order.tenant,
            "org_node": row["org_node"],
            "kit": row["kit"],
            "quantity": quantity,
            "kind": kind,
            "order_id": order.id,
            "at": at,
        }
        self._cursor.execute(_SQL["move"], parameters)

    def _rows(self, block: str, **parameters: object) -> list[dict[str, Any]]:
        return self._cursor.execute(_SQL[block], parameters).fetchall()


def stock(connection: psycopg.Connection[Any], tenant: str) -> list[dict[str, Any]]:
    """Give `{org_node, kit, available, on_hand}` of every node and kit that ever moved."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(_SQL["stock"], {"tenant": tenant}).fetchall()
