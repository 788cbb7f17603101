"""Roles and a database from nothing, then migrations up to the newest revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from foremend.db.queries import Queries

if TYPE_CHECKING:
    from foremend.db.connection import Connection

OWNER: Final = "foremend_owner"
"""Owns the schema and runs migrations."""
APP: Final = "foremend_app"
"""What the services run as: neither superuser nor owner, and never past row-level security."""

_SQL: Final = Queries.load("foremend.db", "bootstrap.sql")
_GRANTS: Final = Queries.load("foremend.db", "grants.sql")


def create_roles(superuser: Connection, *, owner_password: str, app_password: str) -> None:
    """Make both roles, or set their passwords where they exist."""
    for role, password in ((OWNER, owner_password), (APP, app_password)):
        exists = superuser.execute(_SQL["role_exists"], {"role": role}).fetchone()
        verb = sql.SQL("ALTER" if exists else "CREATE")
        superuser.execute(
            sql.SQL(
                "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD {}"
            ).format(verb, sql.Identifier(role), sql.Literal(password))
        )


def create_database(superuser: Connection, name: str) -> bool:
    """Make the database, owned by the migration role; False where it exists."""
    if superuser.execute(_SQL["database_exists"], {"name": name}).fetchone():
        return False
    superuser.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
            sql.Identifier(name), sql.Identifier(OWNER)
        )
    )
    return True


def enable_timescale(superuser_in_database: Connection) -> bool:
    """Turn TimescaleDB on where the server has it loaded and no frames lie without it already.

    A server may list the extension without having loaded it; creating it would then cut the
    connection, so the preload is looked at first. Says whether the database has it now.
    """
    if not can_enable_timescale(superuser_in_database):
        return False
    superuser_in_database.execute(_SQL["create_timescale"])
    return True


def can_enable_timescale(superuser_in_database: Connection) -> bool:
    """Whether `enable_timescale` would leave the database with TimescaleDB; changes nothing."""
    loaded = superuser_in_database.execute(_SQL["timescale_loaded"]).fetchone()
    native = superuser_in_database.execute(_SQL["native_already"]).fetchone()
    return loaded is not None and native is None


def migrate(owner_url: str) -> str:
    """Bring the schema to the newest revision and grant the runtime role its rights.

    Gives the revision. Runs under lock and statement timeouts, forward only.
    """
    engine = create_engine(
        make_url(owner_url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={"options": "-c lock_timeout=10s -c statement_timeout=300s"},
    )
    config = _alembic()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the URL names this driver
        driver.execute(_GRANTS["grants"])
    return newest_revision()


def newest_revision() -> str:
    """Give the revision that this version of the code expects."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    return head or ""


def present_revision(connection: Connection) -> str | None:
    """Give the revision that the database stands at, or None where it has no schema."""
    try:
        row = connection.execute(_SQL["revision"]).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return None if row is None else str(row[0])


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "foremend.db:migrations")
    config.set_main_option("path_separator", "os")
    return config
