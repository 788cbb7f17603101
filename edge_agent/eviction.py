"""What a full outbox gives up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from edge_agent.messages import Key, Lost, spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FULL: Final = "outbox_full"
REFUSED: Final = "refused"
SET_ASIDE: Final = "outbox_corrupt"
"""Reasons that gap events give."""
KEEP: Final = 0.9
"""Share of the bound that is left after an eviction, so that gap events stay few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one device may keep."""

    max_bytes: int = 64 * 1024**2
    """Payload bytes; the file itself is somewhat larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A stored message, without its payload."""

    key: Key
    boot: str
    frames: int
    first_ms: int
    last_ms: int
    size: int


def excess(held_bytes: int, bounds: Bounds) -> int:
    """Give the bytes to free: none within the bound, else down to some way below it."""
    if held_bytes <= bounds.max_bytes:
        return 0
    return held_bytes - int(bounds.max_bytes * KEEP)


def choose(candidates: Iterable[Candidate], to_free: int) -> Iterator[Candidate]:
    """Take candidates in their order until enough bytes are free."""
    for candidate in candidates:
        if to_free <= 0:
            return
        to_free -= candidate.size
        yield candidate


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
    return Lost(
        boot=boot,
        span=(members[0].key.seq, members[-1].key.seq),
        frames=sum(member.frames for member in members),
        first_ms=min(member.first_ms for member in members),
        last_ms=max(member.last_ms for member in members),
    )
