"""Register maps of Modbus: where a value stands, what few requests fetch it, what it is; pure.

Tables, function codes and limits: Modbus Application Protocol V1.1b3, chapters 4.3 and 6.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Table = Literal["coil", "discrete", "input", "holding"]
_LEADS: Final[dict[Table, str]] = {"coil": "0", "discrete": "1", "input": "3", "holding": "4"}
"""First digit of a reference number; the rest counts from 1."""
BITS: Final = frozenset({"coil", "discrete"})
MOST: Final = {True: 2000, False: 125}
"""Of bits, and of registers, that one request may ask for."""
LAST: Final = 0xFFFF
"""The highest address of a table."""
_FORMS: Final = {
    "uint16": "H", "int16": "h", "uint32": "I", "int32": "i", "uint64": "Q", "int64": "q",
    "float32": "f", "float64": "d",
}  # fmt: skip
_ORDERS: Final = {"big": "ABCD", "little": "DCBA", "ABCD": "ABCD", "CDAB": "CDAB", "BADC": "BADC",
                  "DCBA": "DCBA"}  # fmt: skip
_PATH: Final = re.compile(
    r"(?P<table>coil|discrete|input|holding):(?P<at>@?\d{1,6})"
    r"(?::(?P<form>[a-z]+\d*)(?::(?P<order>[A-Za-z]+))?)?"
)
_BIT: Final = re.compile(r"bit(1[0-5]|\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of a register map."""

    path: str
    table: Table
    address: int
    """As on the wire, from 0."""
    form: str = "uint16"
    """`bool`, `bitN` of a register, or a key of the number formats."""
    order: str = "ABCD"
    """In which a 32-bit value's bytes come, most significant A; D first swaps bytes and words."""

    @property
    def width(self) -> int:
        """Registers, or bits, that it takes."""
        return struct.calcsize(_FORMS[self.form]) // 2 if self.form in _FORMS else 1

    def read(self, words: Sequence[int]) -> float | int:
        """Turn its registers, or its bit, into a number."""
        if self.form == "bool":
            return int(bool(words[0]))
        if self.form not in _FORMS:
            return words[0] >> int(self.form.removeprefix("bit")) & 1
        low_first, swapped = self.order in {"CDAB", "DCBA"}, self.order in {"BADC", "DCBA"}
        ordered = reversed(words) if low_first else words
        raw = b"".join(word.to_bytes(2, "little" if swapped else "big") for word in ordered)
        number: float | int = struct.unpack(f">{_FORMS[self.form]}", raw)[0]
        return number


def point(path: str) -> Point:
    """Read a path: `TABLE:NUMBER[:FORM[:ORDER]]`.

    Five or six digits that begin with the table's own are a reference number, counted from 1;
    any other number, or one behind `@`, is the address on the wire, counted from 0.

    >>> point("holding:40011:float32:CDAB").address
    10

    Raises:
        ConfigurationError: it is none.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise ConfigurationError(f"{path!r} is no TABLE:NUMBER[:FORM[:ORDER]]")
    table: Table = found["table"]  # type: ignore[assignment]
    form = found["form"] or ("bool" if table in BITS else "uint16")
    order = _ORDERS.get(found["order"] or "big")
    if order is None:
        raise ConfigurationError(f"{path!r}: the order is one of {', '.join(_ORDERS)}")
    if (table in BITS) != (form == "bool") or not _is_form(form):
        known = "bool" if table in BITS else f"bit0 to bit15, {', '.join(_FORMS)}"
        raise ConfigurationError(f"{path!r}: the form of a {table} is {known}")
    read = Point(path=path, table=table, address=_address(table, found["at"]), form=form,
                 order=order)  # fmt: skip
    if not 0 <= read.address <= read.address + read.width - 1 <= LAST:
        raise ConfigurationError(f"{path!r} lies outside the 65,536 of a table")
    return read


def _is_form(form: str) -> bool:
    return form == "bool" or form in _FORMS or _BIT.fullmatch(form) is not None


def _address(table: Table, at: str) -> int:
    if len(at) in {5, 6} and at.startswith(_LEADS[table]):
        return int(at[1:]) - 1
    return int(at.removeprefix("@"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one request fetches."""

    table: Table
    address: int
    count: int
    points: tuple[Point, ...]

    def read(self, words: Sequence[int]) -> dict[str, float | int]:
        """Give each point's value by its path."""
        return {p.path: p.read(words[p.address - self.address :][: p.width]) for p in self.points}

    def nothing(self) -> Mapping[str, None]:
        """Say that nothing is known of its points."""
        return dict.fromkeys(p.path for p in self.points)


def blocks(points: Iterable[Point], *, gap: int = 0) -> tuple[Block, ...]:
    """Group points into few requests, bridging at most `gap` addresses nobody asked for.

    >>> [b.count for b in blocks([point("holding:0:float32"), point("holding:2")])]
    [3]
    """
    grouped: list[list[Point]] = []
    for each in sorted(points, key=lambda p: (p.table, p.address, p.width)):
        if grouped and _fits(grouped[-1], each, gap):
            grouped[-1].append(each)
        else:
            grouped.append([each])
    return tuple(_block(group) for group in grouped)


def _fits(group: list[Point], each: Point, gap: int) -> bool:
    end = max(p.address + p.width for p in group)
    span = max(end, each.address + each.width) - group[0].address
    return (
        each.table == group[0].table
        and each.address <= end + gap
        and span <= MOST[each.table in BITS]
    )


def _block(group: list[Point]) -> Block:
    first = group[0].address
    end = max(p.address + p.width for p in group)
    return Block(table=group[0].table, address=first, count=end - first, points=tuple(group))
