"""The publisher against a link in memory, with time in the test's hands."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.lanes import SHARE, Order
from edge_agent.link import Heard, MemoryConnector, MemoryLink
from edge_agent.messages import Key, Load, Settlement, Stored
from edge_agent.publisher import Publisher
from foremend import wire
from foremend.clock import ManualClock
from foremend.wire import Ack, Address, Down, Refusal, Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ADDRESS = Address(tenant="t", device="d1")
OWN = "own"


class ListedOutbox:
    """As much of an outbox as the publisher asks for."""

    def __init__(self) -> None:
        self.messages: dict[Key, Stored] = {}
        self.known = {OWN: b"birth own"}
        self.settlements: list[Settlement] = []

    def add(self, *seqs: int, boot: str = OWN) -> None:
        number = list(self.known).index(boot)
        for seq in seqs:
            key = Key(number, seq)
            payload = f"{boot} {seq}".encode()
            self.messages[key] = Stored(key=key, boot=boot, kind=Up.DATA, payload=payload)

    async def pending(self, after: Key | None, limit: int) -> list[Stored]:
        keys = sorted(k for k in self.messages if after is None or k > after)
        return [self.messages[key] for key in keys[:limit]]

    @property
    def load(self) -> Load:
        return Load(unsettled=len(self.messages))

    async def some(self, keys: frozenset[Key]) -> list[Stored]:
        return [self.messages[key] for key in sorted(keys) if key in self.messages]

    async def newest(self) -> Key:
        return max(self.messages, default=Key(len(self.known) - 1, -1))

    async def settle(self, settlement: Settlement) -> None:
        self.settlements.append(settlement)
        refused = {key for key, _ in settlement.refused}
        self.messages = {
            key: m
            for key, m in self.messages.items()
            if key not in refused
            and not (
                m.boot == settlement.boot and any(a <= key.seq <= b for a, b in settlement.spans)
            )
        }

    async def births(self) -> dict[str, bytes]:
        return self.known


class Bench:
    def __init__(self, order: Order = Order.OLDEST_FIRST) -> None:
        self.outbox = ListedOutbox()
        self.connector = MemoryConnector()
        self.now_s = 1000.0
        self.stop = asyncio.Event()
        self.publisher = Publisher(
            address=ADDRESS,
            boot=OWN,
            outbox=self.outbox,
            connector=self.connector,
            clock=ManualClock(77),
            steady=lambda: self.now_s,
            chance=lambda: -1.0,  # no delay between two connections
            order=order,
            report_s=0.001,
        )

    @property
    def link(self) -> MemoryLink:
        return self.connector.links[-1]

    def data(self) -> list[bytes]:
        return [s.payload for s in self.link.said if s.topic == ADDRESS.up(Up.DATA)]

    def births(self) -> list[bytes]:
        return [s.payload for s in self.link.said if s.topic == ADDRESS.up(Up.BIRTH)]

    def acknowledge(self, ack: Ack) -> None:
        self.link.tell(Heard(topic=ADDRESS.down(Down.ACK), payload=wire.encode(ack)))

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not ready():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)

    async def settled(self) -> None:
        """Let every task run until it waits."""
        for _ in range(50):
            await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        self.publisher.wake()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.publisher.run(bench.stop))
    await bench.until(lambda: bench.publisher.traffic.connections > 0)
    yield
    bench.stop.set()
    await task


async def test_at_connecting_it_subscribes_then_says_births_oldest_first_then_online(
    bench: Bench,
) -> None:
    bench.outbox.known = {"old": b"birth old", OWN: b"birth own"}
    bench.outbox.add(0, boot="old")

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 1)

    assert bench.link.filters == [ADDRESS.down()]
    assert [(s.topic, s.retain) for s in bench.link.said] == [
        (ADDRESS.up(Up.BIRTH), False),
        (ADDRESS.up(Up.BIRTH), False),
        (ADDRESS.up(Up.STATUS), True),
        (ADDRESS.up(Up.DATA), False),
        (ADDRESS.up(Up.STATUS), True),
    ]
    assert bench.births() == [b"birth old", b"birth own"]


async def test_it_leaves_offline_as_its_last_will_and_says_so_when_it_stops(bench: Bench) -> None:
    async with running(bench):
        pass

    [will] = bench.connector.wills
    offline = wire.Status(boot=OWN, state="offline", ts_ms=77)
    assert wire.decode_up(Up.STATUS, will.payload) == offline
    assert (will.topic, will.qos, will.retain) == (ADDRESS.up(Up.STATUS), 1, True)
    assert bench.link.said[-1] == will


async def test_a_window_of_64_goes_and_the_rest_waits_for_our_acknowledgement(
    bench: Bench,
) -> None:
    bench.outbox.add(*range(100))

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 64)
        await bench.settled()
        assert len(bench.data()) == 64

        bench.acknowledge(Ack(boot=OWN, upto=9, ranges=((20, 29),)))
        await bench.until(lambda: len(bench.data()) == 84)
        await bench.settled()

    assert bench.data() == [f"own {seq}".encode() for seq in range(84)]
    assert sorted(k.seq for k in bench.outbox.messages) == [*range(10, 20), *range(30, 100)]


async def test_what_comes_later_is_sent_when_woken(bench: Bench) -> None:
    async with running(bench):
        await bench.settled()
        bench.outbox.add(0)
        bench.publisher.wake()
        await bench.until(lambda: bench.data() == [b"own 0"])


async def test_without_acknowledgement_it_resends_the_same_bytes_after_30_then_60_seconds(
    bench: Bench,
) -> None:
    bench.outbox.add(0)

    async with running(bench):
        counts = []
        for seconds in (0, 29.9, 0.1, 59.9, 0.1):
            bench.advance(seconds)
            await bench.settled()
            counts.append(len(bench.data()))

    assert counts == [1, 1, 2, 2, 3]
    assert set(bench.data()) == {b"own 0"}
    assert bench.publisher.traffic.resent == 2


async def test_a_message_given_up_in_flight_is_not_sent_again_and_frees_its_place(
    bench: Bench,
) -> None:
    bench.outbox.add(*range(65))

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 64)
        for seq in range(64):
            del bench.outbox.messages[Key(0, seq)]
        bench.advance(30)
        await bench.until(lambda: len(bench.data()) == 65)

    assert bench.data()[-1] == b"own 64"


async def test_after_a_cut_it_comes_back_and_sends_from_the_first_unsettled(bench: Bench) -> None:
    bench.outbox.add(0, 1, 2)

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 3)
        bench.acknowledge(Ack(boot=OWN, upto=0))
        await bench.until(lambda: len(bench.outbox.messages) == 2)
        bench.link.cut()
        await bench.until(lambda: len(bench.connector.links) == 2 and len(bench.data()) == 2)

    assert bench.data() == [b"own 1", b"own 2"]
    assert bench.births() == [b"birth own"]
    assert (bench.publisher.traffic.messages_sent, bench.publisher.traffic.resent) == (5, 2)


async def test_a_broker_that_lets_nobody_in_is_tried_again_until_it_does(bench: Bench) -> None:
    bench.connector.up = False
    task = asyncio.create_task(bench.publisher.run(bench.stop))
    await bench.until(lambda: bench.connector.tries == 3)

    bench.connector.up = True
    await bench.until(lambda: bench.publisher.traffic.connections == 1)

    bench.stop.set()
    await task


async def test_a_refused_message_is_settled_as_refused(bench: Bench) -> None:
    bench.outbox.add(0, 1)

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 2)
        bench.acknowledge(Ack(refused=(Refusal(hash=wire.digest(b"own 0"), reason="invalid"),)))
        await bench.until(lambda: len(bench.outbox.settlements) == 1)

    assert bench.outbox.settlements == [Settlement(refused=((Key(0, 0), "invalid"),))]


async def test_asked_for_birth_it_says_it_and_sends_again_what_was_in_flight(bench: Bench) -> None:
    bench.outbox.add(0, 1)

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 2)
        bench.now_s += 5
        bench.acknowledge(Ack(boot=OWN, birth_wanted=True))
        await bench.until(lambda: len(bench.data()) == 4)

    said = [s.payload for s in bench.link.said]
    assert said[-4:-1] == [b"birth own", b"own 0", b"own 1"]


async def test_many_requests_for_birth_get_one_birth_and_one_resend(bench: Bench) -> None:
    bench.outbox.add(0)

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 1)
        bench.now_s += 5
        for _ in range(20):
            bench.acknowledge(Ack(boot=OWN, birth_wanted=True))
        await bench.until(lambda: len(bench.data()) == 2)
        await bench.settled()
        assert (len(bench.births()), len(bench.data())) == (2, 2)


async def test_the_birth_of_an_unknown_boot_is_not_said(bench: Bench) -> None:
    async with running(bench):
        bench.now_s += 5
        bench.acknowledge(Ack(boot="nobody's", birth_wanted=True))
        await bench.settled()

    assert bench.births() == [b"birth own"]


@pytest.mark.parametrize("payload", [b"", b"{", b'{"boot": 5}', b"\xff\xfe"])
async def test_an_unreadable_acknowledgement_is_passed_over(bench: Bench, payload: bytes) -> None:
    bench.outbox.add(0)

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 1)
        bench.link.tell(Heard(topic=ADDRESS.down(Down.ACK), payload=payload))
        bench.acknowledge(Ack(boot=OWN, upto=0))
        await bench.until(lambda: not bench.outbox.messages)

    assert len(bench.connector.links) == 1


async def test_an_acknowledgement_on_another_topic_counts_for_nothing(bench: Bench) -> None:
    bench.outbox.add(0)
    ack = wire.encode(Ack(boot=OWN, upto=0))

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 1)
        bench.link.tell(Heard(topic=ADDRESS.down(Down.COMMAND), payload=ack))
        await bench.settled()

    assert bench.outbox.settlements == []


async def test_after_a_cut_new_readings_go_beside_the_backlog_and_not_behind_it() -> None:
    bench = Bench(Order.FRESH_BESIDE)
    bench.outbox.add(*range(1000))

    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 64)
        bench.outbox.add(*range(1000, 1100))
        bench.acknowledge(Ack(boot=OWN, upto=63))
        await bench.until(lambda: len(bench.data()) == 128)
        await bench.settled()
        window = bench.data()[64:]

    fresh = [
        payload for payload in window if payload in {f"own {n}".encode() for n in range(1000, 1100)}
    ]
    assert fresh == [f"own {n}".encode() for n in range(1000, 1000 + 64 // SHARE)]
    assert [p for p in window if p not in fresh] == [f"own {n}".encode() for n in range(64, 118)]


async def test_both_lanes_deliver_everything_once() -> None:
    bench = Bench(Order.FRESH_BESIDE)
    bench.outbox.add(*range(300))

    async with running(bench):
        for fresh in range(300, 400):
            bench.outbox.add(fresh)
            bench.publisher.wake()
            await bench.settled()
            flying = [int(p.split()[1]) for p in bench.data()]
            bench.acknowledge(Ack(boot=OWN, ranges=tuple((n, n) for n in flying)))
        await bench.until(lambda: not bench.outbox.messages)

    assert sorted(bench.data()) == sorted(f"own {n}".encode() for n in range(400))
    assert bench.publisher.traffic.resent == 0


async def test_what_was_held_is_sent_once_it_has_a_date_and_its_birth_said_again() -> None:
    bench = Bench(Order.FRESH_BESIDE)
    async with running(bench):
        await bench.settled()
        bench.outbox.add(0, 1)
        bench.outbox.known = {OWN: b"birth dated"}

        bench.publisher.dated()
        await bench.until(lambda: len(bench.data()) == 2)

    assert bench.births() == [b"birth own", b"birth dated"]
    assert bench.data() == [b"own 0", b"own 1"]


async def test_what_is_in_flight_is_not_sent_twice_when_all_is_looked_at_again(
    bench: Bench,
) -> None:
    bench.outbox.add(0, 1)
    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 2)
        bench.publisher.dated()
        bench.outbox.add(2)
        await bench.until(lambda: len(bench.data()) == 3)

    assert bench.data() == [b"own 0", b"own 1", b"own 2"]


async def test_a_message_of_the_fresh_lane_is_resent_when_it_is_overdue() -> None:
    bench = Bench(Order.FRESH_BESIDE)
    bench.outbox.add(*range(500))
    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 64)
        bench.outbox.add(500)
        bench.acknowledge(Ack(boot=OWN, upto=0))
        await bench.until(lambda: b"own 500" in bench.data())
        bench.advance(30)
        await bench.until(lambda: bench.data().count(b"own 500") == 2)


async def test_it_says_how_much_waits_and_again_when_that_changes(bench: Bench) -> None:
    bench.outbox.add(0, 1)
    async with running(bench):
        await bench.until(lambda: len(bench.data()) == 2)
        bench.acknowledge(Ack(boot=OWN, upto=1))
        async with asyncio.timeout(10):
            while waiting(bench)[-1] != 0:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.001)

    assert waiting(bench) == [2, 0, None]


def waiting(bench: Bench) -> list[int | None]:
    said = [s.payload for s in bench.link.said if s.topic == ADDRESS.up(Up.STATUS)]
    found = [wire.decode_up(Up.STATUS, payload) for payload in said]
    return [status.unsettled for status in found if isinstance(status, wire.Status)]
