"""Who takes in which partitions, decided by each worker for itself from what all can see; pure.

Partitions are leased in ranges of eight: a range is one session at the broker, and eight filters
are what one session can hold with thousands of messages in flight on each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from foremend.errors import ForemendError, Remedy
from foremend.values import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.clock import Millis

RANGES: Final = 8
WIDTH: Final = PARTITIONS // RANGES
LEASE_MS: Final = 6000
"""A dead worker's ranges are free after this; with a look each `LOOK_S` they move within 8 s."""
LOOK_S: Final = 1.5


class LeaseLost(ForemendError):
    """Another worker has taken over some of these partitions; nothing of this was stored."""

    remedy = Remedy.REJECT


class Reason(Enum):
    """Why a worker takes, keeps or gives up."""

    FAIR = "it has its share"
    BELOW_SHARE = "it has less than its share, and some are free"
    NOTHING_FREE = "it has less than its share, and must wait for others to give up theirs"
    ABOVE_SHARE = "it has more than its share"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who has a range; nobody where the holder is empty."""

    holder: str = ""
    fence: int = 0
    expires_ms: Millis = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a worker sees at one look."""

    leases: Mapping[int, Lease] = field(default_factory=dict)
    """By range, 0 to 7."""
    workers: Mapping[str, Millis] = field(default_factory=dict)
    """When the registration of each worker expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which ranges to take and which to give up; the others are renewed."""

    take: tuple[int, ...] = ()
    release: tuple[int, ...] = ()
    reason: Reason


class Leases(Protocol):
    """Where leases are written down: a database here, or a broker's own consumer groups."""

    def look(self, me: str) -> tuple[Seen, Millis]:
        """Register for another while, and give what is to be seen and its clock."""

    def renew(self, me: str) -> dict[int, int]:
        """Renew every range that is ours still; gives their fences."""

    def take(self, me: str, number: int) -> bool:
        """Take a range if it is free, and fence off whoever had it."""

    def release(self, me: str, number: int) -> None:
        """Give a range up."""

    def leave(self, me: str) -> None:
        """Give everything up, the registration included."""


def partitions(number: int) -> range:
    """Give the partitions of a range."""
    return range(number * WIDTH, (number + 1) * WIDTH)


def decide_leases(seen: Seen, me: str, now_ms: Millis) -> Decision:
    """Decide what one worker should do.

    >>> decide_leases(Seen(), "a", 0).take
    (0, 1, 2, 3, 4, 5, 6, 7)
    """
    mine = [n for n in range(RANGES) if _holder(seen, n, now_ms) == me]
    free = [n for n in range(RANGES) if not _holder(seen, n, now_ms)]
    share = _share(seen, me, now_ms)
    if len(mine) > share:
        return Decision(release=tuple(mine[share:]), reason=Reason.ABOVE_SHARE)
    if len(mine) == share:
        return Decision(reason=Reason.FAIR)
    if not free:
        return Decision(reason=Reason.NOTHING_FREE)
    return Decision(take=tuple(free[: share - len(mine)]), reason=Reason.BELOW_SHARE)


def _holder(seen: Seen, number: int, now_ms: Millis) -> str:
    lease = seen.leases.get(number, Lease())
    return lease.holder if lease.expires_ms > now_ms else ""


def _share(seen: Seen, me: str, now_ms: Millis) -> int:
    """Give as many ranges as make all equal; the first few by name have one more."""
    living = sorted({me, *(name for name, until in seen.workers.items() if until > now_ms)})
    return RANGES // len(living) + (living.index(me) < RANGES % len(living))


class MemoryLeases:
    """Leases for tests and rehearsals, on a clock of the caller's."""

    def __init__(self) -> None:
        self.now_ms: Millis = 0
        self.leases: dict[int, Lease] = {n: Lease() for n in range(RANGES)}
        self.workers: dict[str, Millis] = {}

    def look(self, me: str) -> tuple[Seen, Millis]:
        """Register for another while, and give what is to be seen and its clock."""
        self.workers[me] = self.now_ms + LEASE_MS
        return Seen(leases=dict(self.leases), workers=dict(self.workers)), self.now_ms

    def renew(self, me: str) -> dict[int, int]:
        """Renew every range that is ours still; gives their fences."""
        mine = {n: lease for n, lease in self.leases.items() if lease.holder == me}
        for n, lease in mine.items():
            self._put(n, me, lease.fence)
        return {n: lease.fence for n, lease in mine.items()}

    def take(self, me: str, number: int) -> bool:
        """Take a range if it is free, and fence off whoever had it."""
        lease = self.leases[number]
        if lease.holder and lease.expires_ms > self.now_ms:
            return False
        self._put(number, me, lease.fence + 1)
        return True

    def release(self, me: str, number: int) -> None:
        """Give a range up."""
        if self.leases[number].holder == me:
            self.leases[number] = Lease(fence=self.leases[number].fence)

    def leave(self, me: str) -> None:
        """Give everything up, the registration included."""
        for number in self.leases:
            self.release(me, number)
        self.workers.pop(me, None)

    def _put(self, number: int, me: str, fence: int) -> None:
        until = self.now_ms + LEASE_MS
        self.leases[number] = Lease(holder=me, fence=fence, expires_ms=until)
