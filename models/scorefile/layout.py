"""How a text file of numbers is written: its separator, its decimal mark, its missing values."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Number = Callable[[str], float]

SEPARATORS: Final = (",", ";", "\t", "|")
MISSING: Final = frozenset({"", "-", "?", "n/a", "na", "nan", "nil", "none", "null"})
"""What stands for a missing value, in lower case."""

_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+([eE][+-]?\d+)?")
_DOT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


def separator(header: str, time: str) -> str | None:
    """Tell which separator makes `time` a column of its own; None where none does.

    >>> separator("when;flow,l;heat", "when")
    ';'
    """
    found = {mark: fields(header, mark) for mark in SEPARATORS}
    fitting = [mark for mark, names in found.items() if time in names]
    return max(fitting, key=lambda mark: len(found[mark]), default=None)


def fields(line: str, mark: str) -> list[str]:
    """Cut one line."""
    return [name.strip() for name in next(csv.reader([line], delimiter=mark), [])]


def is_missing(text: str) -> bool:
    """Say whether this stands for no value."""
    return text.strip().lower() in MISSING


def number_reader(sample: Iterable[str], mark: str) -> Number:
    """Give what reads this file's numbers: with a decimal comma if that is what it shows.

    Where the sample shows neither comma nor point and commas do not separate, either is taken.
    """
    values = [text.strip() for text in sample]
    commas = sum(bool(_COMMA.fullmatch(text)) for text in values)
    points = sum(bool(_DOT.fullmatch(text)) for text in values)
    if commas > points:
        return with_comma
    return either if mark != "," and not points else with_point


def with_point(text: str) -> float:
    """Read `1234.5`; NaN for a missing value. Raises ValueError."""
    if "_" in text:
        raise ValueError(text)
    return float("nan") if is_missing(text) else float(text)


def with_comma(text: str) -> float:
    """Read `1.234,5` or `1234,5`; NaN for a missing value. Raises ValueError."""
    return with_point(text.replace(".", "").replace(",", ".") if "," in text else text)


def either(text: str) -> float:
    """Read `1234.5` or `1234,5`; NaN for a missing value. Raises ValueError."""
    return with_point(text.replace(",", ".") if text.count(",") == 1 else text)


def is_numeric(column: Sequence[str], read: Number) -> bool:
    """Say whether all values of a sample [n] are numbers or missing, at least one a number."""
    present = [text for text in column if not is_missing(text)]
    try:
        for text in present:
            read(text)
    except ValueError:
        return False
    return bool(present)
