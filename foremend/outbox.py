"""What must be told to the outside is written beside the change that it tells of.

Any room enqueues inside its own transaction; `alerting` alone delivers, at least once, under one
key that stays the same over every retry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from foremend.db.queries import Queries

if TYPE_CHECKING:
    import psycopg

_SQL: Final = Queries.load("foremend", "outbox.sql")


def enqueue(
    connection: psycopg.Connection[Any],
    *,
    tenant: str,
    key: str,
    event: str,
    payload: dict[str, Any],
) -> int:
    """Queue one event for every destination of the tenant that wants it; gives their number.

    Inside the caller's transaction; the same key twice is queued once.
    """
    cursor = connection.execute(
        _SQL["enqueue"],
        {"tenant": tenant, "key": key, "event": event, "payload": Jsonb(payload)},
    )
    return cursor.rowcount
