"""Where frames lie: in TimescaleDB's chunks, or in native weekly partitions of PostgreSQL.

Everybody writes and reads the table `frame` alike; what differs between the layouts is here alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from foremend.db.queries import Queries
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from datetime import datetime

    from foremend.db.connection import Connection

_SQL: Final = Queries.load("foremend.db", "storage.sql")
FRAMES: Final = "frame"
MINUTES: Final = "rollup_minute"
HOURS: Final = "rollup_hour"
_NATIVE_KIND: Final = "p"
"""pg_class.relkind of a natively partitioned table."""


class StorageUnusable(ForemendError):
    """The frames cannot be read or written correctly with this server."""


class Layout(Enum):
    """How frames lie, by the name that summaries give it."""

    TIMESCALEDB = "timescaledb"
    NATIVE = "postgresql"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What a database keeps its frames in."""

    layout: Layout
    postgresql: str
    """The server's version, such as 18.6."""
    timescaledb: str | None = None
    """The extension's version in this database, also where the frames were laid out without it."""
    licence: str | None = None
    """`timescale` has the columnstore; `apache` has not."""

    @property
    def compresses(self) -> bool:
        """Whether old sections can be compressed."""
        return self.layout is Layout.TIMESCALEDB and self.licence == "timescale"

    def __str__(self) -> str:
        if self.layout is Layout.TIMESCALEDB:
            columns = "with" if self.compresses else "without"
            kind = f"{self.licence} licence, {columns} columnstore"
            return f"timescaledb {self.timescaledb} ({kind}) on postgresql {self.postgresql}"
        if self.timescaledb:
            return (
                f"postgresql {self.postgresql} (TimescaleDB {self.timescaledb} is there, but these "
                "data were laid out without it)"
            )
        return f"postgresql {self.postgresql} (TimescaleDB not found)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One chunk or partition: the frames of a stretch of time."""

    name: str
    since: datetime
    until: datetime
    """Exclusive."""
    size: int
    """Bytes on disk, indexes included."""
    compressed: bool


def in_use(connection: Connection) -> Storage:
    """Say what this database keeps its frames in.

    Raises:
        StorageUnusable: the database needs TimescaleDB and the server has not loaded it; what is
            compressed would be missing from answers, and new frames would go astray.
    """
    row = connection.execute(_SQL["in_use"]).fetchone()
    assert row is not None  # noqa: S101 - the query gives one row
    server, kind, extension, loaded, licence = row
    if extension and not loaded:
        raise StorageUnusable(
            f"This database needs TimescaleDB {extension} and its server runs without it, which "
            "gives wrong answers; start the server with shared_preload_libraries = 'timescaledb'."
        )
    hypertable = extension is not None and kind != _NATIVE_KIND
    return Storage(
        layout=Layout.TIMESCALEDB if hypertable else Layout.NATIVE,
        postgresql=str(server).split(maxsplit=1)[0],
        timescaledb=extension,
        licence=licence if extension else None,
    )


def ensure_room(connection: Connection, since: datetime, until: datetime) -> None:
    """Make what is missing to store frames of [since, until]; TimescaleDB does so by itself."""
    connection.execute(_SQL["ensure_room"], {"since": since, "until": until})


def copy_frames(connection: Connection, rows: bytes) -> None:
    """Store frames given as a binary COPY stream, in the caller's transaction.

    Raises:
        psycopg.errors.UniqueViolation: one of them is stored already; then none is stored.
    """
    with connection.cursor().copy(_SQL["copy_frames"]) as copy:
        copy.write(rows)


def sections(connection: Connection) -> tuple[Section, ...]:
    """List the chunks or partitions of the frames, oldest first."""
    if _native(connection):
        return _sections(connection, "native_sections", FRAMES)
    return _sections(connection, "timescaledb_sections", FRAMES)


def rollup_sections(connection: Connection, rollup: str) -> tuple[Section, ...]:
    """List the partitions of MINUTES or HOURS, oldest first; these are PostgreSQL's own."""
    return _sections(connection, "native_sections", rollup)


def drop(connection: Connection, name: str) -> bool:
    """Drop a section; False, and nothing done, where something has still to read it.

    The database keeps a record of what was dropped. Receipts stay: it is not taken in again.

    Raises:
        psycopg.errors.LockNotAvailable: somebody had it in use for 2 s; nothing was done.
        psycopg.errors.WrongObjectType: this is no section of frames or rollups.
    """
    return _door(connection, "drop", name)


def compress(connection: Connection, name: str) -> bool:
    """Compress a section of frames; False, and nothing done, where something has still to read it.

    Policies are not used: they follow the wall clock, and the timelines of recordings and
    simulations do not.

    Raises:
        psycopg.errors.LockNotAvailable: somebody had it in use for 2 s; nothing was done.
    """
    return in_use(connection).compresses and _door(connection, "compress", name)


def floors(connection: Connection) -> dict[str, datetime]:
    """Give until when FRAMES, MINUTES or HOURS may be dropped, for those of which some were."""
    return dict(connection.execute(_SQL["floors"]).fetchall())


def _sections(connection: Connection, block: str, parent: str) -> tuple[Section, ...]:
    return tuple(
        Section(name=name, since=since, until=until, size=size, compressed=compressed)
        for name, since, until, size, compressed in connection.execute(
            _SQL[block], {"parent": parent}
        )
    )


def _door(connection: Connection, block: str, name: str) -> bool:
    row = connection.execute(_SQL[block], {"name": name}).fetchone()
    assert row is not None  # noqa: S101 - the function gives one row
    return bool(row[0])


def _native(connection: Connection) -> bool:
    return in_use(connection).layout is Layout.NATIVE
