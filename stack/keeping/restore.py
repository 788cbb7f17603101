"""A backup brought back into an empty database or a new data folder, and held to its hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from foremend.db import bootstrap, connect, storage
from foremend.errors import ForemendError
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import serving
from stack.keeping import contents, manifest, programs
from stack.keeping.manifest import Manifest, RestoreRefused, Target
from stack.site import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from foremend.db import Connection
    from stack.embedded.pg_install import Install

ROLES: Final = (bootstrap.OWNER, bootstrap.APP)


class RestoreDiffers(ForemendError):
    """What was restored is not what the backup says: do not use it."""


def restore(
    folder: Path, url: str, tell: Callable[[str], None], install: Install | None = None
) -> Manifest:
    """Restore a backup into an empty database, and compare every table with the manifest.

    `url` is of the migration role, which owns the database, or of a superuser; where frames lie in
    TimescaleDB, of a superuser.

    Raises:
        BackupUnusable: the folder is no backup.
        RestoreRefused: it cannot go there; nothing was changed.
        RestoreDiffers: a table is not what it was.
        ProgramMissing, ProgramFailed, Unavailable: as they say.
    """
    told = manifest.read(folder)
    with connect(url, name="restore") as connection:
        _require_fit(connection, told)
        major = connection.info.server_version // 10_000
        argv = (
            programs.program("pg_restore", server=major, install=install),
            *("--exit-on-error", "--single-transaction", "--no-comments", "--enable-row-security"),
            *("--verbose", str(folder / manifest.DUMP)),
        )
        _prepare_timescale(connection, told)
        programs.run(argv, url, lambda table: tell(f"restoring {table}"), folder)
        if told.timescaledb is not None:
            connection.execute(contents.SQL["post_restore"])
        connection.execute(contents.SQL["analyze"])
    _compare(url, told, tell)
    return told


def restore_into_folder(
    folder: Path, data_dir: Path, tell: Callable[[str], None], install: Install | None = None
) -> Manifest:
    """Restore a backup into a new data folder, for `foremend up` to go on with.

    Raises:
        RestoreRefused: the folder has a database already.
        And as `restore`.
    """
    told = manifest.read(folder)
    with open_data_dir(data_dir) as home:
        if (home.path / "postgres").exists():
            raise RestoreRefused(f"{home.path} has a database already: name a new folder")
        server = EmbeddedPostgres(home, install=install)
        if told.timescaledb is not None and server.timescaledb != told.timescaledb:
            raise RestoreRefused(
                f"its frames lie in TimescaleDB {told.timescaledb}, and the PostgreSQL found has "
                f"{server.timescaledb or 'none'}: set FOREMEND_PG_BIN to one that has that version"
            )
        with serving(server):
            with connect(server.url(), name="restore") as superuser:
                secrets = home.secret(bootstrap.OWNER), home.secret(bootstrap.APP)
                bootstrap.create_roles(
                    superuser, owner_password=secrets[0], app_password=secrets[1]
                )
                bootstrap.create_database(superuser, DATABASE)
            if told.timescaledb is not None:
                server.remember_timescaledb(told.timescaledb)
            restore(folder, server.url(DATABASE), tell, install)
        server.close()
    return told


def _require_fit(connection: Connection, told: Manifest) -> None:
    roles = {name for (name,) in connection.execute(contents.SQL["roles"], {"names": list(ROLES)})}
    refusal = manifest.refusal_of(
        told,
        Target(
            postgresql=connection.info.server_version // 10_000,
            newest_schema=bootstrap.newest_revision(),
            tables=contents.tables_of(connection),
            missing_roles=set(ROLES) - roles,
            superuser=connection.info.parameter_status("is_superuser") == "on",
            timescaledb={v for (v,) in connection.execute(contents.SQL["available"])},
        ),
    )
    if refusal is not None:
        raise RestoreRefused(f"this backup cannot be restored there: {refusal}")


def _prepare_timescale(connection: Connection, told: Manifest) -> None:
    """Have the extension in the very version, and stop it from acting while rows come in."""
    if told.timescaledb is None:
        return
    if storage.in_use(connection).timescaledb is None:
        create = sql.SQL(contents.SQL["create_timescale"].decode())
        connection.execute(create.format(version=sql.Literal(told.timescaledb)))
    connection.execute(contents.SQL["pre_restore"])


def _compare(url: str, told: Manifest, tell: Callable[[str], None]) -> None:
    with contents.frozen(url) as connection:
        wrong = manifest.differences(told, contents.contents_of(connection, tell))
        wrong += manifest.behind(told, contents.sequences_of(connection))
    if wrong:
        raise RestoreDiffers(f"{'; '.join(wrong[:5])}: do not use what was restored")
