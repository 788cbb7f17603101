"""The loop of ingest: gather what arrived, commit it, and only then acknowledge it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.inbox import Inbox
from ingest.intake import Accepted, Refused
from ingest.late import SectionLocked
from ingest.leases import LeaseLost
from ingest.metrics import METRICS
from ingest.telling import Teller

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from foremend.clock import Millis, NowMs
    from ingest.acks import Told
    from ingest.batch import Committed
    from ingest.intake import Arrival, Outcome

IDLE_S: Final = 0.25
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
BUSY: Final = 64
"""Messages in a commit from which on it pays to wait for company before the next."""
LONGEST_GATHER_S: Final = 0.05

_log = get_logger(__name__)


class Store(Protocol):
    """Keeps batches: whole or not at all, each message once."""

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch; raises Unavailable where it may succeed later."""

    def rest(self) -> None:
        """Do what may wait until nothing arrives; raises Unavailable likewise."""

    def close(self) -> None:
        """Let go of what it holds; it is not used again."""


class Reply(Protocol):
    """Answers over the broker; neither call waits for the network."""

    def puback(self, arrivals: Sequence[Arrival]) -> None:
        """Tell the broker that these deliveries need not be repeated."""

    def tell(self, told: Sequence[Told]) -> None:
        """Send committed acknowledgements to their devices."""


class Aside(Protocol):
    """Takes messages that must not travel with live ones."""

    def offer(self, late: Sequence[Accepted]) -> None:
        """Take them, or leave them to the device, which sends them again; never waits."""


class Nowhere:
    """Leaves every late message to its device."""

    def offer(self, late: Sequence[Accepted]) -> None:
        """Let them go."""


def gather_s(messages: int, commit_s: float) -> float:
    """Say how long to wait for company, after a commit of so many that took so long.

    A lone message leaves at once; under load a commit waits as long as the last one took, so that
    what each commit costs is shared by more the more it costs.

    >>> gather_s(1, 0.01)
    0.0
    """
    return min(commit_s, LONGEST_GATHER_S) if messages >= BUSY else 0.0


@dataclass(slots=True)
class Worker:
    """One ingest worker; `run` returns when told to stop, after its last commit."""

    open_store: Callable[[], Store]
    reply: Reply
    now_ms: NowMs
    inbox: Inbox = field(default_factory=Inbox)
    aside: Aside = field(default_factory=Nowhere)
    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    holds: Callable[[int], bool] = lambda _: True
    """Whether this worker takes in a partition."""
    _teller: Teller = field(default_factory=Teller)
    _store: Store | None = None
    _gather_s: float = 0.0

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`, through any outage of the database."""
        while not stop.is_set():
            due_s = self._teller.patience(self.monotonic())
            outcomes = self.inbox.take(IDLE_S if due_s is None else due_s, self._gather_s)
            if outcomes:
                self._settle(outcomes, stop)
            elif due_s is None:
                self._rest()
            self.reply.tell(self._teller.due(self.monotonic()))
        self.reply.tell(self._teller.rest())
        self._rest()
        self._drop()

    def _settle(self, outcomes: list[Outcome], stop: threading.Event) -> None:
        accepted = [o for o in outcomes if isinstance(o, Accepted)]
        refused = [o for o in outcomes if isinstance(o, Refused)]
        committed = self._commit_through_outages(accepted, refused, stop)
        self.inbox.settled(outcomes)
        if committed is None:
            return
        METRICS.committed(committed)
        METRICS.heard(accepted)
        self.reply.tell(self._teller.add(committed.told, self.monotonic()))
        self.reply.puback([o.arrival for o in outcomes])
        if committed.late:
            # The broker need not keep what has a place of its own, or else its device's outbox.
            self.aside.offer(committed.late)

    def _commit_through_outages(
        self, accepted: list[Accepted], refused: list[Refused], stop: threading.Event
    ) -> Committed | None:
        """Try until it is stored; nothing is acknowledged meanwhile, so the broker holds back."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return self._commit(accepted, refused)
            except LeaseLost:
                # Theirs are delivered to whoever has them now. The keeper may learn of it after us.
                accepted = [a for a in accepted if self.holds(a.address.partition)]
                self.pause(FIRST_PAUSE_S)
            except Unavailable as error:
                METRICS.outages.inc()
                if stop.is_set():
                    return None
                if isinstance(error, SectionLocked):
                    continue
                self._drop()
                _log.warning("waiting for the database", error=str(error), pause_s=pause_s)
                self.pause(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _commit(self, accepted: list[Accepted], refused: list[Refused]) -> Committed:
        if self._store is None:
            self._store = self.open_store()
        began = self.monotonic()
        committed = self._store.commit(accepted, refused, self.now_ms())
        took_s = self.monotonic() - began
        METRICS.commit_seconds.observe(took_s)
        self._gather_s = gather_s(len(accepted), took_s)
        return committed

    def _rest(self) -> None:
        if self._store is None:
            return
        try:
            self._store.rest()
        except Unavailable:
            self._drop()

    def _drop(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
