"""The loop of ingest: gather what arrived, commit it, and only then acknowledge it."""

from __future__ import annotations

import queue
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import psycopg

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.intake import Accepted, Arrival, Refused, read
from ingest.metrics import METRICS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from foremend.clock import Millis, NowMs
    from ingest.acks import Told
    from ingest.store import Committed

MAX_BATCH: Final = 4000
"""Messages in one commit."""
GATHER_S: Final = 0.02
"""How long a commit waits for company; under load the queue is never empty and it waits less."""
IDLE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0

_log = get_logger(__name__)


class Store(Protocol):
    """Keeps batches: whole or not at all, each message once."""

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch; raises Unavailable where it may succeed later."""


class Reply(Protocol):
    """Answers over the broker; neither call waits for the network."""

    def puback(self, arrival: Arrival) -> None:
        """Tell the broker that this delivery need not be repeated."""

    def tell(self, told: Told) -> None:
        """Send a committed acknowledgement to its device."""


@dataclass(slots=True)
class Worker:
    """One ingest worker; `run` returns when told to stop, after its last commit."""

    open_store: Callable[[], Store]
    reply: Reply
    now_ms: NowMs
    inbox: queue.SimpleQueue[Arrival] = field(default_factory=queue.SimpleQueue)
    pause: Callable[[float], None] = time.sleep
    _store: Store | None = None

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`, through any outage of the database."""
        while not stop.is_set():
            arrivals = self._gather()
            if arrivals:
                self._settle(arrivals, stop)

    def _gather(self) -> list[Arrival]:
        try:
            arrivals = [self.inbox.get(timeout=IDLE_S)]
        except queue.Empty:
            return []
        until = time.monotonic() + GATHER_S
        while len(arrivals) < MAX_BATCH:
            try:
                left = until - time.monotonic()
                arrivals.append(self.inbox.get(timeout=left) if left > 0 else self.inbox.get(False))
            except queue.Empty:
                break
        return arrivals

    def _settle(self, arrivals: list[Arrival], stop: threading.Event) -> None:
        outcomes = [read(arrival) for arrival in arrivals]
        accepted = [o for o in outcomes if isinstance(o, Accepted)]
        refused = [o for o in outcomes if isinstance(o, Refused)]
        for committed in self._commit_through_outages(accepted, refused, stop):
            METRICS.committed(committed)
            for told in committed.told:
                self.reply.tell(told)
        if not stop.is_set() or self._store is not None:
            for arrival in arrivals:
                self.reply.puback(arrival)

    def _commit_through_outages(
        self, accepted: list[Accepted], refused: list[Refused], stop: threading.Event
    ) -> list[Committed]:
        """Try until it is stored; nothing is acknowledged meanwhile, so the broker holds back."""
        pause_s = 0.1
        while True:
            try:
                return self._commit(accepted, refused)
            except Unavailable as error:
                self._store = None
                METRICS.outages.inc()
                if stop.is_set():
                    return []
                _log.warning("waiting for the database", error=str(error), pause_s=pause_s)
                self.pause(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _commit(self, accepted: list[Accepted], refused: list[Refused]) -> list[Committed]:
        """Commit, and halve what cannot be stored until the culprit stands alone."""
        if self._store is None:
            self._store = self.open_store()
        try:
            with METRICS.commit_seconds.time():
                return [self._store.commit(accepted, refused, self.now_ms())]
        except psycopg.Error as error:
            if not accepted:
                raise
            reason = str(error).splitlines()[0]
        if len(accepted) == 1:
            _log.warning("set a message aside", topic=accepted[0].arrival.topic, reason=reason)
            return self._commit([], [*refused, _unstorable(accepted[0], reason)])
        half = len(accepted) // 2
        return [*self._commit(accepted[:half], refused), *self._commit(accepted[half:], [])]


def _unstorable(accepted: Accepted, detail: str) -> Refused:
    return Refused(
        arrival=accepted.arrival, address=accepted.address, reason="unstorable", detail=detail
    )
