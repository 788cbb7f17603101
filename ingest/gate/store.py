"""Devices' credentials as the gate reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import class_row, dict_row

from foremend.db import EVERY_TENANT, Queries, transaction
from ingest.gate.decide import Credential

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_SQL: Final = Queries.load("ingest.gate", "gate.sql")
LISTEN: Final = _SQL["listen"]


class Entry(NamedTuple):
    """One device that may come in, as Mosquitto's files need it."""

    login: str
    tenant: str
    device: str
    mosquitto_hash: str


def credentials(
    connection: psycopg.Connection[Any], logins: Iterable[str]
) -> dict[str, Credential]:
    """Give the credentials of those logins that have any."""
    with (
        transaction(connection, tenant=EVERY_TENANT),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        rows = cursor.execute(_SQL["of_logins"], {"logins": sorted(set(logins))}).fetchall()
    return {
        row["login"]: Credential(**{**row, "secret_hash": bytes(row["secret_hash"])})
        for row in rows
    }


def changed(connection: psycopg.Connection[Any], *, within_s: float) -> list[str]:
    """Give the logins whose credentials were renewed or revoked lately."""
    with transaction(connection, tenant=EVERY_TENANT):
        rows = connection.execute(_SQL["changed"], {"seconds": within_s}).fetchall()
    return [row[0] for row in rows]


def valid(connection: psycopg.Connection[Any]) -> list[Entry]:
    """Give every device that may come in, by login."""
    with (
        transaction(connection, tenant=EVERY_TENANT),
        connection.cursor(row_factory=class_row(Entry)) as cursor,
    ):
        return cursor.execute(_SQL["valid"]).fetchall()
