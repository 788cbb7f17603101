"""Credentials read from the database through one connection, made anew when it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from foremend.db import connect
from foremend.errors import Unavailable
from ingest.gate import store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from foremend.db import Connection
    from ingest.gate.decide import Credential


class PostgresRegister:
    """A `Register` over PostgreSQL; for one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    def of(self, logins: Iterable[str]) -> dict[str, Credential]:
        """Give the credentials of those logins that have any.

        Raises:
            Unavailable: the database does not answer.
        """
        if self._connection is None:
            self._connection = connect(self._url, name="gate-door")
        try:
            return store.credentials(self._connection, logins)
        except psycopg.OperationalError as error:
            self.close()
            raise Unavailable(f"the database does not answer: {error}") from error

    def close(self) -> None:
        """Let go of the connection; the next question makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
