"""Real servers for every test that asks: one of each a session, and a database of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from foremend.db import bootstrap
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import DataDir, open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import serving
from tests.roles import ROLE_PASSWORD

NewDatabase = Callable[..., str]

TEMPLATE = "migrated_template"


class BrokerAddress(NamedTuple):
    """Where the session's broker is, and the login that may do everything."""

    host: str
    port: int
    user: str
    password: str


class DatabaseUrls(NamedTuple):
    """One migrated database as its owner (migrations) and as the runtime role see it."""

    owner: str
    app: str


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataDir]:
    with open_data_dir(tmp_path_factory.mktemp("servers") / "var") as home:
        yield home


@pytest.fixture(scope="session")
def postgres_server(data_dir: DataDir) -> Iterator[EmbeddedPostgres]:
    """A throw-away server; nothing in it outlives the session, so it need not be durable."""
    with serving(EmbeddedPostgres(data_dir, durable=False)) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_broker(data_dir: DataDir) -> Iterator[EmbeddedBroker]:
    with serving(EmbeddedBroker(data_dir)) as server:
        yield server


@pytest.fixture
def broker(embedded_broker: EmbeddedBroker) -> BrokerAddress:
    """The session's broker; choose client ids and device names that no other test uses."""
    login = embedded_broker.services
    return BrokerAddress(embedded_broker.host, embedded_broker.port, login.user, login.password)


@pytest.fixture(scope="session")
def new_database(postgres_server: EmbeddedPostgres) -> NewDatabase:
    """Make a fresh database and return its superuser URL: `new_database(template="...")`."""
    numbers = itertools.count(1)

    def create(template: str = "template0", owner: str = "postgres") -> str:
        name = f"test_{next(numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
            *map(sql.Identifier, (name, template, owner))
        )
        with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
            connection.execute(statement)
        return postgres_server.url(name)

    return create


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """A fresh, empty database of this test's own, as a superuser."""
    return new_database()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """A database at the newest revision, migrated once and copied for each test."""
    with psycopg.connect(postgres_server.url(), autocommit=True) as superuser:
        bootstrap.create_roles(superuser, owner_password=ROLE_PASSWORD, app_password=ROLE_PASSWORD)
        bootstrap.create_database(superuser, TEMPLATE)
    with psycopg.connect(postgres_server.url(TEMPLATE), autocommit=True) as superuser:
        bootstrap.enable_timescale(superuser)
    bootstrap.migrate(_as_role(postgres_server.url(TEMPLATE), bootstrap.OWNER))
    return TEMPLATE


@pytest.fixture(scope="session")
def new_migrated(new_database: NewDatabase, migrated_template: str) -> Callable[[], DatabaseUrls]:
    """Make a fresh database with the whole schema, for modules that share a seeded one."""

    def create() -> DatabaseUrls:
        url = new_database(migrated_template, bootstrap.OWNER)
        return DatabaseUrls(_as_role(url, bootstrap.OWNER), _as_role(url, bootstrap.APP))

    return create


@pytest.fixture
def migrated_urls(new_migrated: Callable[[], DatabaseUrls]) -> DatabaseUrls:
    """A fresh database of this test's own with the whole schema, for both roles."""
    return new_migrated()


def _as_role(url: str, role: str) -> str:
    address = url.rsplit("@", 1)[1]
    return f"postgresql://{role}:{ROLE_PASSWORD}@{address}"
