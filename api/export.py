"""One device's frames as CSV or Parquet, a page at a time: memory stays flat however long it is."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foremend.db import Queries
from foremend.errors import ForemendError, Remedy
from foremend.values import Phase, Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import psycopg
    import pyarrow as pa

    DictConnection = psycopg.Connection[dict[str, Any]]
    Work = Callable[[], AbstractContextManager[DictConnection]]

PAGE: Final = 20_000
"""Rows in memory at a time, and in one row group of Parquet."""
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_SQL: Final = Queries.load("api", "export.sql")


class SchemaAppeared(ForemendError):
    """Readings of other channels came in while these were read: export again."""

    remedy = Remedy.RETRY


class Format(Enum):
    """What an export is written as."""

    CSV = "csv"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """The registered media type."""
        return {
            Format.CSV: "text/csv; charset=utf-8; header=present",
            Format.PARQUET: "application/vnd.apache.parquet",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One channel through all schemas of a device; channels of one name and unit are one."""

    name: str
    unit: str
    """UCUM code."""
    places: dict[int, int]
    """Where each schema has it."""

    @property
    def label(self) -> str:
        """The heading, unit included."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some frames in the order of their times."""

    t_ms: list[int]
    schema_id: list[int]
    phase: list[int]
    quality: list[int]
    vals: list[list[float | None]]


def columns_of(schemas: Iterable[tuple[int, Sequence[dict[str, Any]]]]) -> list[Column]:
    """Give the columns that a device's schemas come to, in the order in which they appeared.

    >>> [c.label for c in columns_of([(1, [{"name": "temp", "unit": "Cel"}])])]
    ['temp [Cel]']
    """
    places: dict[tuple[str, str], dict[int, int]] = {}
    for schema_id, channels in schemas:
        for place, channel in enumerate(channels):
            places.setdefault((channel["name"], channel["unit"]), {})[schema_id] = place
    return [Column(name=n, unit=u, places=found) for (n, u), found in places.items()]


def export(
    work: Work,
    device_id: int,
    *,
    since: datetime | None,
    until: datetime | None,
    form: Format,
) -> Iterator[bytes]:
    """Give the file in parts; each page is read in a transaction of its own.

    Rows that arrive late, behind the page that is being read, are not in it.

    Raises:
        SchemaAppeared: while it is being read; what was given so far is cut short.
    """
    start, end = since or EARLIEST, until or LATEST
    with work() as connection:
        key = {"device_id": device_id, "from": start, "to": end}
        rows = connection.execute(_SQL["schemas"], key).fetchall()
    columns = columns_of((row["id"], row["channels"]) for row in rows)
    return _written(columns, _pages(work, device_id, start, end), form)


def _pages(work: Work, device_id: int, since: datetime, until: datetime) -> Iterator[Page]:
    # Numbers begin at 0: the first page takes the instant `since` itself in.
    after: dict[str, Any] = {"ts": since, "boot_id": -1, "seq": -1}
    told = {"device_id": device_id, "to": until, "limit": PAGE}
    while True:
        with work() as connection:
            rows = connection.execute(_SQL["page"], told | after, binary=True).fetchall()
        if rows:
            yield Page(**{name: [r[name] for r in rows] for name in Page.__slots__})
            after = {name: rows[-1][name] for name in after}
        if len(rows) < PAGE:
            return


def _written(columns: Sequence[Column], pages: Iterable[Page], form: Format) -> Iterator[bytes]:
    # Large, and needed by nobody else: loaded by the first export alone.
    import pyarrow as pa  # noqa: PLC0415

    buffer = io.BytesIO()
    schema = _schema(columns)
    with pa.PythonFile(buffer, mode="w") as sink:
        writer = _writer(sink, schema, form)
        for page in pages:
            writer.write(_table(columns, page, schema))
            yield _drained(buffer)
        writer.close()
        rest = _drained(buffer)
    yield rest


def _writer(sink: Any, schema: pa.Schema, form: Format) -> Any:  # noqa: ANN401 - pyarrow has no types
    if form is Format.CSV:
        from pyarrow import csv  # noqa: PLC0415

        options = csv.WriteOptions(quoting_style="needed")
        return csv.CSVWriter(sink, schema, write_options=options)
    from pyarrow import parquet  # noqa: PLC0415

    return parquet.ParquetWriter(sink, schema, compression="zstd")


def _drained(buffer: io.BytesIO) -> bytes:
    part = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return part


def _schema(columns: Sequence[Column]) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415

    fixed = [
        pa.field("time", pa.timestamp("ms", tz="UTC")),
        pa.field("phase", pa.string()),
        pa.field("quality", pa.string()),
    ]
    channels = [
        pa.field(c.label, pa.float64(), metadata={"channel": c.name, "unit": c.unit})
        for c in columns
    ]
    return pa.schema([*fixed, *channels])


def _table(columns: Sequence[Column], page: Page, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415

    values = _values(columns, page)
    arrays = [
        pa.array(page.t_ms, type=schema.field("time").type),
        pa.array([_name(Phase, n) for n in page.phase]),
        pa.array([_name(Quality, n) for n in page.quality]),
        *(pa.array(values[:, i], mask=np.isnan(values[:, i])) for i in range(len(columns))),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(columns: Sequence[Column], page: Page) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Give [frames, columns]; NaN where nothing was read, or the schema has no such channel."""
    values = np.full((len(page.t_ms), len(columns)), np.nan)
    ids = np.array(page.schema_id)
    known = {schema_id for column in columns for schema_id in column.places}
    for schema_id in np.unique(ids):
        rows = np.flatnonzero(ids == schema_id)
        told = np.array([page.vals[i] for i in rows], dtype=np.float64)
        if int(schema_id) not in known and told.size:
            raise SchemaAppeared
        for place, column in enumerate(columns):
            source = column.places.get(int(schema_id))
            if source is not None:
                values[rows, place] = told[:, source]
    return values


def _name(kind: type[Phase | Quality], number: int) -> str:
    try:
        return kind(number).name.lower()
    except ValueError:
        return str(number)
