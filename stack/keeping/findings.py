"""What a verification found; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg.types.multirange import Multirange

SHOWN: Final = 10
"""Differences that are named of one check; the others are counted."""


@dataclass(slots=True, kw_only=True)
class Check:
    """One kind of question, how often it was asked, and the answers that were wrong."""

    name: str
    examined: int = 0
    differences: int = 0
    pending: int = 0
    """Left out, as they are not rolled up yet."""
    first: list[str] = field(default_factory=list)
    skipped: str | None = None
    """Why it was not asked."""

    def differ(self, what: str) -> None:
        """Note one difference."""
        self.differences += 1
        if len(self.first) < SHOWN:
            self.first.append(what)

    def line(self) -> str:
        """Give the check as one line for a person."""
        if self.skipped:
            return f"{self.name}: not asked, {self.skipped}"
        waiting = f", {self.pending} not rolled up yet" if self.pending else ""
        verdict = f"{self.differences} differ" if self.differences else "all agree"
        return f"{self.name}: {self.examined} compared{waiting}, {verdict}"

    def told(self) -> dict[str, Any]:
        """Give the check as JSON has it."""
        return {
            "name": self.name,
            "examined": self.examined,
            "differences": self.differences,
            "pending": self.pending,
            "first": self.first,
            "skipped": self.skipped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What the database says of the receipts of one boot."""

    name: str
    booted_at: datetime
    nowhere: Multirange[Any]
    """Acknowledged, and neither stored nor in a gap."""
    unreceipted: Multirange[Any]
    first_kept: int | None
    """The smallest number of the readings that follow what retention dropped last."""


def lost_of(boot: Boot, dropped_until: datetime | None) -> list[tuple[int, int]]:
    """Give the half-open ranges of numbers that retention does not account for.

    A boot's numbers rise with its time: what was dropped lies below the first that was kept.
    """
    ranges = [(int(r.lower or 0), int(r.upper or 0)) for r in boot.nowhere]
    if dropped_until is None or boot.booted_at >= dropped_until:
        return ranges
    kept = boot.first_kept
    return [] if kept is None else [(max(a, kept), b) for a, b in ranges if b > kept]


def holes_of(head: int, entries: int, first: int | None, last: int | None) -> str | None:
    """Say what is wrong with the positions of one partition's log, None where they have no hole."""
    if entries == 0 and head == 0:
        return None
    if (entries, first, last) == (head, 1, head):
        return None
    return f"head at {head}, {entries} entries from {first} to {last}"
