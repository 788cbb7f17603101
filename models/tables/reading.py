"""Delimited text as columns of cells that remember their lines."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.errors import InputError
from models.tables import times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.tables.names import Column

MISSING: Final = frozenset(("", "na", "n/a", "nan", "null", "none"))
DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file's columns; `cells[j][i]` stands in column j, in the file's line `lines[i]`."""

    path: Path
    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: Sequence[int]
    decimal_comma: bool

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, column: Column) -> int:
        """Return where a column stands; raises `InputError`."""
        at = column.found_in(self.header)
        if at is None:
            told = f"no such column; there are {', '.join(self.header)}"
            raise InputError(self.path, 1, column.name, told)
        return at

    def place_of_last(self, column: Column, *, beside: Sequence[int]) -> int:
        """Return where a column stands; whatever its name, if it alone stands beside others."""
        left = [j for j in range(len(self.header)) if j not in beside]
        at = column.found_in(self.header)
        return left[0] if at is None and len(left) == 1 else self.place(column)

    def names(self, at: int) -> list[str]:
        """Return a column's texts; an empty one is an `InputError`."""
        out = [cell.strip() for cell in self.cells[at]]
        if "" in out:
            raise self.fault(out.index(""), at, "is empty")
        return out

    def instants_ms(self, at: int) -> NDArray[np.int64]:
        """Return a column's times in milliseconds since the epoch; raises `InputError`."""
        read = times.reader()
        out = np.empty(len(self), dtype=np.int64)
        for i, cell in enumerate(self.cells[at]):
            try:
                out[i] = read(cell)
            except times.NotATime as error:
                raise self.fault(i, at, str(error)) from error
        return out

    def numbers(self, at: int) -> NDArray[np.float64]:
        """Return a column's numbers, NaN where one is missing; raises `InputError`."""
        cells = self.cells[at]
        try:
            out = np.array(cells, dtype=np.float64)
        except ValueError:
            out = np.array([self._number(i, at) for i in range(len(self))])
        if np.isinf(out).any():
            raise self._not_finite(int(np.flatnonzero(np.isinf(out))[0]), at)
        return out

    def fault(self, i: int, at: int, told: str) -> InputError:
        """Return the error that names the place of cell i of a column."""
        return InputError(self.path, self.lines[i], self.header[at], told)

    def _number(self, i: int, at: int) -> float:
        text = self.cells[at][i].strip()
        if text.lower() in MISSING:
            return float("nan")
        try:
            return float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError as error:
            raise self._not_finite(i, at) from error

    def _not_finite(self, i: int, at: int) -> InputError:
        return self.fault(i, at, f"{self.cells[at][i]!r} is not a finite number")


def read_table(path: Path) -> Table:
    """Return a file with a header; the delimiter is the one its header holds most of.

    Raises `InputError` for what cannot be read, and for lines of another width.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            rows, lines = _rows(path, csv.reader(stream, delimiter=delimiter))
    except OSError as error:
        raise InputError(path, None, None, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(path, None, None, f"is not text in UTF-8 ({error.reason})") from error
    except csv.Error as error:
        raise InputError(path, None, None, f"is no delimited text ({error})") from error
    if not rows or not any(rows[0]):
        raise InputError(path, 1, None, "has no header")
    header = tuple(name.strip() for name in rows[0])
    body = rows[1:]
    return Table(
        path=path,
        header=header,
        cells=tuple(zip(*body, strict=True)) if body else ((),) * len(header),
        lines=lines[1:],
        decimal_comma=delimiter != ",",
    )


def _rows(path: Path, reader: Iterator[list[str]]) -> tuple[list[list[str]], list[int]]:
    rows: list[list[str]] = []
    lines: list[int] = []
    for cells in reader:
        if not cells:
            continue
        line = getattr(reader, "line_num", len(lines) + 1)
        if rows and len(cells) != len(rows[0]):
            told = f"{len(cells)} cells where the header names {len(rows[0])}"
            raise InputError(path, line, None, told)
        rows.append(cells)
        lines.append(line)
    return rows, lines
