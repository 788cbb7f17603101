"""The loop of the front door: hear, translate, store; be present only while all three go well."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.metrics import METRICS as INGEST_METRICS
from ingest.sparkplug.inbox import Inbox, Note, Notice
from ingest.sparkplug.metrics import METRICS
from ingest.sparkplug.outcome import Outcome

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from foremend.clock import Millis, NowMs
    from ingest.batch import Committed
    from ingest.intake import Accepted, Refused
    from ingest.sparkplug.host import Host
    from ingest.sparkplug.topics import Node

PAUSE_S: Final = 1.0
FIRST_PAUSE_S: Final = 0.1
COMMITS: Final = 4
"""Attempts before the database counts as gone."""

_log = get_logger(__name__)


class Store(Protocol):
    """Keeps batches: whole or not at all, each message once."""

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch; raises Unavailable where it may succeed later."""

    def rest(self) -> None:
        """Do what may wait until nothing arrives; raises Unavailable likewise."""


class LateLane(Protocol):
    """Takes messages that must not travel with live ones."""

    def offer(self, late: Sequence[Accepted]) -> None:
        """Take them; never waits."""


class Place(Protocol):
    """The one host application's place; each call raises Unavailable where the database is gone."""

    @property
    def store(self) -> Store:
        """Where translated messages go."""

    def take(self) -> bool:
        """Take the place; False while another process holds it."""

    def devices(self) -> list[tuple[str, str]]:
        """Give tenant and id of the devices that are to be asked for their births."""

    def close(self) -> None:
        """Leave the place."""


class Link(Protocol):
    """One stay at the broker; fills the inbox."""

    def start(self) -> None:
        """Connect; raises Unavailable."""

    def stop(self) -> None:
        """Say that we are away, and leave."""

    def ask_for_births(self, node: Node) -> None:
        """Ask an edge node for all its births."""


@dataclass(slots=True)
class Door:
    """The front door; `run` returns when told to stop."""

    host: Host
    open_place: Callable[[], Place]
    open_link: Callable[[Inbox], Link]
    aside: LateLane
    now_ms: NowMs
    inbox: Inbox = field(default_factory=Inbox)
    pause: Callable[[float], None] = time.sleep
    pause_s: float = PAUSE_S
    """Between two looks at what is not there yet."""
    _pending: Outcome = field(default_factory=Outcome)
    """What follows from messages that nobody will send again, until it is stored."""
    _joined: bool = False

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`, through outages of the database and of the broker."""
        while not stop.is_set():
            try:
                self._hold_place(stop)
            except Unavailable as error:
                _log.warning("the Sparkplug host is away", error=str(error))
                stop.wait(self.pause_s)

    def _hold_place(self, stop: threading.Event) -> None:
        place = self.open_place()
        try:
            while not place.take():
                if stop.wait(self.pause_s):
                    return
            self._store(place.store)
            self.host.expect(place.devices())
            if not stop.is_set():
                self._stay(place.store, stop)
        finally:
            place.close()

    def _stay(self, store: Store, stop: threading.Event) -> None:
        link = self.open_link(self.inbox)
        link.start()
        try:
            while not stop.is_set():
                self._turn(store, link)
        finally:
            link.stop()
            self._leave()
        self._store(store)

    def _turn(self, store: Store, link: Link) -> None:
        self._hear(self.inbox.take())
        self.host.tick(self.now_ms(), self._pending)
        rebirths, self._pending.rebirths = self._pending.rebirths, []
        self._store(store)
        if self._joined:
            for rebirth in rebirths:
                METRICS.rebirths.labels(rebirth.reason.value).inc()
                link.ask_for_births(rebirth.node)

    def _leave(self) -> None:
        """Hear what came before we left; what comes from here on is missed."""
        while notes := self.inbox.take():
            self._hear(notes)
        self.host.interrupted(self.now_ms(), self._pending)
        self._joined = False

    def _hear(self, notes: Sequence[Note | Notice]) -> None:
        out, now_ms = self._pending, self.now_ms()
        METRICS.heard.inc(len(notes))
        for note in notes:
            if isinstance(note, Note):
                self.host.hear(note.arrival, retained=note.retained, now_ms=now_ms, out=out)
            elif note is Notice.MISSED:
                self._joined = False
                self.host.interrupted(now_ms, out)
            else:
                self._joined = True
                self.host.rejoined()

    def _store(self, store: Store) -> None:
        """Store what is pending; it stays pending where the database is gone."""
        out = self._pending
        if out.accepted or out.refused:
            committed = self._commit(store, out)
            INGEST_METRICS.committed(committed)
            self.aside.offer(committed.late)
        else:
            store.rest()
        METRICS.left_out_of(out)
        self._pending = Outcome()

    def _commit(self, store: Store, out: Outcome) -> Committed:
        """Commit; a lock that passes is no reason to leave edge nodes without a host."""
        for attempt in range(COMMITS - 1):
            try:
                return store.commit(out.accepted, out.refused, self.now_ms())
            except Unavailable as error:
                _log.info("a commit is tried again", error=str(error))
                self.pause(2**attempt * FIRST_PAUSE_S)
        return store.commit(out.accepted, out.refused, self.now_ms())
