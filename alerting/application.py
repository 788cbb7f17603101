"""What a person may do to alerts; each runs inside the caller's tenant-walled transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerting.silences import MATCHABLE
from foremend.db import Queries
from foremend.errors import Conflict, ForemendError, NotFound, Remedy

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

_SQL: Final = Queries.load("alerting", "alerts.sql")


class SilenceRefused(ForemendError):
    """This silence cannot be kept."""

    remedy = Remedy.REJECT


def acknowledge(
    connection: psycopg.Connection[Any], alert_id: int, *, actor: str, note: str = ""
) -> None:
    """Say that somebody looks after a firing alert.

    Raises:
        NotFound: no such alert of this tenant.
        Conflict: it is resolved, or acknowledged already.
    """
    parameters = {"id": alert_id, "actor": actor, "params": Jsonb({"note": note} if note else {})}
    if _one(connection, "acknowledge", parameters):
        _one(connection, "tell", {})
        return
    row = _one(connection, "state", {"id": alert_id})
    if row is None:
        raise NotFound(f"there is no alert {alert_id}")
    raise Conflict(f"alert {alert_id} is {row['state']}")


def add_silence(
    connection: psycopg.Connection[Any],
    *,
    tenant: str,
    matcher: dict[str, str],
    author: str,
    reason: str,
    starts_at: datetime,
    ends_at: datetime,
    weekly: bool = False,
) -> int:
    """Keep a silence, times on the timeline of what it matches; gives its id.

    Raises:
        SilenceRefused: unknown or no keys, no reason, or an end that is not after the start.
    """
    unknown = set(matcher) - MATCHABLE
    if unknown or not matcher:
        raise SilenceRefused(f"a silence matches by {', '.join(sorted(MATCHABLE))}")
    if not reason.strip() or ends_at <= starts_at:
        raise SilenceRefused("a silence needs a reason, and an end after its start")
    row = _one(
        connection,
        "add_silence",
        {
            "tenant": tenant,
            "matcher": Jsonb(matcher),
            "author": author,
            "reason": reason,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "weekly": weekly,
        },
    )
    assert row is not None  # noqa: S101 - the statement returns one row or raises
    return int(row["id"])


def end_silence(connection: psycopg.Connection[Any], silence_id: int, *, at: datetime) -> None:
    """End a silence at `at`; one that is over stays as it is.

    Raises:
        NotFound: no such silence of this tenant.
    """
    if _one(connection, "end_silence", {"id": silence_id, "at": at}):
        return
    if _one(connection, "silence_exists", {"id": silence_id}) is None:
        raise NotFound(f"there is no silence {silence_id}")


def _one(
    connection: psycopg.Connection[Any], block: str, parameters: dict[str, Any]
) -> dict[str, Any] | None:
    return connection.cursor(row_factory=dict_row).execute(_SQL[block], parameters).fetchone()
