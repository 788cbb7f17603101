"""A source that plays a recorded file, CSV or Parquet, as fast as the outbox takes it or in time.

One row is one frame. Each reading keeps the instant that the file gives it, or is moved so that
the recording begins now. How far it came is kept beside the outbox: a restart goes on from there.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import math
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TextIO

import msgspec
from msgspec import Meta, Struct, field

from edge_agent.source import Frame, Mark
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.lines import DeviceConfig
from foremend.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from edge_agent.site import Site
    from edge_agent.source import Description, Item
    from foremend.clock import Millis

LOG: Final = logging.getLogger(__name__)
ROWS: Final = 4096
"""Of a Parquet file that are held at once."""
MARK_EVERY: Final = 60
"""Rows between two notes of how far it came: at most so many are told twice after a kill."""
_UNITS_MS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}


class TableConfig(DeviceConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which file, which of its columns, and what the device is."""

    path: str
    """A file whose name ends in .csv or .parquet."""
    time: str
    """The column of instants: ISO 8601 (UTC where it names no zone), or a number of `time_unit`."""
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    columns: dict[str, str] = field(default_factory=dict)
    """Channel -> column, for channels whose columns have other names."""
    phase: str | None = None
    """A column of phases, as numbers."""
    separator: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    pace: Annotated[float, Meta(ge=0)] = 0.0
    """Recorded seconds in one second; 0 for as fast as it is taken."""
    from_now: bool = False
    """Move the recording so that it begins now."""


class Place(Struct, frozen=True):
    """How far a recording has come."""

    rows: int = 0
    shift_ms: int | None = None


class TableSource:
    """Plays one file, once."""

    def __init__(self, config: TableConfig, site: Site) -> None:
        self._config, self._site = config, site
        self._description = config.description(patient=True)
        self._names = [channel.name for channel in config.channels]
        self._file = Path(config.path)
        self._note = site.folder / f"{site.device}.table.json"
        self._closed = asyncio.Event()

    def describe(self) -> Description:
        """Say what the device is, as its configuration does."""
        return self._description

    async def close(self) -> None:
        """Let `read` end."""
        self._closed.set()

    async def read(self) -> AsyncIterator[Item]:
        """Give the rows after those that an earlier run had put on the disk.

        Raises:
            ConfigurationError: there is no such file, or it has not these columns.
            InputError: an instant cannot be read, or stands before the one above it.
        """
        place = self._open_place()
        shift_ms, begun_ms, first_ms = place.shift_ms, self._site.steady_ms(), None
        told = place.rows
        for number, frame in enumerate(self._frames()):
            if shift_ms is None:
                shift_ms = self._site.now_ms() - frame.ts_ms if self._config.from_now else 0
            if number < place.rows:
                continue
            first_ms = frame.ts_ms if first_ms is None else first_ms
            await self._keep_pace(frame.ts_ms - first_ms, begun_ms)
            if self._closed.is_set():
                return
            yield Frame(
                ts_ms=frame.ts_ms + shift_ms,
                values=frame.values,
                phase=frame.phase,
                quality=frame.quality,
            )
            if (number + 1) % MARK_EVERY == 0:
                yield self._mark(Place(number + 1, shift_ms))
            told = number + 1
        yield self._mark(Place(told, shift_ms))
        LOG.info("the recording has ended", extra={"file": str(self._file)})
        await self._closed.wait()

    async def _keep_pace(self, recorded_ms: Millis, begun_ms: Millis) -> None:
        if self._config.pace <= 0:
            return
        due_ms = begun_ms + recorded_ms / self._config.pace
        seconds = (due_ms - self._site.steady_ms()) / 1000
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closed.wait()

    def _open_place(self) -> Place:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Place)
        except FileNotFoundError:
            return Place()
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"{self._note} does not tell how far {self._file} came: {error}; remove it to begin"
                " anew"
            ) from error

    def _mark(self, place: Place) -> Mark:
        return Mark(reached=lambda: self._keep(place))

    def _keep(self, place: Place) -> None:
        partial = self._note.with_suffix(".partial")
        with partial.open("wb") as sink:
            sink.write(msgspec.json.encode(place))
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(self._note)

    def _frames(self) -> Iterator[Frame]:
        before_ms: Millis | None = None
        for line, row in self._rows():
            ts_ms = self._instant(row, line)
            if before_ms is not None and ts_ms <= before_ms:
                raise InputError(
                    self._file, line, self._config.time, "is not after the one above it; sort it"
                )
            before_ms = ts_ms
            values = tuple(self._value(row, name, line) for name in self._names)
            phase = self._value(row, None, line)
            yield Frame(ts_ms=ts_ms, values=values, phase=int(phase or 0))

    def _rows(self) -> Iterator[tuple[int, Mapping[str, object]]]:
        if self._file.suffix == ".parquet":
            return self._parquet()
        if self._file.suffix == ".csv":
            return self._csv()
        raise ConfigurationError(f"source.path: {self._file} is neither .csv nor .parquet")

    def _csv(self) -> Iterator[tuple[int, Mapping[str, object]]]:
        with self._opened() as text:
            reader = csv.DictReader(text, delimiter=self._config.separator)
            self._check(reader.fieldnames or ())
            try:
                for row in reader:
                    yield reader.line_num, row
            except (csv.Error, UnicodeDecodeError) as error:
                raise InputError(self._file, reader.line_num, None, str(error)) from error

    def _opened(self) -> TextIO:
        try:
            return self._file.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            raise ConfigurationError(
                f"source.path: {self._file} cannot be read: {error.strerror}"
            ) from error

    def _parquet(self) -> Iterator[tuple[int, Mapping[str, object]]]:
        # A heavy library, for whoever plays such a file alone.
        from pyarrow import ArrowException  # noqa: PLC0415 - see above
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - see above

        try:
            file = ParquetFile(self._file)
            self._check(file.schema_arrow.names)
            line = 0
            for batch in file.iter_batches(batch_size=ROWS, columns=self._wanted()):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row
        except (OSError, ArrowException) as error:
            raise ConfigurationError(f"source.path: {self._file}: {error}") from error

    def _wanted(self) -> list[str]:
        mine = [self._config.columns.get(name, name) for name in self._names]
        return list(dict.fromkeys([self._config.time, *mine, *filter(None, [self._config.phase])]))

    def _check(self, columns: Iterable[str]) -> None:
        there = list(columns)
        missing = [name for name in self._wanted() if name not in there]
        if missing:
            raise ConfigurationError(
                f"{self._file} has no column {', '.join(missing)}; it has {', '.join(there)}"
            )

    def _instant(self, row: Mapping[str, object], line: int) -> Millis:
        told = row[self._config.time]
        try:
            return instant_ms(told, _UNITS_MS[self._config.time_unit])
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(
                self._file, line, self._config.time, f"{told!r} is not an instant"
            ) from error

    def _value(self, row: Mapping[str, object], name: str | None, line: int) -> float | None:
        """Read a channel's cell, or without a name the phase's; empty is None."""
        column = self._config.phase if name is None else self._config.columns.get(name, name)
        told = row.get(column) if column is not None else None
        if told is None or told == "":
            return None
        try:
            value = float(told)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise InputError(self._file, line, column, f"{told!r} is not a number") from error
        return value if math.isfinite(value) else None


def instant_ms(told: object, unit_ms: float) -> Millis:
    """Read an instant; raises ValueError or TypeError.

    >>> instant_ms("2026-01-01T00:00:00Z", 1000.0), instant_ms("1.5", 1000.0)
    (1767225600000, 1500)
    """
    if isinstance(told, datetime):
        moment = told
    else:
        with suppress(ValueError):
            return round(float(str(told)) * unit_ms)
        moment = datetime.fromisoformat(str(told).strip())
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


KIND: Final = SourceKind(config=TableConfig, make=TableSource)
