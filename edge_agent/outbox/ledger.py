"""What the outbox knows of a device without asking the disk, and how a transaction changes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edge_agent.messages import Change, Depth, Key

if TYPE_CHECKING:
    from edge_agent.messages import Draft
    from edge_agent.outbox.heldtime import MachineTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One boot of a device that may have messages."""

    no: int
    boot: str
    next_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One device's boots, numbering and depth as they stand on the disk."""

    boots: tuple[Boot, ...]
    """Oldest first; the last is the present one."""
    birth: bytes
    """Of the present boot."""
    depth: Depth
    begun: MachineTime | None = None
    """When the present boot began, as long as it has no date."""
    holds: frozenset[int] = frozenset()
    """Numbers of the boots without a date: nothing of them is sent yet."""

    @property
    def present(self) -> Boot:
        """The boot in which new messages are numbered."""
        return self.boots[-1]

    @property
    def newest(self) -> Key:
        """The key of the message that was numbered last."""
        return Key(self.present.no, self.present.next_seq - 1)


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
        present = self.ledger.present
        payload = draft.encode(present.boot, present.next_seq)
        boots = (*self.ledger.boots[:-1], replace(present, next_seq=present.next_seq + 1))
        self.ledger = replace(self.ledger, boots=boots)
        self.resize(messages=1, size=len(payload))
        return {
            "boot_no": present.no,
            "seq": present.next_seq,
            "kind": draft.kind.value,
            "rank": draft.rank,
            "frames": draft.frames,
            "first_ms": draft.first_ms,
            "last_ms": draft.last_ms,
            "payload": payload,
            "held": draft.held,
        }

    def release(self, boot_no: int, birth: bytes) -> None:
        """Let a boot's messages be sent: it has a date."""
        self.ledger = replace(self.ledger, holds=self.ledger.holds - {boot_no})
        if boot_no == self.ledger.present.no:
            self.ledger = replace(self.ledger, birth=birth, begun=None)

    def resize(self, *, messages: int, size: int) -> None:
        """Add so many messages and bytes, or take them away."""
        was = self.ledger.depth
        depth = Depth(messages=was.messages + messages, bytes=was.bytes + size)
        self.ledger = replace(self.ledger, depth=depth)

    def change(self) -> Change:
        """Tell what the transaction did."""
        return Change(depth=self.ledger.depth, **self.counted)
