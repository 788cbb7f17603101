"""The loop of ingest: what is acknowledged, when, and what an outage or poison may not do."""

import threading

import pytest

from foremend import wire
from foremend.errors import Unavailable
from ingest.intake import Arrival, read
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

    def puback(self, arrivals) -> None:
        self.pubacks += [arrival.mid for arrival in arrivals]

    def tell(self, told) -> None:
        self.acks += [one.ack for one in told]
        if any(one.ack.upto >= self._upto for one in told):
            self._stop.set()

    @property
    def refused(self) -> list[wire.Refusal]:
        return [r for ack in self.acks for r in ack.refused]


class Flaky(MemoryStore):
    """A store that is away for the first calls, and never takes a poisoned event."""

    def __init__(self, outages: int = 0) -> None:
        super().__init__()
        self.outages = outages

    def unstorable(self, _accepted):
        return getattr(_accepted.message, "code", "") == "poison"

    def commit(self, accepted, refused, now_ms):
        if self.outages:
            self.outages -= 1
            raise Unavailable
        return super().commit(accepted, refused, now_ms)


def serve(store, arrivals, upto):
    stop = threading.Event()
    replies = Replies(stop, upto)
    worker = Worker(lambda: store, replies, lambda: 1_700_000_100_000, pause=lambda _: None)
    worker.inbox.put([read(a) for a in arrivals])
    worker.run(stop)
    assert (worker.inbox.messages, worker.inbox.size) == (0, 0)
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
    replies = serve(store, [*BIRTHS, *mixed], upto=4)
    assert len(replies.refused) == 20
    assert {r.reason for r in store.refused} == {"unstorable"}
    held = [ack for ack in replies.acks if ack.boot][-1]
    settled = held.upto + 1 + sum(last - first + 1 for first, last in held.ranges)
    assert settled == 200
    # Halving finds 20 among 221 in about 2 k log2(n / k) + 2 k attempts, not in 221.
    assert store.attempts < 200
    assert len(replies.pubacks) == 221


@pytest.mark.parametrize("payload", [b"", b"\xff" * 50, b'{"boot": 1}'])
def test_what_cannot_be_read_is_refused_by_hash_and_never_asked_for_again(payload):
    bad = arrival(wire.Up.EVENT, payload, mid=99)
    replies = serve(MemoryStore(), [*BIRTHS, bad, event(0)], upto=0)
    assert [r.hash for r in replies.refused] == [wire.digest(payload)]
    assert 99 in replies.pubacks
