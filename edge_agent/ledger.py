"""What the outbox knows of a device without asking the disk, and how a transaction changes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edge_agent.messages import Change, Depth

if TYPE_CHECKING:
    from edge_agent.messages import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One device's boots, numbering and depth as they stand on the disk."""

    boots: tuple[tuple[int, str], ...]
    """Number and id of each boot that may have messages, oldest first; the last is the present."""
    next_seq: int
    depth: Depth

    @property
    def boot_no(self) -> int:
        """The number of the present boot."""
        return self.boots[-1][0]

    @property
    def boot(self) -> str:
        """The id of the present boot."""
        return self.boots[-1][1]


@dataclass(slots=True, kw_only=True)
class Work:
    """A ledger in the course of a transaction; thrown away where that fails."""

    ledger: Ledger
    counted: dict[str, int] = field(default_factory=dict)
    """What the change will say beside the depth."""

    def count(self, **amounts: int) -> None:
        """Add to what the change will say."""
        for name, amount in amounts.items():
            self.counted[name] = self.counted.get(name, 0) + amount

    def number(self, draft: Draft) -> dict[str, Any]:
        """Give a draft the next number and its final bytes: the row to be stored."""
        ledger = self.ledger
        payload = draft.encode(ledger.boot, ledger.next_seq)
        self._move(messages=1, size=len(payload), next_seq=ledger.next_seq + 1)
        return {
            "boot_no": ledger.boot_no,
            "seq": ledger.next_seq,
            "kind": draft.kind.value,
            "rank": draft.rank,
            "frames": draft.frames,
            "first_ms": draft.first_ms,
            "last_ms": draft.last_ms,
            "payload": payload,
        }

    def remove(self, messages: int, size: int) -> None:
        """Take away messages of `size` bytes in all."""
        self._move(messages=-messages, size=-size, next_seq=self.ledger.next_seq)

    def change(self) -> Change:
        """Tell what the transaction did."""
        return Change(depth=self.ledger.depth, **self.counted)

    def _move(self, *, messages: int, size: int, next_seq: int) -> None:
        was = self.ledger.depth
        depth = Depth(messages=was.messages + messages, bytes=was.bytes + size)
        self.ledger = replace(self.ledger, depth=depth, next_seq=next_seq)
