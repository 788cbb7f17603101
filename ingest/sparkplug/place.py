"""The host application's place in the database: one process at a time, and what it takes over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.errors import Unavailable
from ingest.sparkplug.device import AGENT

if TYPE_CHECKING:
    from foremend.db import Connection
    from ingest.store import PostgresStore

_SQL: Final = Queries.load("ingest.sparkplug", "sparkplug.sql")


@dataclass(slots=True)
class Place:
    """Held as long as its connection lives."""

    connection: Connection
    store: PostgresStore

    def take(self) -> bool:
        """Take the place; False while another process holds it.

        Raises:
            Unavailable: the database is gone.
        """
        try:
            row = self.connection.execute(_SQL["take_place"]).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(f"the database does not answer: {error}") from error
        return row is not None and bool(row[0])

    def devices(self) -> list[tuple[str, str]]:
        """Give tenant and id of all devices that ever came through this door.

        None of them is known to be there any more: they are marked so.

        Raises:
            Unavailable: the database is gone.
        """
        try:
            with transaction(self.connection, tenant=EVERY_TENANT) as connection:
                connection.execute(_SQL["doubt_presence"], {"agent": AGENT})
                rows = connection.execute(_SQL["devices"], {"agent": AGENT}).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(f"the database does not answer: {error}") from error
        return [(tenant, name) for tenant, name in rows]

    def close(self) -> None:
        """Give the place to whoever waits for it."""
        self.connection.close()
