"""What was set aside: listed, shown, and replayed by the path that every message takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import psycopg

from foremend import wire
from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.errors import NotFound
from ingest.intake import Arrival, Refused, read

if TYPE_CHECKING:
    from datetime import datetime

    from foremend.clock import Millis
    from foremend.db import Connection
    from ingest.intake import Accepted
    from ingest.store import PostgresStore

KEPT_DAYS: Final = 30
KEPT_BYTES: Final = 256 * 1024**2
KEPT_ROWS: Final = 100_000
"""Whole messages are kept so long and so many, and rows with their heads so many."""
_SQL: Final = Queries.load("ingest", "quarantine.sql")


class Verdict(Enum):
    """What became of a replay."""

    STORED = "stored"
    DUPLICATE = "it had been stored already"
    STRANGER = "its boot or its schema is not known yet"
    REFUSED = "it is refused still"
    GONE = "only its first 4 KiB are left"


KEPT: Final = frozenset({Verdict.STORED, Verdict.DUPLICATE})
"""Verdicts after which nothing is left to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message that was set aside."""

    id: int
    received_at: datetime
    topic: str
    reason: str
    message: str
    size: int
    times: int
    whole: bool
    """Whether it is kept whole, so that it can be replayed."""
    replayed_at: datetime | None
    hash: str = ""
    content: bytes = b""
    """All that is kept of it; only where one entry was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of one entry."""

    id: int
    verdict: Verdict
    detail: str = ""


def listed(
    link: Connection, *, reason: str | None = None, everything: bool = False, limit: int = 100
) -> list[Entry]:
    """Give the newest entries; those replayed as well where `everything` is wanted."""
    with transaction(link, tenant=EVERY_TENANT):
        rows = link.execute(
            _SQL["listed"], {"reason": reason, "all": everything, "limit": limit}
        ).fetchall()
    return [_entry(row) for row in rows]


def shown(link: Connection, number: int) -> Entry:
    """Give one entry with its content; raises NotFound."""
    with transaction(link, tenant=EVERY_TENANT):
        row = link.execute(_SQL["shown"], {"id": number}).fetchone()
    if row is None:
        raise NotFound(f"there is no message {number} in quarantine")
    return _entry(row)


def waiting(link: Connection, reason: str | None) -> list[int]:
    """Give the entries that can be replayed, oldest first."""
    with transaction(link, tenant=EVERY_TENANT):
        rows = link.execute(_SQL["waiting"], {"reason": reason}).fetchall()
    return [number for (number,) in rows]


def replay(store: PostgresStore, number: int, now_ms: Millis) -> Replayed:
    """Store one entry as if it arrived now, and mark it; all in one transaction.

    Raises:
        NotFound: no such entry.
        Unavailable: the database is gone.
    """
    link = store.connection
    with transaction(link, tenant=EVERY_TENANT):
        row = link.execute(_SQL["take"], {"id": number}).fetchone()
        if row is None:
            raise NotFound(f"there is no message {number} in quarantine")
        topic, payload = row
        if payload is None:
            return Replayed(id=number, verdict=Verdict.GONE)
        outcome = read(Arrival(topic=topic, payload=bytes(payload), qos=0))
        if isinstance(outcome, Refused):
            return _refused(number, outcome)
        with link.transaction() as attempt:
            replayed = _store(store, number, outcome, now_ms)
            if replayed.verdict not in KEPT:
                # What was reopened for it is closed again.
                raise psycopg.Rollback(attempt)
        return replayed


def prune(link: Connection, *, size: int = KEPT_BYTES) -> int:
    """Empty what is too old or too much; gives how many messages were emptied."""
    with transaction(link, tenant=EVERY_TENANT):
        link.execute(_SQL["prune_heads"], {"rows": KEPT_ROWS})
        pruned = link.execute(_SQL["prune"], {"days": KEPT_DAYS, "bytes": size})
        return pruned.rowcount


def _store(store: PostgresStore, number: int, accepted: Accepted, now_ms: Millis) -> Replayed:
    message = accepted.message
    if isinstance(message, wire.NUMBERED):
        place = {"tenant": accepted.address.tenant, "device": accepted.address.device}
        store.connection.execute(
            _SQL["reopen_gaps"], place | {"boot": message.boot, "seq": message.seq}
        )
    done = store.commit([accepted], (), now_ms)
    if done.refused:
        return _refused(number, done.refused[0])
    if done.strangers:
        return Replayed(id=number, verdict=Verdict.STRANGER)
    store.connection.execute(_SQL["replayed"], {"id": number})
    verdict = Verdict.DUPLICATE if done.duplicates else Verdict.STORED
    return Replayed(id=number, verdict=verdict)


def _refused(number: int, refused: Refused) -> Replayed:
    detail = f"{refused.reason}: {refused.detail}"
    return Replayed(id=number, verdict=Verdict.REFUSED, detail=detail)


def _entry(row: tuple[object, ...]) -> Entry:
    names = Entry.__slots__
    told = dict(zip(names, row, strict=False))
    if "content" in told:
        told["content"] = bytes(told["content"])  # type: ignore[call-overload]
    return Entry(**told)  # type: ignore[arg-type]
