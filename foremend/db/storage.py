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

    def within(self, since: datetime, until: datetime) -> bool:
        """Whether it holds nothing but frames of [since, until)."""
        return since <= self.since and self.until <= until


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
    """List the chunks or partitions, oldest first."""
    block = "native_sections" if _native(connection) else "timescaledb_sections"
    return tuple(
        Section(name=name, since=since, until=until, size=size, compressed=compressed)
        for name, since, until, size, compressed in connection.execute(_SQL[block])
    )


def drop_range(owner: Connection, since: datetime, until: datetime) -> tuple[Section, ...]:
    """Drop every section that lies wholly in [since, until), and give what was dropped.

    Needs the migration role. Receipts stay: what was dropped is not taken in again.
    """
    doomed = tuple(s for s in sections(owner) if s.within(since, until))
    if _native(owner):
        for section in doomed:
            row = owner.execute(_SQL["native_drop"], {"name": section.name}).fetchone()
            assert row is not None  # noqa: S101 - the query gives one row
            owner.execute(row[0].encode())
    elif doomed:
        span = {"since": doomed[0].since, "until": doomed[-1].until}
        owner.execute(_SQL["timescaledb_drop"], span).fetchall()
    return doomed


def compress(owner: Connection, until: datetime) -> tuple[str, ...]:
    """Compress the sections that end by `until`, and give their names; none where it cannot.

    Needs the migration role. Policies are not used: they follow the wall clock, and the timelines
    of recordings and simulations do not.
    """
    if not in_use(owner).compresses:
        return ()
    due = [s.name for s in sections(owner) if s.until <= until and not s.compressed]
    for name in due:
        owner.execute(_SQL["compress"], {"name": name})
    return tuple(due)


def _native(connection: Connection) -> bool:
    return in_use(connection).layout is Layout.NATIVE
