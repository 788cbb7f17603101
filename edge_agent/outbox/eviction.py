"""What a full outbox gives up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Final

from edge_agent.messages import Key, Lost, spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FULL: Final = "outbox_full"
OLD: Final = "outbox_age"
DISK: Final = "disk_full"
REFUSED: Final = "refused"
SET_ASIDE: Final = "outbox_corrupt"
"""Reasons that gap events give."""
KEEP: Final = 0.9
"""Share of the bound that is left after an eviction, so that gap events stay few."""
LEAST_RELIEF: Final = 64 * 1024
"""Bytes of the file that must be empty before a full disk is not ours to cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one device may keep."""

    max_bytes: int = 64 * 1024**2
    """Payload bytes; the file itself is somewhat larger."""
    max_age_ms: int | None = None
    """What was taken longer ago than this is given up, whatever its rank; None for no such bound.

    By the timeline's clock; what is held, because the clock is not known, has no age yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A stored message, without its payload."""

    key: Key
    boot: str
    frames: int
    first_ms: int
    last_ms: int
    size: int
    held: bool = False


def excess(held_bytes: int, bounds: Bounds) -> int:
    """Give the bytes to free: none within the bound, else down to some way below it."""
    if held_bytes <= bounds.max_bytes:
        return 0
    return held_bytes - int(bounds.max_bytes * KEEP)


def relief(held_bytes: int, free_bytes: int, wanted_bytes: int) -> int:
    """Give the bytes to free in a file that cannot grow; 0 where it has room enough already.

    Where there is room and the disk is full nevertheless, giving up more would help nobody.
    """
    if free_bytes >= max(LEAST_RELIEF, 2 * wanted_bytes):
        return 0
    return max(held_bytes - int(held_bytes * KEEP), 2 * wanted_bytes - free_bytes)


def choose(candidates: Iterable[Candidate], to_free: int) -> Iterator[Candidate]:
    """Take candidates in their order until enough bytes are free."""
    for candidate in candidates:
        if to_free <= 0:
            return
        to_free -= candidate.size
        yield candidate


def too_old(candidates: Iterable[Candidate], now_ms: int, bounds: Bounds) -> Iterator[Candidate]:
    """Take candidates in their order until one is young enough, or of unknown age."""
    if bounds.max_age_ms is None:
        return iter(())
    oldest_ms = now_ms - bounds.max_age_ms
    return takewhile(lambda one: not one.held and one.last_ms < oldest_ms, candidates)


def losses(evicted: Sequence[Candidate]) -> list[Lost]:
    """Join evicted messages into ranges, each within one boot, oldest first."""
    found: list[Lost] = []
    ordered = sorted(evicted, key=lambda candidate: candidate.key)
    for (_, boot), group in groupby(ordered, key=lambda c: (c.key.boot_no, c.boot)):
        by_seq = {candidate.key.seq: candidate for candidate in group}
        for first, last in spans(by_seq):
            members = [by_seq[seq] for seq in range(first, last + 1)]
            found.append(_lost(boot, members))
    return found


def _lost(boot: str, members: Sequence[Candidate]) -> Lost:
    known = not any(member.held for member in members)
    return Lost(
        boot=boot,
        span=(members[0].key.seq, members[-1].key.seq),
        frames=sum(member.frames for member in members),
        first_ms=min(member.first_ms for member in members) if known else None,
        last_ms=max(member.last_ms for member in members) if known else None,
    )
