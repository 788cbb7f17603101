"""One SQLite file of the agent: opening it, setting a damaged one aside, transactions, errors."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from edge_agent import sql
from foremend.errors import ConfigurationError, ForemendError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

SQL: Final = sql.load("outbox/sqlite_store.sql")
VERSION: Final = 3
KEPT_ASIDE: Final = 3
"""Damaged files that are kept to look at, the newest: they too fill the disk."""
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
MOST_PAGES: Final = 2**32 - 2
_PRIMARY: Final = 0xFF
"""Extended result codes hold the primary one in their lowest byte."""


FOLD_AFTER: Final = 1000
FOLD_AFTER_TIGHT: Final = 16
"""Pages of the log that go to the file together: SQLite's own number, and one with which the log
does not take the room that the file needs to receive them."""


class OutboxUnavailable(Unavailable):
    """The outbox's disk is full or does not answer; it is tried again."""


class OutboxFull(OutboxUnavailable):
    """The outbox's disk is full; what is cheapest must go."""


class OutboxCorrupt(ForemendError):
    """The outbox's file is damaged: it is set aside and a new one begun."""


class OutboxInUse(ConfigurationError):
    """Another process uses this outbox: stop it, or give each agent a file of its own."""


class SqliteFile:
    """A connection that runs named blocks; for one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, name: str, row: Mapping[str, Any] | None = None) -> None:
        """Run a block that gives nothing back."""
        with translated():
            self._connection.execute(SQL[name], row or {})

    def run_many(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a block once a row."""
        with translated():
            self._connection.executemany(SQL[name], rows)

    def all(self, name: str, row: Mapping[str, Any] | None = None) -> list[Any]:
        """Give every row of a block."""
        with translated():
            return self._connection.execute(SQL[name], row or {}).fetchall()

    def stream(self, name: str, row: Mapping[str, Any]) -> Generator[Any, None, None]:
        """Give a block's rows one by one; close the iterator before anything is changed."""
        with translated():
            cursor = self._connection.execute(SQL[name], row)
            try:
                yield from cursor
            finally:
                cursor.close()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Run what is inside as one transaction, on the disk when it ends if `durable`."""
        self.run("durable" if durable else "hasty")
        self.run("begin")
        try:
            yield
            self.run("commit")
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    def grow(self, by_bytes: int | None, least_bytes: int = 0) -> None:
        """Let the file grow by so much, or up to so much; None for without bounds."""
        [(pages,)], [(size,)] = self.all("pages"), self.all("page_size")
        most = (
            MOST_PAGES if by_bytes is None else max(pages + by_bytes // size, least_bytes // size)
        )
        fold_after = FOLD_AFTER if by_bytes is None else FOLD_AFTER_TIGHT
        # A pragma takes no parameters.
        with translated():
            self._connection.execute(f"{SQL['limit']} = {most}")
            self._connection.execute(f"{SQL['fold_after']} = {fold_after}")

    @property
    def free_bytes(self) -> int:
        """Bytes of the file that hold nothing, and can be written without its growing."""
        [(pages,)], [(size,)] = self.all("free_pages"), self.all("page_size")
        return int(pages) * int(size)

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._connection.close()


def open_file(path: Path) -> SqliteFile:
    """Open or create an outbox file and look it over.

    Raises:
        OutboxInUse: another process has it.
        OutboxCorrupt: it is damaged, or no database at all.
        OutboxUnavailable: the disk is full or cannot be read.
        ConfigurationError: a newer agent made it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with translated():
        # The one thread that uses it need not be the one that opens it.
        connection = sqlite3.connect(
            path, timeout=0.2, isolation_level=None, check_same_thread=False
        )
    file = SqliteFile(connection)
    try:
        _prepare(file, connection)
    except BaseException:
        file.close()
        raise
    return file


def move_aside(path: Path, now_ms: int) -> Path:
    """Move a damaged file and its log away, for somebody to look at; give its new place."""
    place = path.with_name(f"{path.name}.corrupt-{now_ms}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(place.with_name(place.name + suffix))
    aside = sorted(path.parent.glob(f"{path.name}.corrupt-*"), key=lambda p: p.stat().st_mtime)
    for old in aside[: -2 * KEPT_ASIDE]:
        old.unlink(missing_ok=True)
    return place


@contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into ours; those that only a programmer can cause pass as they are."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "syntax" in str(error) or "no such" in str(error):
            raise
        raise _of_operation(error) from error
    except sqlite3.DatabaseError as error:
        if _primary(error) in _CORRUPT:
            raise OutboxCorrupt(f"the outbox is damaged: {error}") from error
        raise


def _of_operation(error: sqlite3.OperationalError) -> ForemendError:
    if _primary(error) == sqlite3.SQLITE_BUSY:
        return OutboxInUse()
    if _primary(error) == sqlite3.SQLITE_FULL:
        return OutboxFull(f"the outbox's disk is full: {error}")
    if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_DBMOVED:
        return OutboxCorrupt("the outbox's file was taken away")
    return OutboxUnavailable(f"the outbox cannot be written or read for now: {error}")


def _primary(error: sqlite3.Error) -> int:
    return (error.sqlite_errorcode or 0) & _PRIMARY


def _prepare(file: SqliteFile, connection: sqlite3.Connection) -> None:
    file.run("exclusive")
    [(mode,)] = file.all("write_ahead")
    if mode != "wal":
        raise OutboxUnavailable(f"the outbox's file system allows no write-ahead log ({mode})")
    file.run("short_log")
    [(version,)] = file.all("version")
    if version > VERSION:
        raise ConfigurationError(f"the outbox has version {version}; update this agent")
    [(verdict,)] = file.all("check")
    if verdict != "ok":
        raise OutboxCorrupt(f"the outbox is damaged: {verdict}")
    for step in range(version, VERSION):
        with translated():
            connection.executescript(SQL[f"version_{step + 1}"])
