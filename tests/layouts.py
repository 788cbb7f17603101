"""Databases in both layouts of frames: PostgreSQL's own partitions, and TimescaleDB's chunks.

The second needs FOREMEND_TEST_TIMESCALE_BIN (or FOREMEND_PG_BIN) to name the programs of a
PostgreSQL with TimescaleDB.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from foremend.db import bootstrap, connect
from foremend.db.storage import Layout
from stack.embedded import pg_install
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import serving
from tests.roles import ROLE_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Urls:
    """One database as each role sees it."""

    superuser: str
    owner: str
    app: str


def timescale_install() -> pg_install.Install:
    chosen = os.environ.get("FOREMEND_TEST_TIMESCALE_BIN") or os.environ.get("FOREMEND_PG_BIN")
    if not chosen:
        pytest.skip("no TimescaleDB: FOREMEND_TEST_TIMESCALE_BIN names no PostgreSQL that has it")
    install = pg_install.find_install({pg_install.BIN_VARIABLE: chosen})
    if pg_install.timescaledb_version(install) is None:
        pytest.skip(f"no TimescaleDB beside {install.bin_dir}")
    return install


def install_of(layout: Layout) -> pg_install.Install:
    return timescale_install() if layout is Layout.TIMESCALEDB else pg_install.find_install({})


@contextmanager
def serving_layout(layout: Layout, path: Path) -> Iterator[EmbeddedPostgres]:
    """Run a throw-away server of its own, with the extension where the layout needs it."""
    install = install_of(layout)
    with open_data_dir(path) as home:
        server = EmbeddedPostgres(home, install=install, durable=False)
        with serving(server):
            yield server
        server.close()


def urls_of(server: EmbeddedPostgres, name: str) -> Urls:
    """Give the URLs of one database."""
    address = server.url(name).rsplit("@", 1)[1]
    owner, app = (
        f"postgresql://{r}:{ROLE_PASSWORD}@{address}" for r in (bootstrap.OWNER, bootstrap.APP)
    )
    return Urls(superuser=server.url(name), owner=owner, app=app)


def empty(server: EmbeddedPostgres, name: str) -> Urls:
    """Make roles and a database without anything in it."""
    with connect(server.url(), name="test") as superuser:
        bootstrap.create_roles(superuser, owner_password=ROLE_PASSWORD, app_password=ROLE_PASSWORD)
        bootstrap.create_database(superuser, name)
    return urls_of(server, name)


def migrated(server: EmbeddedPostgres, layout: Layout, name: str) -> Urls:
    """Make a database with the whole schema."""
    urls = empty(server, name)
    if layout is Layout.TIMESCALEDB:
        with connect(urls.superuser, name="test") as superuser:
            assert bootstrap.enable_timescale(superuser)
    bootstrap.migrate(urls.owner)
    return urls
