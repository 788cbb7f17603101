"""Connections and transactions; every transaction says whose rows it works on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.rows import TupleRow, dict_row
from psycopg_pool import ConnectionPool

from foremend.db.queries import Queries
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = psycopg.Connection[TupleRow]
DictConnection = psycopg.Connection[dict[str, Any]]

C = TypeVar("C", bound=psycopg.Connection[Any])

EVERY_TENANT: Final = "*"
"""For the services, which serve every tenant; never for a request."""

_SQL: Final = Queries.load("foremend.db", "connection.sql")


def connect(url: str, *, name: str) -> Connection:
    """Open one autocommit connection; `name` shows in pg_stat_activity.

    Raises:
        Unavailable: the database does not answer.
    """
    try:
        return psycopg.connect(
            url, autocommit=True, application_name=f"foremend-{name}", connect_timeout=10
        )
    except psycopg.OperationalError as error:
        raise Unavailable(f"the database does not answer: {_first_line(error)}") from error


def open_pool(url: str, *, name: str, size: int = 8) -> ConnectionPool[DictConnection]:
    """Open a pool of autocommit connections whose rows are dictionaries.

    Raises:
        Unavailable: the database does not answer within 10 s.
    """
    pool: ConnectionPool[DictConnection] = ConnectionPool(
        url,
        connection_class=psycopg.Connection[dict[str, Any]],
        kwargs={
            "autocommit": True,
            "application_name": f"foremend-{name}",
            "row_factory": dict_row,
        },
        min_size=1,
        max_size=size,
        open=False,
        name=name,
    )
    try:
        pool.open(wait=True, timeout=10)
    except psycopg.OperationalError as error:
        pool.close()
        raise Unavailable(f"the database does not answer: {_first_line(error)}") from error
    return pool


@contextmanager
def transaction(connection: C, *, tenant: str) -> Iterator[C]:
    """Run one transaction that sees `tenant`'s rows alone; commits where the block ends well."""
    with connection.transaction():
        connection.execute(_SQL["set_tenant"], {"tenant": tenant})
        yield connection


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
