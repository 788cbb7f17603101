"""The late lane: old rows in transactions of their own, section by section, until they are in.

It holds little. What does not fit is left to the device, whose outbox keeps every message until
our own acknowledgement and sends it again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import wire
from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.late import SectionLocked, section
from ingest.leases import LeaseLost
from ingest.metrics import METRICS
from ingest.plan import boot_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from foremend.clock import NowMs
    from ingest.intake import Accepted
    from ingest.plan import BootKey
    from ingest.worker import Reply, Store

MOST_MESSAGES: Final = 8000
MOST_BYTES: Final = 8 * 1024**2
TOGETHER: Final = 500
"""Messages in one transaction: it locks the receipts of as many boots, which live rows need."""
IDLE_S: Final = 0.25
AGAIN_S: Final = 0.5
LONGEST_AGAIN_S: Final = 10.0

_log = get_logger(__name__)
_Name = tuple["BootKey", int]


@dataclass(slots=True)
class _Shelf:
    """What waits for one section."""

    waiting: deque[Accepted] = field(default_factory=deque)
    not_before: float = float("-inf")
    again_s: float = AGAIN_S


@dataclass(slots=True)
class LateLane:
    """Stores what is offered, over a store of its own; `run` serves until told to stop."""

    open_store: Callable[[], Store]
    reply: Reply
    now_ms: NowMs
    monotonic: Callable[[], float] = time.monotonic
    holds: Callable[[int], bool] = lambda _: True
    """Whether this worker takes in a partition."""
    _shelves: dict[int, _Shelf] = field(default_factory=dict)
    _names: set[_Name] = field(default_factory=set)
    _size: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _store: Store | None = None

    def offer(self, late: Sequence[Accepted]) -> None:
        """Take what fits; never waits."""
        with self._changed:
            for one in late:
                self._take(one)
            self._changed.notify()

    def run(self, stop: threading.Event) -> None:
        """Store section by section until `stop`; what waits then is the devices' to repeat."""
        while not stop.is_set():
            chosen = self._next()
            if chosen is not None:
                self._settle(*chosen)
            elif not self._shelves:
                self._rest()
        self._drop()

    def _rest(self) -> None:
        try:
            if self._store is None:
                self._store = self.open_store()
            self._store.rest()
        except Unavailable:
            self._drop()

    def _drop(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _take(self, one: Accepted) -> None:
        name, message = _name(one), one.message
        if name in self._names or not isinstance(message, wire.Data):
            return
        if len(self._names) >= MOST_MESSAGES or self._size >= MOST_BYTES:
            METRICS.late_left.inc()
            return
        self._names.add(name)
        self._size += one.arrival.size
        shelf = self._shelves.setdefault(section(message.frames.t0_ms), _Shelf())
        shelf.waiting.append(one)

    def _next(self) -> tuple[int, list[Accepted]] | None:
        """Choose the section that has waited longest since it was last tried."""
        with self._changed:
            now = self.monotonic()
            due = [n for n, shelf in self._shelves.items() if shelf.not_before <= now]
            if not due:
                self._changed.wait(IDLE_S)
                return None
            number = min(due, key=lambda n: self._shelves[n].not_before)
            waiting = self._shelves[number].waiting
            return number, [waiting[n] for n in range(min(TOGETHER, len(waiting)))]

    def _settle(self, number: int, some: list[Accepted]) -> None:
        try:
            if self._store is None:
                self._store = self.open_store()
            committed = self._store.commit(some, (), self.now_ms())
        except LeaseLost:
            self._forget(number, [one for one in some if not self.holds(one.address.partition)])
            return
        except Unavailable as error:
            self._put_off(number, error)
            return
        METRICS.committed(committed)
        METRICS.late.inc(committed.messages)
        self.reply.tell(committed.told)
        self._forget(number, some)

    def _put_off(self, number: int, error: Unavailable) -> None:
        if not isinstance(error, SectionLocked):
            self._drop()
        with self._changed:
            shelf = self._shelves[number]
            shelf.not_before = self.monotonic() + shelf.again_s
            _log.info("late rows wait", section=number, error=str(error), again_s=shelf.again_s)
            shelf.again_s = min(2 * shelf.again_s, LONGEST_AGAIN_S)

    def _forget(self, number: int, some: list[Accepted]) -> None:
        with self._changed:
            shelf = self._shelves[number]
            # A lease that the keeper does not miss yet is asked for again a little later.
            shelf.not_before = self.monotonic() + (0 if some else AGAIN_S)
            shelf.again_s = AGAIN_S
            names = {_name(one) for one in some}
            shelf.waiting = deque(one for one in shelf.waiting if _name(one) not in names)
            self._names -= names
            self._size -= sum(one.arrival.size for one in some)
            if not shelf.waiting:
                del self._shelves[number]


def _name(one: Accepted) -> _Name:
    message = one.message
    return boot_key(one), message.seq if isinstance(message, wire.Data) else -1
