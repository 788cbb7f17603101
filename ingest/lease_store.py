"""Leases in the database."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.errors import Unavailable
from ingest import rows
from ingest.leases import LEASE_MS, WIDTH, Lease, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foremend.clock import Millis
    from foremend.db import Connection

WAITS: Final = {"lock": "5s", "statement": "8s", "idle": "5s"}
_SQL: Final = Queries.load("ingest", "leases.sql")
_INGEST: Final = Queries.load("ingest", "ingest.sql")


@dataclass(slots=True)
class PostgresLeases:
    """Each call is one transaction on a connection of its own, and raises Unavailable."""

    open_link: Callable[[], Connection]
    _link: Connection | None = None

    def look(self, me: str) -> tuple[Seen, Millis]:
        """Register for another while, and give what is to be seen and its clock."""
        with self._transaction() as link:
            link.execute(_SQL["forget_the_dead"])
            link.execute(_SQL["enrol"], _terms(me))
            leases = {
                number: Lease(holder=holder, fence=fence, expires_ms=until)
                for number, holder, fence, until in link.execute(_SQL["leases"], {"width": WIDTH})
            }
            workers = dict(link.execute(_SQL["workers"]).fetchall())
            row = link.execute(_SQL["now"]).fetchone()
            assert row is not None  # noqa: S101 - the query gives one row
            return Seen(leases=leases, workers=workers), row[0]

    def renew(self, me: str) -> dict[int, int]:
        """Renew every range that is ours still; gives their fences."""
        with self._transaction() as link:
            held = link.execute(_SQL["renew"], _terms(me)).fetchall()
        return {p // WIDTH: fence for p, fence in held if p % WIDTH == 0}

    def take(self, me: str, number: int) -> bool:
        """Take a range if it is free, and fence off whoever had it."""
        with self._transaction() as link:
            taken = link.execute(_SQL["take"], _terms(me, number)).fetchall()
            if taken:
                partitions, fences = zip(*taken, strict=True)
                told = {"partitions": rows.array(partitions), "fences": rows.array(fences)}
                link.execute(_SQL["fence_off"], told)
        return bool(taken)

    def release(self, me: str, number: int) -> None:
        """Give a range up."""
        with self._transaction() as link:
            link.execute(_SQL["release"], _terms(me, number))

    def leave(self, me: str) -> None:
        """Give everything up, the registration included."""
        with self._transaction() as link:
            link.execute(_SQL["leave"], _terms(me))

    def close(self) -> None:
        """Let the connection go."""
        if self._link is not None:
            self._link.close()
            self._link = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            if self._link is None:
                self._link = self.open_link()
                self._link.execute(_INGEST["bound_waits"], WAITS)
            with transaction(self._link, tenant=EVERY_TENANT) as link:
                yield link
        except psycopg.Error as error:
            self.close()
            raise Unavailable(f"leases cannot be seen now: {error}") from error


def _terms(me: str, number: int = 0) -> dict[str, Any]:
    return {"me": me, "seconds": LEASE_MS / 1000, "first": number * WIDTH, "width": WIDTH}
