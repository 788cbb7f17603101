"""A console on a real database for tests: a server in a thread, and clients that sign in."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from argon2 import PasswordHasher

from api.accounts import Passwords
from api.admin import ensure_admin, ensure_token
from api.app import bound, create_app, serve
from foremend.db import connect, open_pool
from foremend.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running console and who may sign in."""

    url: str
    database_url: str
    password: str
    """The administrator's."""

    def program(self, role: str, tenant: str = "demo") -> httpx.Client:
        """Give a client with the bearer token of a program of this role."""
        with connect(self.database_url, name="test") as connection:
            token = ensure_token(connection, tenant, f"{role}-of-{tenant}", role)
        return httpx.Client(
            base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=20
        )

    opened: list[httpx.Client] = field(default_factory=list)

    def browser(self) -> Person:
        """Give somebody who has not signed in; closed when the console stops."""
        person = Person(self.url)
        self.opened.append(person.client)
        return person

    def execute(self, sql: str, *parameters: object) -> list[Any]:
        """Run one statement as the runtime role, past no wall but the tenant's."""
        with connect(self.database_url, name="test") as connection:
            connection.execute("SELECT set_config('foremend.tenant', '*', false)")
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []


class Person:
    """A browser without scripts: keeps the session's cookie and sends forms with their token."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=20)

    def sign_in(self, login: str, password: str, after: str = "/") -> httpx.Response:
        return self.client.post(
            "/sign-in", data={"login": login, "password": password, "after": after}
        )

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def submit(self, page: str, target: str, /, **fields: str) -> httpx.Response:
        """Send the form of `page` that goes to `target`, with its hidden fields.

        Of several, the one whose hidden fields agree with those given.
        """
        html = self.client.get(page).text
        forms = re.findall(rf'<form[^>]* action="{target}"[^>]*>.*?</form>', html, re.DOTALL)
        hidden = [
            dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))
            for form in forms
        ]
        fitting = next(h for h in hidden if all(h.get(k, v) == v for k, v in fields.items()))
        return self.client.post(target, data=fitting | fields)


@contextmanager
def running(database_url: str, truth_file: Path | None = None) -> Iterator[Site]:
    """Serve a console on a free port while the block runs."""
    settings = Settings(database_url=database_url, api_port=0, truth_file=truth_file)  # type: ignore[arg-type]
    stop = threading.Event()
    with connect(database_url, name="test") as connection:
        password = ensure_admin(connection, "demo", passwords=CHEAP)
    assert password is not None
    with open_pool(database_url, name="test-api", size=6) as pool, bound(settings) as listening:
        app = create_app(settings, pool, passwords=CHEAP)
        thread = threading.Thread(target=serve, args=(app, listening, stop), name="test-api")
        thread.start()
        try:
            host, port = listening.getsockname()[:2]
            site = Site(url=f"http://{host}:{port}", database_url=database_url, password=password)
            yield site
            for client in site.opened:
                client.close()
        finally:
            stop.set()
            thread.join(timeout=20)
            assert not thread.is_alive()
