"""Sets of sequence numbers as sorted, disjoint, half-open ranges."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SeqSet = tuple[tuple[int, int], ...]
"""Sorted, disjoint, non-adjacent ranges, each `[first, end)`."""

EMPTY: SeqSet = ()


def contains(have: SeqSet, seq: int) -> bool:
    """Tell whether `seq` is in the set."""
    if not have or seq >= have[-1][1]:
        return False
    at = bisect_right(have, (seq, float("inf"))) - 1
    return at >= 0 and seq < have[at][1]


def add(have: SeqSet, seq: int) -> SeqSet:
    """Put one number in.

    >>> add(((0, 3),), 3)
    ((0, 4),)
    """
    if have and have[-1][1] == seq:
        # The usual case, and the one that is quick: the device's next message.
        return (*have[:-1], (have[-1][0], seq + 1))
    return union(have, ((seq, seq + 1),))


def union(have: SeqSet, more: Iterable[tuple[int, int]]) -> SeqSet:
    """Join two sets; ranges that touch become one.

    >>> union(((0, 3),), [(3, 5), (9, 10)])
    ((0, 5), (9, 10))
    """
    merged: list[tuple[int, int]] = []
    for first, end in sorted((*have, *more)):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif first < end:
            merged.append((first, end))
    return tuple(merged)


def missing(have: SeqSet, first: int, end: int) -> SeqSet:
    """Give what of `[first, end)` is not in the set.

    >>> missing(((0, 2), (4, 5)), 1, 6)
    ((2, 4), (5, 6))
    """
    holes: list[tuple[int, int]] = []
    for start, stop in (*have, (end, end)):
        if start > first:
            holes.append((first, min(start, end)))
        first = max(first, stop)
        if first >= end:
            break
    return tuple(holes)


def literal(have: SeqSet) -> str:
    """Write the set as PostgreSQL's `int8multirange`."""
    return "{" + ",".join([f"[{first},{end})" for first, end in have]) + "}"


def parse(text: str) -> SeqSet:
    """Read what PostgreSQL prints of an `int8multirange`.

    >>> parse("{[0,3),[5,6)}")
    ((0, 3), (5, 6))
    """
    body = text[1:-1]
    if not body:
        return EMPTY
    if text.count("[") == 1:
        first, end = body[1:-1].split(",")
        return ((int(first), int(end)),)
    pairs = (part.split(",") for part in body[1:-1].split("),["))
    return tuple((int(first), int(end)) for first, end in pairs)


def upto(have: SeqSet) -> int:
    """Give the last seq of the unbroken run from 0, or -1."""
    return have[0][1] - 1 if have and have[0][0] == 0 else -1


def beyond(have: SeqSet) -> tuple[tuple[int, int], ...]:
    """Give what lies past the unbroken run from 0, both ends inclusive."""
    rest = have[1:] if upto(have) >= 0 else have
    return tuple((first, end - 1) for first, end in rest)
