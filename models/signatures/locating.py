"""On which line of a TOML file a value stands, for errors that an engineer can act on.

TOML readers give values without lines. Libraries are written one key a line and one inline table
a line, so counting headers, keys and opening braces finds any value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER: Final = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.-]+)\s*\]\]?")
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """A file's lines, searched by the path of a value: `("modes", 2, "evidence", 0, "weight")`."""

    lines: Sequence[str]

    def of(self, path: Path) -> int | None:
        """Give the line (from 1) of the deepest part of a path that is found; None if none is."""
        begin, end, rest = self._table(path)
        if not rest:
            return begin + 1 if begin >= 0 else None
        key = self._key(str(rest[0]), max(begin, 0), end)
        if key is None:
            return begin + 1 if begin >= 0 else None
        if len(rest) > 1 and isinstance(rest[1], int):
            return self._element(rest[1], key, end) + 1
        return key + 1

    def _table(self, path: Path) -> tuple[int, int, Path]:
        """Give the lines of the table that a path begins with, and what is left of the path."""
        if len(path) > 1 and isinstance(path[1], int):
            name, which, rest = str(path[0]), path[1], path[2:]
        else:
            name, which, rest = str(path[0]), 0, path[1:]
        heads = [i for i, line in enumerate(self.lines) if self._names(line, name)]
        if which >= len(heads):
            first = next((i for i, line in enumerate(self.lines) if _HEADER.match(line)), None)
            return -1, len(self.lines) if first is None else first, path
        begin = heads[which]
        ends = (i for i in range(begin + 1, len(self.lines)) if _HEADER.match(self.lines[i]))
        return begin, next(ends, len(self.lines)), rest

    def _names(self, line: str, name: str) -> bool:
        found = _HEADER.match(line)
        return found is not None and found.group(1) == name

    def _key(self, key: str, begin: int, end: int) -> int | None:
        wanted = re.compile(rf"\s*\"?{re.escape(key)}\"?\s*=")
        return next((i for i in range(begin, end) if wanted.match(self.lines[i])), None)

    def _element(self, which: int, begin: int, end: int) -> int:
        """Give the line on which an array's inline table of this number stands."""
        opened = [i for i in range(begin, end) for _ in range(_braces(self.lines[i]))]
        return opened[which] if which < len(opened) else begin


def _braces(line: str) -> int:
    """Count the tables that a line opens; those inside another table or a text do not count."""
    depth = opened = 0
    quoted = False
    for sign in line:
        if sign == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif sign == "#":
            break
        elif sign == "{":
            opened += depth == 0
            depth += 1
        elif sign == "}":
            depth -= 1
    return opened
