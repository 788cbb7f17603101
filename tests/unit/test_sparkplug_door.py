"""The front door's loop: what outages, locks and floods may not do."""

import threading
from contextlib import contextmanager

import pytest

from foremend.errors import Unavailable
from ingest.batch import Committed
from ingest.intake import Arrival
from ingest.memory import MemoryStore
from ingest.sparkplug.aside import Aside
from ingest.sparkplug.door import Door
from ingest.sparkplug.host import Host, Ruling
from ingest.sparkplug.inbox import Inbox, Note, Notice
from ingest.sparkplug.outcome import Outcome
from tests.sparkplug_words import LOAD, REORDER_MS, START, TEMP, bd_seq, payload, told

GROUP = "spBv1.0/plant"
BIRTHS = (
    Note(arrival=Arrival(topic=f"{GROUP}/NBIRTH/press", payload=payload(0, bd_seq()))),
    Note(arrival=Arrival(topic=f"{GROUP}/DBIRTH/press/pump", payload=payload(1, TEMP, LOAD))),
)


def data(seq: int, value: float) -> Note:
    content = payload(seq, told(1, value), ts=START + seq)
    return Note(arrival=Arrival(topic=f"{GROUP}/DDATA/press/pump", payload=content))


class Base(MemoryStore):
    """A store that is away for some calls, and knows who holds the place."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.stop = stop
        self.away = 0
        self.known: list[tuple[str, str]] = []
        self.ends_at = 1

    @property
    def store(self) -> MemoryStore:
        return self

    def take(self) -> bool:
        return True

    def devices(self) -> list[tuple[str, str]]:
        return self.known

    def close(self) -> None:
        pass

    def commit(self, accepted, refused, now_ms):
        if self.away:
            self.away -= 1
            raise Unavailable
        committed = super().commit(accepted, refused, now_ms)
        assert not committed.duplicates
        if len(self.frames) >= self.ends_at:
            self.stop.set()
        return committed


class Broker:
    """What happens at each stay, and what is asked there."""

    def __init__(self, *stays: list, enough: threading.Event | None = None) -> None:
        self.stays = list(stays)
        self.enough = enough or threading.Event()
        self.asked: list[str] = []
        self.present: list[bool] = []
        self._inbox: Inbox | None = None

    def at(self, inbox: Inbox) -> "Broker":
        self._inbox = inbox
        return self

    def start(self) -> None:
        self.present.append(True)
        self._inbox.put(Notice.JOINED)
        for note in self.stays.pop(0) if self.stays else []:
            self._inbox.put(note)

    def stop(self) -> None:
        self.present.append(False)
        self._inbox.put(Notice.MISSED)

    def ask_for_births(self, node) -> None:
        self.asked.append(node.node)
        self.enough.set()


class Shelf:
    def __init__(self) -> None:
        self.late: list = []

    def offer(self, late) -> None:
        self.late += late


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def base(stop) -> Base:
    return Base(stop)


def serve(base: Base, broker: Broker, stop: threading.Event) -> Door:
    ruling = Ruling(tenant="demo", groups={}, family="f", reorder_ms=REORDER_MS)
    door = Door(
        host=Host(ruling),
        open_place=lambda: base,
        open_link=broker.at,
        aside=Shelf(),
        now_ms=lambda: START,
        pause=lambda _: None,
        pause_s=0.001,
    )
    door.run(stop)
    return door


def test_what_is_said_is_stored(base, stop):
    base.ends_at = 2
    serve(base, Broker([*BIRTHS, data(2, 21.0)]), stop)
    assert [(boot, seq) for _, boot, seq, _ in base.frames][:2] == [(1, 0), (1, 1)]


def test_a_lock_that_passes_is_ridden_out_without_leaving(base, stop):
    base.away, base.ends_at = 2, 2
    broker = Broker([*BIRTHS, data(2, 21.0)])
    serve(base, broker, stop)
    assert broker.present == [True, False]
    assert len(base.frames) >= 2


def test_without_a_database_the_host_is_away_and_what_it_had_heard_is_kept(base, stop):
    base.away, base.ends_at = 4, 3
    broker = Broker([*BIRTHS, data(2, 21.0)])
    serve(base, broker, stop)
    assert broker.present == [True, False]
    # Two frames, and one that says that nothing is known since; stored before anybody is heard.
    assert [seq for _, _, seq, _ in base.frames] == [0, 1, 2]


def test_back_at_the_broker_births_are_asked_for(base, stop):
    base.away, base.ends_at = 4, 4
    broker = Broker([*BIRTHS, data(2, 21.0)], [data(3, 99.0)], enough=stop)
    serve(base, broker, stop)
    assert broker.present == [True, False, True, False]
    assert broker.asked == ["press"]
    assert len(base.frames) == 3


def test_edge_nodes_of_stored_devices_are_asked_once_they_can_be_heard(base, stop):
    base.known = [("demo", "plant--press--pump"), ("demo", "printer-01")]
    broker = Broker([], enough=stop)
    serve(base, broker, stop)
    assert broker.asked == ["press"]


def test_who_does_not_hold_the_place_says_nothing(base, stop):
    looks = iter([False, False])

    def take() -> bool:
        found = next(looks, None)
        return found if found is not None else bool(stop.set())

    base.take = take
    broker = Broker()
    serve(base, broker, stop)
    assert broker.present == []


def test_what_is_old_travels_apart(base, stop):
    door = serve(base, Broker([*BIRTHS]), stop)
    late = [object(), object()]
    base.commit = lambda *_: Committed(
        told=(), messages=0, frames=0, duplicates=0, strangers=0, refused=(), late=tuple(late)
    )
    door._hear([Note(arrival=Arrival(topic="unreadable", payload=b""))])
    door._store(base)
    assert door.aside.late == late


def test_a_flood_is_cut_off_and_the_reader_is_told_where():
    inbox = Inbox(max_bytes=3_000)
    for number in range(20):
        inbox.put(data(number, 1.0))
    taken = inbox.take()
    assert len(taken) < 7
    assert taken[-1] is Notice.MISSED
    assert taken.count(Notice.MISSED) == 1
    inbox.put(data(20, 1.0))
    assert isinstance(inbox.take()[0], Note)


def test_late_values_are_kept_through_an_outage_and_stored_before_the_end(stop):
    store = MemoryStore()
    outages = iter([True, False])

    @contextmanager
    def open_store():
        if next(outages):
            raise Unavailable
        yield store

    host = Host(Ruling(tenant="demo", groups={}, family="f", reorder_ms=REORDER_MS))
    from_host = _heard(host, [*BIRTHS, data(2, 21.0)])
    aside = Aside(open_store, lambda: START, pause_s=0)
    aside.offer(from_host)
    thread = threading.Thread(target=aside.run, args=(stop,))
    thread.start()
    while len(store.frames) < 2 and thread.is_alive():
        pass
    stop.set()
    thread.join(timeout=10)
    assert len(store.frames) == 2


def _heard(host: Host, notes: list[Note]) -> list:
    out = Outcome()
    for note in notes:
        host.hear(note.arrival, retained=False, now_ms=START, out=out)
    return out.accepted
