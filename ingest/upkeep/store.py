"""The watermark of the rollups and what moves it: one transaction a stretch of the input log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from foremend.db import EVERY_TENANT, Queries, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.db import Connection

_SQL: Final = Queries.load("ingest.upkeep", "rollups.sql")

ENTRIES: Final = 1024
"""Log entries a partition that are looked at in one stretch."""
BATCHES: Final = 256
"""Batches that are rolled up in one transaction; what bounds its length."""
HOURS: Final = 10_000
"""Hours that are worked out in one transaction."""

Entry = tuple[int, int, int | None]
"""Partition, position, and the batch; None for an entry without readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """What one stretch came to."""

    entries: int
    minutes: int
    more: bool
    """Whether the log holds more that could be taken at once."""


def stretch(entries: Sequence[Entry], most: int) -> list[Entry]:
    """Give each partition's first entries, so that they name no more than `most` batches.

    Batches are taken in the order of their numbers, which is nearly that of the log, so that those
    of several partitions are worked out once.

    >>> stretch([(0, 1, 7), (0, 2, 9), (1, 1, 7), (1, 2, None), (1, 3, 8)], 2)
    [(0, 1, 7), (1, 1, 7), (1, 2, None), (1, 3, 8)]
    """
    batches = sorted({batch for _, _, batch in entries if batch is not None})
    if len(batches) <= most:
        return list(entries)
    last, stopped, taken = batches[most - 1], set[int](), []
    for entry in entries:
        partition, _, batch = entry
        if batch is not None and batch > last:
            stopped.add(partition)
        if partition not in stopped:
            taken.append(entry)
    return taken


class RollupStore:
    """Works rollups out over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def listen(self) -> None:
        """Ask to be woken by `NOTIFY foremend_upkeep`."""
        self._connection.execute(_SQL["listen"])

    def roll(self) -> Rolled:
        """Work out the minutes of the next stretch, and commit them with the watermark."""
        with transaction(self._connection, tenant=EVERY_TENANT) as connection:
            connection.execute(_SQL["lock"])
            found = connection.execute(_SQL["entries"], {"limit": ENTRIES}).fetchall()
            taken = stretch(found, BATCHES)
            minutes = self._put_minutes({batch for _, _, batch in taken if batch is not None})
            self._move({partition: pos for partition, pos, _ in taken})
        full = len(taken) < len(found) or _full_partition(found)
        return Rolled(entries=len(taken), minutes=minutes, more=full)

    def roll_hours(self) -> int:
        """Work out hours that are due, oldest first, at most HOURS, and give how many rows changed.

        Under the same lock as the minutes: an hour that becomes due meanwhile stays due.
        """
        with transaction(self._connection, tenant=EVERY_TENANT) as connection:
            connection.execute(_SQL["lock"])
            return connection.execute(_SQL["put_hours"], {"limit": HOURS}).rowcount

    def _put_minutes(self, batches: set[int]) -> int:
        if not batches:
            return 0
        told: dict[str, Any] = {"batches": sorted(batches)}
        months = [month for (month,) in self._connection.execute(_SQL["months"], told)]
        self._connection.execute(_SQL["ensure_room"], {"months": months})
        minutes = self._connection.execute(_SQL["put_minutes"], told).rowcount
        self._connection.execute(_SQL["put_due"], told)
        return minutes

    def _move(self, ends: dict[int, int]) -> None:
        ordered = sorted(ends)
        places = {"partitions": ordered, "positions": [ends[p] for p in ordered]}
        self._connection.execute(_SQL["move"], places)


def _full_partition(entries: Sequence[Entry]) -> bool:
    counts: dict[int, int] = {}
    for partition, _, _ in entries:
        counts[partition] = counts.get(partition, 0) + 1
    return any(count >= ENTRIES for count in counts.values())
