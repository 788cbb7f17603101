"""What one API process is made of, and the transaction in which a request works."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request  # noqa: TC002 - FastAPI reads the annotation at run time

from foremend.db import transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from jinja2 import Environment
    from psycopg_pool import ConnectionPool

    from api.accounts import Passwords, User
    from api.stream import Hub
    from foremend.settings import Settings

    DictConnection = psycopg.Connection[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Made once by the composition root, kept in the app's state."""

    settings: Settings
    pool: ConnectionPool[DictConnection]
    hub: Hub
    passwords: Passwords
    templates: Environment

    @contextmanager
    def work(self, user: User) -> Iterator[DictConnection]:
        """Run one transaction that sees the user's tenant alone; commits when the block ends."""
        with (
            self.pool.connection() as connection,
            transaction(connection, tenant=user.tenant) as walled,
        ):
            yield walled


def server_of(request: Request) -> Server:
    """Give the process's parts to a route."""
    server = request.app.state.server
    assert isinstance(server, Server)  # noqa: S101 - create_app puts it there
    return server
