"""A recorded file as rows of numbers: found out on its first rows, then read strictly.

Every complaint names the file, the line and the column. Fields may be missing; a field that is
neither a number nor missing is refused, because a guess would be scored as a measurement.
"""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, ClassVar, Final

from foremend.errors import ForemendError, Remedy
from models.scorefile import layout
from models.scorefile.times import time_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from models.scorefile.layout import Number
    from models.scorefile.times import ReadTime

SAMPLE_ROWS: Final = 500


class FileRefused(ForemendError):
    """A recorded file cannot be read."""

    remedy: ClassVar[Remedy] = Remedy.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a recording."""

    text: str
    """The time as the file writes it."""
    ts_ms: int
    values: tuple[float, ...]
    """One per channel; NaN where missing."""


_Cells = tuple[int, list[str]]
"""A line's number, and its fields."""


@dataclass(slots=True, kw_only=True)
class Recording:
    """A file that has been understood; `rows` can be read once."""

    path: Path
    channels: tuple[str, ...]
    left_out: tuple[str, ...]
    """Columns that are neither the time nor a channel."""
    _header: list[str]
    _time: int
    _places: tuple[int, ...]
    _read_time: ReadTime
    _number: Number
    _cells: Iterator[_Cells] = field(repr=False)

    def rows(self) -> Iterator[Row]:
        """Read row after row. Raises FileRefused."""
        for line, cells in self._cells:
            if len(cells) != len(self._header):
                counted = f"{len(cells)} fields where the header has {len(self._header)}"
                raise FileRefused(f"{self.path}, line {line}: {counted}")
            text = cells[self._time]
            try:
                ts_ms = self._read_time(text)
            except (ValueError, OverflowError):
                raise self._complaint(line, self._time, text, "a time like those before") from None
            values = tuple(self._value(line, place, cells[place]) for place in self._places)
            yield Row(text=text, ts_ms=ts_ms, values=values)

    def _value(self, line: int, place: int, text: str) -> float:
        try:
            return self._number(text)
        except ValueError:
            raise self._complaint(line, place, text, "a number") from None

    def _complaint(self, line: int, place: int, text: str, wanted: str) -> FileRefused:
        where = f"{self.path}, line {line}, column {self._header[place]!r}"
        return FileRefused(f"{where}: {text!r} is not {wanted}")


@contextmanager
def opened(path: Path, time: str, channels: Sequence[str] | None = None) -> Iterator[Recording]:
    """Open a recording and find out how it is written.

    Without `channels`, every other column whose first rows are numbers is one. Raises FileRefused.
    """
    try:
        source = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise FileRefused(f"{path}: {error.strerror or error}") from error
    with source:
        yield _understood(path, source, time, channels)


def _understood(path: Path, source: TextIO, time: str, channels: Sequence[str] | None) -> Recording:
    first = source.readline().rstrip("\r\n")
    mark = layout.separator(first, time)
    if mark is None:
        raise FileRefused(f"{path}, line 1: there is no column {time!r} in {first[:200]!r}")
    header = layout.fields(first, mark)
    _refuse_doubles(path, header)
    cells = _cells(path, source, mark)
    sample = list(islice(cells, SAMPLE_ROWS))
    at = header.index(time)
    columns = _columns(header, sample)
    number = layout.number_reader(
        chain.from_iterable(column for place, column in enumerate(columns) if place != at), mark
    )
    names = _channels(path, header, columns, at, number, channels)
    return Recording(
        path=path,
        channels=names,
        left_out=tuple(name for name in header if name not in {time, *names}),
        _header=header,
        _time=at,
        _places=tuple(header.index(name) for name in names),
        _read_time=_time_reader(path, time, columns[at], sample),
        _number=number,
        _cells=chain(sample, cells),
    )


def _cells(path: Path, source: TextIO, mark: str) -> Iterator[_Cells]:
    """Cut the lines after the header; blank ones are no rows."""
    reader = csv.reader(source, delimiter=mark)
    while True:
        try:
            found = next(reader, None)
        except csv.Error as error:
            raise FileRefused(f"{path}, line {reader.line_num + 1}: {error}") from error
        if found is None:
            return
        if found:
            yield reader.line_num + 1, [text.strip() for text in found]


def _columns(header: list[str], sample: list[_Cells]) -> list[list[str]]:
    whole = [cells for _, cells in sample if len(cells) == len(header)]
    return [[cells[place] for cells in whole] for place in range(len(header))]


def _refuse_doubles(path: Path, header: list[str]) -> None:
    for name in header:
        if header.count(name) > 1:
            raise FileRefused(f"{path}, line 1: column {name!r} stands there twice")


def _channels(
    path: Path,
    header: list[str],
    columns: list[list[str]],
    at: int,
    number: Number,
    asked: Sequence[str] | None,
) -> tuple[str, ...]:
    if asked is not None:
        for name in asked:
            if name not in header or header.index(name) == at:
                raise FileRefused(f"{path}, line 1: there is no channel {name!r}")
        return tuple(dict.fromkeys(asked))
    found = [
        name
        for place, name in enumerate(header)
        if place != at and layout.is_numeric(columns[place], number)
    ]
    if not found:
        raise FileRefused(f"{path}: no column besides the time holds numbers")
    return tuple(found)


def _time_reader(path: Path, time: str, texts: list[str], sample: list[_Cells]) -> ReadTime:
    """Give what reads the times; a complaint names the first line that nothing reads."""
    read = time_reader(texts)
    if read is not None:
        return read
    for count, (line, _) in enumerate(sample[: len(texts)], 1):
        if time_reader(texts[:count]) is None:
            where = f"{path}, line {line}, column {time!r}"
            raise FileRefused(f"{where}: {texts[count - 1]!r} is not a time that can be read")
    raise FileRefused(f"{path}, column {time!r}: the times follow no single form")
