"""The outbox in PostgreSQL, and one in memory that answers like it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from alerting.delivery import LEASE, Parcel, Verdict
from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import psycopg

    from alerting.delivery import Outcome

_SQL: Final = Queries.load("alerting", "outbox.sql")
LISTEN: Final = _SQL["listen"]


class PostgresOutbox:
    """Each call is one transaction: a lease must be committed before the try begins."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def claim(self, limit: int, busy: Collection[int]) -> list[Parcel]:
        """Lease due parcels; see `DeliveryStore`."""
        parameters = {"limit": limit, "busy": list(busy), "lease": LEASE}
        with transaction(self._connection, tenant=EVERY_TENANT) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            rows = cursor.execute(_SQL["claim"], parameters).fetchall()
        return [Parcel(**row | {"secrets": tuple(row["secrets"])}) for row in rows]

    def settle(self, parcel: Parcel, outcome: Outcome) -> None:
        """Write a try's outcome."""
        parameters = {
            "id": parcel.id,
            "destination_id": parcel.destination_id,
            "wait": outcome.wait,
            "error": outcome.error,
        }
        with transaction(self._connection, tenant=EVERY_TENANT) as connection:
            for block in _BLOCKS[outcome.verdict]:
                connection.execute(_SQL[block], parameters)


_BLOCKS: Final = {
    Verdict.DELIVERED: ("delivered",),
    Verdict.RETRY: ("retry",),
    Verdict.DEAD: ("dead",),
    Verdict.DISABLE: ("dead", "disable"),
}


def replay(connection: psycopg.Connection[Any], parcel_id: int) -> None:
    """Put a dead letter back at the start; inside the caller's tenant-walled transaction.

    Raises:
        NotFound: no such dead letter of this tenant.
    """
    if connection.execute(_SQL["replay"], {"id": parcel_id}).fetchone() is None:
        raise NotFound(f"there is no dead letter {parcel_id}")


@dataclass(slots=True)
class MemoryOutbox:
    """Fill `parcels`, move `now`; read `delivered`, `dead` and `disabled`."""

    now: datetime
    parcels: dict[int, Parcel] = field(default_factory=dict)
    next_at: dict[int, datetime] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    dead: dict[int, str | None] = field(default_factory=dict)
    disabled: set[int] = field(default_factory=set)

    def claim(self, limit: int, busy: Collection[int]) -> list[Parcel]:
        """Lease due parcels; see `DeliveryStore`."""
        first: dict[int, Parcel] = {}
        for number in sorted(self.parcels):
            parcel = self.parcels[number]
            if self._due(parcel) and parcel.destination_id not in busy:
                first.setdefault(parcel.destination_id, parcel)
        mine = sorted(first.values(), key=lambda p: p.id)[:limit]
        return [self._leased(parcel) for parcel in mine]

    def settle(self, parcel: Parcel, outcome: Outcome) -> None:
        """Write a try's outcome."""
        if outcome.verdict is Verdict.DELIVERED:
            self.delivered.add(parcel.id)
        elif outcome.verdict is Verdict.RETRY:
            self.next_at[parcel.id] = self.now + (outcome.wait or timedelta(0))
        else:
            self.dead[parcel.id] = outcome.error
        if outcome.verdict is Verdict.DISABLE:
            self.disabled.add(parcel.destination_id)

    def _due(self, parcel: Parcel) -> bool:
        settled = parcel.id in self.delivered or parcel.id in self.dead
        waiting = self.next_at.get(parcel.id, self.now) > self.now
        return not settled and not waiting and parcel.destination_id not in self.disabled

    def _leased(self, parcel: Parcel) -> Parcel:
        leased = replace(parcel, attempts=parcel.attempts + 1)
        self.parcels[parcel.id] = leased
        self.next_at[parcel.id] = self.now + LEASE
        return leased
