"""Who did what, in a chain of hashes per tenant: a row that is changed or taken out shows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from foremend.db import Queries

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

GENESIS: Final = bytes(32)
"""What the first row of a tenant follows."""

_SQL: Final = Queries.load("api", "audit.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One deed."""

    tenant: str
    actor: str
    action: str
    subject: str
    details: dict[str, Any] = field(default_factory=dict)
    at: datetime


def chained(previous: bytes, entry: Entry) -> bytes:
    """Give the SHA-256 over the previous hash and all of an entry, in a fixed form."""
    fields = [
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.tenant,
        entry.actor,
        entry.action,
        entry.subject,
        entry.details,
    ]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()


def unbroken(rows: Iterable[tuple[Entry, bytes, bytes]]) -> bool:
    """Tell whether each (entry, previous, hash), oldest first, follows from the one before."""
    last = GENESIS
    for entry, previous, own in rows:
        if previous != last or own != chained(last, entry):
            return False
        last = own
    return True


def note(
    connection: psycopg.Connection[dict[str, Any]],
    *,
    tenant: str,
    actor: str,
    action: str,
    subject: str,
    details: dict[str, Any] | None = None,
) -> None:
    """Append one deed to the tenant's chain, inside the caller's transaction.

    The chain is locked until that transaction ends, so call this last.
    """
    connection.execute(_SQL["lock_chain"], {"tenant": tenant})
    row = connection.execute(_SQL["last_hash"], {"tenant": tenant}).fetchone()
    previous = bytes(row["hash"]) if row else GENESIS
    entry = Entry(
        tenant=tenant,
        actor=actor,
        action=action,
        subject=subject,
        details=details or {},
        at=datetime.now(UTC),
    )
    connection.execute(
        _SQL["append"],
        {
            "at": entry.at,
            "tenant": tenant,
            "actor": actor,
            "action": action,
            "subject": subject,
            "details": Jsonb(entry.details),
            "previous": previous,
            "hash": chained(previous, entry),
        },
    )


def holds(connection: psycopg.Connection[dict[str, Any]], *, tenant: str) -> bool:
    """Tell whether the tenant's whole chain is unbroken."""
    rows = connection.execute(_SQL["chain"], {"tenant": tenant}).fetchall()
    return unbroken(
        (
            Entry(**{k: row[k] for k in ("tenant", "actor", "action", "subject", "details", "at")}),
            bytes(row["previous"]),
            bytes(row["hash"]),
        )
        for row in rows
    )
