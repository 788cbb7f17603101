"""The loop of the front door: hear, translate, store; be present only while all three go well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import psycopg

from foremend.errors import Unavailable
from foremend.log import get_logger
from ingest.intake import Accepted, Refused
from ingest.metrics import METRICS as INGEST_METRICS
from ingest.sparkplug.inbox import Inbox, Note, Notice
from ingest.sparkplug.metrics import METRICS
from ingest.sparkplug.outcome import Outcome

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from foremend.clock import Millis, NowMs
    from ingest.sparkplug.host import Host
    from ingest.sparkplug.topics import Node
    from ingest.store import Committed

PAUSE_S: Final = 1.0

_log = get_logger(__name__)


class Store(Protocol):
    """Keeps batches: whole or not at all, each message once."""

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch; raises Unavailable where it may succeed later."""


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
    now_ms: NowMs
    inbox: Inbox = field(default_factory=Inbox)
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
                stop.wait(PAUSE_S)

    def _hold_place(self, stop: threading.Event) -> None:
        place = self.open_place()
        try:
            while not place.take():
                if stop.wait(PAUSE_S):
                    return
            self._store(place.store)
            self.host.expect(place.devices())
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
            for committed in self._commit(store, out.accepted, out.refused):
                INGEST_METRICS.committed(committed)
        METRICS.left_out_of(out)
        self._pending = Outcome()

    def _commit(
        self, store: Store, accepted: Sequence[Accepted], refused: Sequence[Refused]
    ) -> list[Committed]:
        """Commit, and halve what cannot be stored until the culprit stands alone."""
        try:
            return [store.commit(accepted, refused, self.now_ms())]
        except psycopg.Error as error:
            if not accepted:
                raise
            reason = str(error).splitlines()[0]
        if len(accepted) == 1:
            return self._commit(store, [], [*refused, _unstorable(accepted[0], reason)])
        half = len(accepted) // 2
        return [
            *self._commit(store, accepted[:half], refused),
            *self._commit(store, accepted[half:], []),
        ]


def _unstorable(accepted: Accepted, detail: str) -> Refused:
    return Refused(
        arrival=accepted.arrival, address=accepted.address, reason="unstorable", detail=detail
    )
