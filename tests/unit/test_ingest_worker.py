"""The loop of ingest: what is acknowledged, when, and what an outage or poison may not do."""

import threading

import psycopg
import pytest

from foremend import wire
from foremend.errors import Unavailable
from ingest.intake import Arrival
from ingest.memory import MemoryStore
from ingest.worker import Worker

ADDRESS = wire.Address(tenant="demo", device="printer-01")
CHANNELS = (wire.Channel(name="temp", unit="Cel"),)
BIRTH = wire.Birth(
    boot="b",
    boot_ms=1_700_000_000_000,
    schema=wire.schema_hash(CHANNELS),
    channels=CHANNELS,
    family="f",
    model="m",
    timeline="sim:t",
)


def arrival(kind: wire.Up, payload: bytes, mid: int = 1) -> Arrival:
    return Arrival(topic=ADDRESS.up(kind), payload=payload, mid=mid)


def event(seq: int, code: str = "e") -> Arrival:
    message = wire.Event(boot="b", seq=seq, ts_ms=1_700_000_000_000, code=code)
    return arrival(wire.Up.EVENT, wire.encode(message), mid=seq + 10)


class Replies:
    def __init__(self, stop: threading.Event, upto: int) -> None:
        self.pubacks: list[int] = []
        self.acks: list[wire.Ack] = []
        self._stop, self._upto = stop, upto

    def puback(self, arrival: Arrival) -> None:
        self.pubacks.append(arrival.mid)

    def tell(self, told) -> None:
        self.acks.append(told.ack)
        if told.ack.upto >= self._upto:
            self._stop.set()


class Flaky(MemoryStore):
    """A store that is away for the first calls, and never takes a poisoned event."""

    def __init__(self, outages: int = 0) -> None:
        super().__init__()
        self.outages = outages

    def commit(self, accepted, refused, now_ms):
        if self.outages:
            self.outages -= 1
            raise Unavailable
        if any(getattr(a.message, "code", "") == "poison" for a in accepted):
            raise psycopg.DataError("cannot be stored")
        return super().commit(accepted, refused, now_ms)


def serve(store, arrivals, upto):
    stop = threading.Event()
    replies = Replies(stop, upto)
    worker = Worker(lambda: store, replies, lambda: 1_700_000_100_000, pause=lambda _: None)
    for one in arrivals:
        worker.inbox.put(one)
    worker.run(stop)
    return replies


BIRTHS = [arrival(wire.Up.BIRTH, wire.encode(BIRTH))]


def test_what_was_committed_is_acknowledged_to_device_and_broker():
    replies = serve(MemoryStore(), [*BIRTHS, event(0), event(1)], upto=1)
    assert replies.acks[-1].upto == 1
    assert replies.pubacks == [1, 10, 11]


def test_an_outage_delays_and_loses_nothing():
    replies = serve(Flaky(outages=5), [*BIRTHS, event(0)], upto=0)
    assert replies.acks[-1].upto == 0
    assert replies.pubacks == [1, 10]


def test_twenty_poisoned_messages_delay_none_of_two_hundred_good_ones():
    store = Flaky()
    mixed = [event(i, "poison" if i % 11 == 5 else "fine") for i in range(220)]
    stop = threading.Event()
    replies = Replies(stop, upto=10_000)
    worker = Worker(lambda: store, replies, lambda: 1_700_000_100_000, pause=lambda _: None)
    for one in [*BIRTHS, *mixed]:
        worker.inbox.put(one)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    while len(replies.pubacks) < 221 and thread.is_alive():
        pass
    stop.set()
    thread.join(timeout=10)
    refused = [r for ack in replies.acks for r in ack.refused]
    assert len(refused) == 20
    assert {r.reason for r in store.refused} == {"unstorable"}
    held = replies.acks[-1]
    settled = held.upto + 1 + sum(last - first + 1 for first, last in held.ranges)
    assert settled == 200


@pytest.mark.parametrize("payload", [b"", b"\xff" * 50, b'{"boot": 1}'])
def test_what_cannot_be_read_is_refused_by_hash_and_never_asked_for_again(payload):
    bad = arrival(wire.Up.EVENT, payload, mid=99)
    replies = serve(MemoryStore(), [*BIRTHS, bad, event(0)], upto=0)
    hashes = [r.hash for ack in replies.acks for r in ack.refused]
    assert hashes == [wire.digest(payload)]
    assert 99 in replies.pubacks
