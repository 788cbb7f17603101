"""Between the network's thread and the worker's: what has arrived and is not settled, bounded."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.intake import Outcome

MOST_MESSAGES: Final = 16_384
"""Two times what one filter of the broker leaves unacknowledged."""
MOST_BYTES: Final = 16 * 1024**2
"""Of payload; decoded, it takes some six times as much."""
BATCH_MESSAGES: Final = 4000
BATCH_BYTES: Final = 4 * 1024**2
"""Of payload in one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    outcomes: Sequence[Outcome]
    size: int


@dataclass(slots=True)
class Inbox:
    """What was read, in order. Whoever fills it asks `has_room` first, and else stops reading."""

    _blocks: deque[_Block] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    messages: int = 0
    """Neither settled nor given up: those waiting, and those that a commit is busy with."""
    size: int = 0
    """Their bytes."""

    def has_room(self) -> bool:
        """Whether more may be put in; one more reading of the network may pass the bound."""
        return self.messages < MOST_MESSAGES and self.size < MOST_BYTES

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Add what was read; never waits."""
        size = _size(outcomes)
        with self._changed:
            self._blocks.append(_Block(outcomes=outcomes, size=size))
            self.messages += len(outcomes)
            self.size += size
            self._changed.notify()

    def take(self, patience_s: float, gather_s: float) -> list[Outcome]:
        """Give what waits, after at most `patience_s` for the first and `gather_s` for company."""
        with self._changed:
            if not self._blocks:
                self._changed.wait(patience_s)
            if not self._blocks:
                return []
            until = time.monotonic() + gather_s
            while not self._enough() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._cut()

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        """Forget what was taken: it is committed, refused, or left to the device's outbox."""
        size = _size(outcomes)
        with self._changed:
            self.messages -= len(outcomes)
            self.size -= size

    def _enough(self) -> bool:
        messages = sum(len(b.outcomes) for b in self._blocks)
        return messages >= BATCH_MESSAGES or sum(b.size for b in self._blocks) >= BATCH_BYTES

    def _cut(self) -> list[Outcome]:
        taken: list[Outcome] = []
        size = 0
        while self._blocks and (
            not taken
            or (
                len(taken) + len(self._blocks[0].outcomes) <= BATCH_MESSAGES
                and size + self._blocks[0].size <= BATCH_BYTES
            )
        ):
            block = self._blocks.popleft()
            taken.extend(block.outcomes)
            size += block.size
        return taken


def _size(outcomes: Sequence[Outcome]) -> int:
    return sum([len(o.arrival.topic) + len(o.arrival.payload) for o in outcomes])
