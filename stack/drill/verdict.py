"""Holds what was stored against the ledger; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stack.drill.ledger import Ledger, Message, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One reading as the database has it."""

    reading: Reading
    hash: str
    """Empty for a happening, whose details name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages that the database names as given up; `end` is past the last."""

    device: str
    boot: str
    first: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database holds of a drill."""

    found: tuple[Found, ...]
    gaps: tuple[Gap, ...]
    unnumbered_gaps: int = 0
    """Gap events that cannot say which messages they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a drill came to; all but the gaps count readings."""

    generated: int
    acked: int
    stored: int
    """Distinct ones, as they were generated."""
    lost: int
    """Kept or acknowledged, and neither stored nor named in a gap."""
    altered: int
    """Stored with other values than were generated, or never generated at all."""
    duplicates: int
    unkept: int
    """Taken in by an agent that was killed before they were on its disk."""
    gaps_recorded: int


def judge(ledger: Ledger, stored: Stored) -> Verdict:
    """Compare; give the figures."""
    times = Counter(found.reading for found in stored.found)
    true = {one.reading for one in stored.found if ledger.generated.get(one.reading) == one.hash}
    acked = _readings(ledger, ledger.acked)
    owed = acked | _readings(ledger, ledger.kept)
    named = _readings(ledger, _given_up(stored.gaps))
    return Verdict(
        generated=len(ledger.generated),
        acked=len(acked - named),
        stored=len(true),
        lost=len(owed - true - named),
        altered=len(times.keys() - true),
        duplicates=sum(count - 1 for count in times.values()),
        unkept=len(ledger.generated.keys() - owed - true - named),
        gaps_recorded=len(stored.gaps) + stored.unnumbered_gaps,
    )


def _readings(ledger: Ledger, messages: Iterable[Message]) -> set[Reading]:
    return {
        (message[0], number)
        for message in messages
        if message in ledger.formed
        for number in ledger.formed[message].numbers
    }


def _given_up(gaps: Iterable[Gap]) -> set[Message]:
    return {(gap.device, gap.boot, seq) for gap in gaps for seq in range(gap.first, gap.end)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far everything had come when a fault ended."""

    newest: dict[str, int]
    """The highest number that each device had generated."""
    owed: frozenset[Message]
    """Messages that were kept and not yet acknowledged."""


def mark(ledger: Ledger) -> Mark:
    """Note where the ledger stands."""
    return Mark(newest=dict(ledger.newest), owed=frozenset(ledger.kept - ledger.acked))


def flows(ledger: Ledger, since: Mark, devices: Iterable[str]) -> bool:
    """Whether readings of every device are acknowledged that are newer than the mark."""
    return all(ledger.newest_acked.get(d, 0) > since.newest.get(d, 0) for d in devices)


def recovered(ledger: Ledger, since: Mark, devices: Iterable[str]) -> bool:
    """Whether new readings of every device are acknowledged, and the backlog of then is too."""
    return flows(ledger, since, devices) and since.owed <= ledger.acked
