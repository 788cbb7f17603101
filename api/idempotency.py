"""A request that is sent twice under one key is carried out once, and answered alike.

The key is claimed, the work done and the answer kept in one transaction, so that a crash leaves
either all of it or nothing. A refused request keeps nothing: it may be tried again under its key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from api.problems import KeyReused
from foremend.db import Queries

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from api.accounts import User

_SQL: Final = Queries.load("api", "idempotency.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request was answered with."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def request_hash(*parts: object) -> str:
    """Give the hash by which two requests under one key are compared."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def once(
    connection: psycopg.Connection[dict[str, Any]],
    user: User,
    key: str | None,
    fingerprint: str,
    work: Callable[[], Answer],
) -> Answer:
    """Do `work` unless this user has had it done under this key; without a key, just do it.

    Raises:
        KeyReused: the key stands for another request.
    """
    if key is None:
        return work()
    owner = {"tenant": user.tenant, "actor": user.login, "key": key}
    connection.execute(_SQL["forget"])
    claimed = connection.execute(_SQL["claim"], {**owner, "request_hash": fingerprint}).fetchone()
    if claimed is None:
        return _earlier(connection, owner, fingerprint)
    answer = work()
    connection.execute(
        _SQL["settle"],
        {
            **owner,
            "status": answer.status,
            "body": Jsonb(answer.body),
            "headers": Jsonb(answer.headers),
        },
    )
    return answer


def _earlier(
    connection: psycopg.Connection[dict[str, Any]], owner: dict[str, str], fingerprint: str
) -> Answer:
    row = connection.execute(_SQL["earlier"], owner).fetchone()
    if row is None or row["request_hash"] != fingerprint:
        raise KeyReused
    return Answer(status=row["status"], body=row["body"], headers=row["headers"])
