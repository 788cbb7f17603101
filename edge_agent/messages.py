"""What passes between the stages of the agent: drafts, stored messages and settlements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from foremend import values, wire
from foremend.wire import Up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Span = tuple[int, int]
"""A range of seq, both ends inclusive."""


class Rank(IntEnum):
    """How dear a message is: a full outbox gives up the lowest rank first, and never a gap."""

    FRAMES = 0
    EVENT = 1
    GAP = 2


class Key(NamedTuple):
    """Where a message stands in its device's order of sending."""

    boot_no: int
    """Rises with each boot that the outbox has seen."""
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message that has no number yet; the outbox numbers, encodes and keeps it."""

    kind: Up
    rank: Rank
    encode: Callable[[str, int], bytes]
    """From boot and seq to the final bytes."""
    frames: int = 0
    first_ms: int
    last_ms: int
    held: bool = False
    """Its instants count from the machine's start; it is sent once they are known in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message as the outbox keeps it, byte for byte what is sent each time."""

    key: Key
    boot: str
    kind: Up
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an acknowledgement lets the outbox delete or set aside."""

    boot: str = ""
    spans: tuple[Span, ...] = ()
    """Committed by ingest: to be deleted."""
    refused: tuple[tuple[Key, str], ...] = ()
    """Never to be stored, each with its reason: to the dead letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much of one device waits for its acknowledgement."""

    messages: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What waits in one device's outbox."""

    uncommitted: int = 0
    """Messages that wait for the disk."""
    unsettled: int = 0
    """Messages that wait for the disk or for their acknowledgement."""
    fullness: float = 0.0
    """How much of its bound is used; above 1 it gives up messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one transaction did to one device's part of the outbox."""

    depth: Depth
    messages: int = 0
    """Kept anew, or removed by a settlement."""
    frames: int = 0
    gaps: int = 0
    """Gap events written."""
    evicted_frames: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Messages of one boot, next to each other, that will never be sent again."""

    boot: str
    span: Span
    frames: int | None = None
    first_ms: int | None = None
    """None, as everything but the range, where nobody knows it any more."""
    last_ms: int | None = None


def spans(numbers: Iterable[int]) -> list[Span]:
    """Join ascending numbers into ranges.

    >>> spans([3, 4, 5, 9])
    [(3, 5), (9, 9)]
    """
    joined: list[Span] = []
    for number in numbers:
        if joined and joined[-1][1] == number - 1:
            joined[-1] = (joined[-1][0], number)
        else:
            joined.append((number, number))
    return joined


def gap(lost: Lost, reason: str, now_ms: int) -> Draft:
    """Tell that a range of messages was given up, and which time it covered where that is known."""
    details: dict[str, str | int | None] = {
        "boot": lost.boot,
        "first": lost.span[0],
        "last": lost.span[1],
        "frames": lost.frames,
        "from_ms": lost.first_ms,
        "to_ms": lost.last_ms,
        "reason": reason,
    }
    known = {name: value for name, value in details.items() if value is not None}
    return _gap_draft(now_ms if lost.last_ms is None else lost.last_ms, known)


def unknown_gap(now_ms: int, reason: str) -> Draft:
    """Tell that messages were lost, nobody knows which."""
    return _gap_draft(now_ms, {"reason": reason})


def _gap_draft(ts_ms: int, details: Mapping[str, wire.Scalar]) -> Draft:
    def encode(boot: str, seq: int) -> bytes:
        event = wire.Event(
            boot=boot,
            seq=seq,
            ts_ms=ts_ms,
            code=values.GAP,
            severity="warning",
            details=dict(details),
        )
        return wire.encode(event)

    return Draft(kind=Up.EVENT, rank=Rank.GAP, encode=encode, first_ms=ts_ms, last_ms=ts_ms)
