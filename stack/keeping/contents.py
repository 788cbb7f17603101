"""What a database holds, table by table, as one snapshot sees it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from foremend.db import EVERY_TENANT, Queries, connect, transaction
from stack.keeping.manifest import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foremend.db import Connection

SQL: Final = Queries.load("stack.keeping", "contents.sql")
_WORD: Final = 2**64


@contextmanager
def frozen(url: str) -> Iterator[Connection]:
    """Open a transaction that sees one instant of the database, past the walls between tenants."""
    with connect(url, name="keeping") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with transaction(connection, tenant=EVERY_TENANT):
            yield connection


def tables_of(connection: Connection) -> list[str]:
    """Name the tables that are ours, by name."""
    return [name for (name,) in connection.execute(SQL["tables"])]


def contents_of(connection: Connection, tell: Callable[[str], None]) -> dict[str, Content]:
    """Count and hash the rows of every table."""
    found = {}
    names = tables_of(connection)
    for number, name in enumerate(names, 1):
        tell(f"reading {name} ({number} of {len(names)})")
        found[name] = content_of(connection, name)
    return found


def content_of(connection: Connection, table: str) -> Content:
    """Count and hash the rows of one table."""
    query = sql.SQL(SQL["content"].decode()).format(table=sql.Identifier("public", table))
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - it counts
    rows, one, two = row
    return Content(rows=rows, hash=f"{int(one) % _WORD:016x}{int(two) % _WORD:016x}")


def sequences_of(connection: Connection) -> dict[str, int | None]:
    """Give where the sequences stand; None for one that was never asked."""
    return dict(connection.execute(SQL["sequences"]).fetchall())
