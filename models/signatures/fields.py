"""Fields of a library's tables, each of which knows where it stands when it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foremend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.signatures.locating import Lines
    from models.signatures.locating import Path as Place


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a file, which knows where it stands."""

    file: str
    lines: Lines
    at: Place
    rows: Mapping[str, Any]

    def wrong(self, key: str, message: str) -> InputError:
        """Make the error that names the field."""
        place = (*self.at, key)
        name = ".".join(str(part) for part in place if not isinstance(part, int))
        return InputError(self.file, self.lines.of(place), name, message)

    def text(self, key: str, default: str | None = None) -> str:
        """Give a text that is not empty."""
        value = self.rows.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "a text is needed" if key in self.rows else "is missing")
        return value

    def number(self, key: str, default: float | None = None, *, least: float = 0.0) -> float:
        """Give a number of at least `least`."""
        value = self.rows.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, f"{value!r} is not a number")
        if not least <= value < float("inf"):
            raise self.wrong(key, f"{value} is not at least {least:g}")
        return float(value)

    def one_of(self, key: str, allowed: Mapping[str, Any], default: str | None = None) -> str:
        """Give one of some words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.wrong(key, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def tables(self, key: str) -> list[Table]:
        """Give the tables of an array; none where it is missing."""
        value = self.rows.get(key, [])
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.wrong(key, "a list of tables is needed")
        return [
            Table(self.file, self.lines, (*self.at, key, i), row) for i, row in enumerate(value)
        ]

    def known(self, *keys: str) -> None:
        """Refuse a key that means nothing here, such as a misspelt one."""
        for key in self.rows:
            if key not in keys:
                raise self.wrong(key, f"is not known here; known are {', '.join(keys)}")
