"""A backup: PostgreSQL's own dump of one snapshot, beside what that snapshot held."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from foremend.db import bootstrap, storage
from foremend.errors import ConfigurationError
from stack.keeping import contents, manifest, programs
from stack.keeping.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from foremend.db import Connection
    from stack.embedded.pg_install import Install


def backup(
    url: str, folder: Path, tell: Callable[[str], None], install: Install | None = None
) -> Manifest:
    """Write a backup into a new folder; it is there whole, under its name, or not at all.

    `url` is of a role that may read everything: the migration role or a superuser.

    Raises:
        ConfigurationError: the folder is there already, or the database has no schema.
        ProgramMissing, ProgramFailed: PostgreSQL's programs are not there, or gave up.
        Unavailable: the database does not answer.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already: name a new folder")
    partial.mkdir(mode=0o700, parents=True, exist_ok=False)
    with contents.frozen(url) as connection:
        made = _describe(connection, tell)
        _dump(connection, url, partial, tell, install)
    manifest.write(partial, made)
    partial.rename(folder)
    return made


def _describe(connection: Connection, tell: Callable[[str], None]) -> Manifest:
    revision = bootstrap.present_revision(connection)
    if revision is None:
        raise ConfigurationError("this database has no Foremend schema: there is nothing to keep")
    used = storage.in_use(connection)
    return Manifest(
        format=manifest.FORMAT,
        made_at=datetime.now(UTC),
        schema=revision,
        postgresql=connection.info.server_version // 10_000,
        layout=used.layout.value,
        timescaledb=used.timescaledb,
        tables=contents.contents_of(connection, tell),
        sequences=contents.sequences_of(connection),
    )


def _dump(
    connection: Connection,
    url: str,
    folder: Path,
    tell: Callable[[str], None],
    install: Install | None,
) -> None:
    row = connection.execute(contents.SQL["snapshot"]).fetchone()
    assert row is not None  # noqa: S101 - the function gives one
    major = connection.info.server_version // 10_000
    argv = (
        programs.program("pg_dump", server=major, install=install),
        *("--format=directory", f"--file={folder / manifest.DUMP}", "--compress=gzip:1"),
        # The migration role is held to row-level security as well; as EVERY_TENANT it sees all.
        *(f"--snapshot={row[0]}", "--enable-row-security", "--verbose"),
    )
    programs.run(argv, url, lambda table: tell(f"dumping {table}"), folder)
