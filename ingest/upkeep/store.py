"""The watermark of the rollups and what moves it: one transaction a stretch of the input log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
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

_NO_BATCH: Final = -1

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

    Of the partitions' next entries that of the lowest batch is taken, so that the batches of
    several partitions are worked out once. Something is always taken, in whatever order batches
    stand: a late one has a lower number than what was logged before it.

    >>> stretch([(0, 1, 7), (0, 2, 9), (1, 1, 7), (1, 2, None), (1, 3, 8)], 2)
    [(0, 1, 7), (1, 1, 7), (1, 2, None), (1, 3, 8)]
    """
    lines: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        lines[entry[0]].append(entry)
    chosen, ends = set[int](), dict.fromkeys(lines, 0)
    heads = [(_order(line[0]), partition) for partition, line in lines.items()]
    heapify(heads)
    while heads:
        batch, partition = heappop(heads)
        if batch != _NO_BATCH and batch not in chosen and len(chosen) == most:
            continue
        chosen |= {batch} - {_NO_BATCH}
        ends[partition] += 1
        if ends[partition] < len(lines[partition]):
            heappush(heads, (_order(lines[partition][ends[partition]]), partition))
    return [entry for partition, line in lines.items() for entry in line[: ends[partition]]]


def _order(entry: Entry) -> int:
    return _NO_BATCH if entry[2] is None else entry[2]


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

    def behind(self) -> int:
        """Give the number of entries that are logged and not yet rolled up."""
        with transaction(self._connection, tenant=EVERY_TENANT) as connection:
            row = connection.execute(_SQL["behind"]).fetchone()
        return int(row[0]) if row is not None else 0

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
