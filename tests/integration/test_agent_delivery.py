"""Agents against a real broker, with an ingest that acknowledges, forgets, refuses or is silent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import aiomqtt
import pytest

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.outbox.group import Grouping, OutboxFile, open_outbox
from edge_agent.source import Description, Frame, Happening, PushSource
from foremend import wire
from foremend.clock import wall_ms
from foremend.wire import Ack, Address, Channel, Down, Up
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.ports import free_port
from stack.embedded.server import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.conftest import BrokerAddress

PATIENCE_S = 30
SOON = Grouping(within_s=0.005)
CHANNELS = (Channel(name="temperature", unit="Cel"),)
CHILD = """
import asyncio, itertools, sys
from pathlib import Path
from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.outbox.group import open_outbox
from edge_agent.source import Description, Frame, PushSource
from foremend.clock import wall_ms
from foremend.wire import Channel

async def main(path, host, port, user, password, tenant, first):
    source = PushSource(Description(
        channels=(Channel(name="temperature", unit="Cel"),), family="fdm_printer", model="m"))
    config = AgentConfig(
        tenant=tenant, device="printer-01", frames_per_message=3,
        broker=BrokerConfig(host=host, port=int(port), username=user, password=password))
    async with open_outbox(Path(path), wall_ms) as file:
        agent = Agent(config, source, file.device("printer-01"), wall_ms)
        running = asyncio.create_task(agent.run(asyncio.Event()))
        for number in itertools.count(int(first)):
            await source.push(Frame(ts_ms=number, values=(float(number),)))
            if number % 50 == 0:
                await source.stored()
                print(number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class Arrival(NamedTuple):
    device: str
    kind: Up
    boot: str
    seq: int


class StandIn:
    """As much of ingest as an agent sees: it keeps numbered messages and says what it has."""

    def __init__(self, client: aiomqtt.Client, tenant: str) -> None:
        self.silent = False
        self.refuses: Callable[[wire.UpMessage], bool] = lambda _: False
        self.forgetful = False
        self.arrivals: list[Arrival] = []
        self.kept: dict[tuple[str, str], dict[int, bytes]] = defaultdict(dict)
        self.conflicts = 0
        self.introduced: set[tuple[str, str]] = set()
        self._client = client
        self._tenant = tenant

    async def run(self) -> None:
        async for message in self._client.messages:
            address, kind = wire.parse_up(message.topic.value)
            assert isinstance(message.payload, bytes)
            await self._take(address, kind, message.payload)

    def frames(self, device: str) -> list[float]:
        """Every reading of a device by boot and number; each once."""
        return [
            value
            for (name, _), kept in self.kept.items()
            if name == device
            for seq in sorted(kept)
            for value in self._readings(kept[seq])
        ]

    async def _take(self, address: Address, kind: Up, payload: bytes) -> None:
        message = wire.decode_up(kind, payload)
        seq = getattr(message, "seq", -1)
        self.arrivals.append(Arrival(address.device, kind, message.boot, seq))
        key = (address.device, message.boot)
        if kind is Up.BIRTH:
            self.introduced.add(key)
        if kind not in {Up.DATA, Up.EVENT}:
            return
        if self.refuses(message):
            refusal = wire.Refusal(hash=wire.digest(payload), reason="invalid")
            await self._tell(address, Ack(refused=(refusal,)))
        elif self.forgetful and key not in self.introduced:
            await self._tell(address, Ack(boot=message.boot, birth_wanted=True))
        else:
            self.conflicts += self.kept[key].setdefault(seq, payload) != payload
            await self._tell(address, self._settled(key))

    def _settled(self, key: tuple[str, str]) -> Ack:
        seqs = sorted(self.kept[key])
        upto = next((i - 1 for i, seq in enumerate(seqs) if seq != i), len(seqs) - 1)
        beyond = tuple((seq, seq) for seq in seqs[upto + 1 :])
        return Ack(boot=key[1], upto=upto, ranges=beyond)

    async def _tell(self, address: Address, ack: Ack) -> None:
        if not self.silent:
            await self._client.publish(address.down(Down.ACK), wire.encode(ack))

    def _readings(self, payload: bytes) -> list[float]:
        try:
            message = wire.decode_up(Up.DATA, payload)
        except wire.MalformedMessage:
            return []
        assert isinstance(message, wire.Data)
        return [value for value in message.frames.values[0] if value is not None]


@asynccontextmanager
async def standing_in(broker: BrokerConfig, tenant: str) -> AsyncIterator[StandIn]:
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=f"stand-in-{uuid4().hex}",
    ) as client:
        await client.subscribe(f"fm/1/+/{tenant}/+/up/+", qos=1)
        stand_in = StandIn(client, tenant)
        task = asyncio.create_task(stand_in.run())
        try:
            yield stand_in
        finally:
            # Up to Python 3.11 `asyncio.wait_for`, inside aiomqtt, may swallow a cancellation.
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=0.1)


@pytest.fixture
def link(broker: BrokerAddress) -> BrokerConfig:
    return BrokerConfig(
        host=broker.host, port=broker.port, username=broker.user, password=broker.password
    )


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex}"


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[OutboxFile]:
    async with open_outbox(tmp_path / "outbox.db", wall_ms, grouping=SOON) as file:
        yield file


class Running(NamedTuple):
    agent: Agent
    source: PushSource

    async def push(self, *numbers: int) -> None:
        await self.source.push(*(Frame(ts_ms=n, values=(float(n),)) for n in numbers))

    async def drained(self) -> None:
        await self.source.stored()
        async with asyncio.timeout(PATIENCE_S):
            await self.agent.drained()


@asynccontextmanager
async def running(
    link: BrokerConfig, file: OutboxFile, tenant: str, device: str, **settings: object
) -> AsyncIterator[Running]:
    patient = settings.pop("patient", False) is True
    source = PushSource(
        Description(channels=CHANNELS, family="fdm_printer", model="m", patient=patient)
    )
    config = AgentConfig(tenant=tenant, device=device, broker=link, **settings)  # type: ignore[arg-type]
    agent = Agent(config, source, file.device(device), wall_ms)
    stop = asyncio.Event()
    task = asyncio.create_task(agent.run(stop))
    try:
        yield Running(agent, source)
    finally:
        stop.set()
        await task


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not ready():  # noqa: ASYNC110 - what is waited for happens beyond the broker
            await asyncio.sleep(0.005)


async def test_devices_that_share_a_file_each_deliver_everything_once_and_in_order(
    link: BrokerConfig, file: OutboxFile, tenant: str
) -> None:
    async with (
        standing_in(link, tenant) as ingest,
        running(link, file, tenant, f"{tenant}-1", frames_per_message=4) as one,
        running(link, file, tenant, f"{tenant}-2", frames_per_message=4) as two,
    ):
        for number in range(150):
            await one.push(number)
            await two.push(-number)
        await one.source.push(Happening(ts_ms=150, code="E1"))
        await one.drained()
        await two.drained()

    assert ingest.frames(f"{tenant}-1") == list(range(150))
    assert ingest.frames(f"{tenant}-2") == [-n for n in range(150)]
    assert (one.agent.counters.frames_sent, one.agent.counters.frames_acked) == (150, 150)
    assert one.agent.counters.resent == 0
    numbered = [a.seq for a in ingest.arrivals if a.seq >= 0 and a.device == f"{tenant}-1"]
    assert numbered == list(range(len(numbered)))


async def test_a_device_is_introduced_before_it_speaks_and_its_presence_is_retained(
    link: BrokerConfig, file: OutboxFile, tenant: str
) -> None:
    device = f"{tenant}-p"
    async with standing_in(link, tenant) as ingest, running(link, file, tenant, device) as one:
        await one.push(1)
        await one.drained()
        online = await retained_status(link, tenant, device)
    offline = await retained_status(link, tenant, device)

    assert [a.kind for a in ingest.arrivals][:3] == [Up.BIRTH, Up.STATUS, Up.DATA]
    assert (online.state, offline.state) == ("online", "offline")
    assert online.boot == offline.boot == one.agent.session.boot


async def retained_status(link: BrokerConfig, tenant: str, device: str) -> wire.Status:
    topic = Address(tenant=tenant, device=device).up(Up.STATUS)
    async with aiomqtt.Client(
        link.host, link.port, username=link.username, password=link.password
    ) as client:
        await client.subscribe(topic, qos=1)
        async with asyncio.timeout(PATIENCE_S):
            message = await anext(client.messages)
    assert isinstance(message.payload, bytes)
    status = wire.decode_up(Up.STATUS, message.payload)
    assert isinstance(status, wire.Status)
    return status


async def test_while_acknowledgements_are_lost_nothing_is_deleted_and_resends_are_identical(
    link: BrokerConfig, file: OutboxFile, tenant: str
) -> None:
    async with (
        standing_in(link, tenant) as ingest,
        running(link, file, tenant, f"{tenant}-1", frames_per_message=1, first_resend_s=0.2) as one,
    ):
        ingest.silent = True
        await one.push(*range(20))
        await one.source.stored()
        await until(lambda: len(ingest.arrivals) >= 42)
        assert one.agent.counters.unsettled == 20

        ingest.silent = False
        await one.drained()

    assert ingest.frames(f"{tenant}-1") == list(range(20))
    assert one.agent.counters.resent >= 20
    assert ingest.conflicts == 0


async def test_a_refused_message_is_not_sent_again_and_its_loss_is_told(
    link: BrokerConfig, file: OutboxFile, tenant: str
) -> None:
    async with standing_in(link, tenant) as ingest:
        ingest.refuses = lambda m: isinstance(m, wire.Data) and m.frames.t0_ms == 3
        async with running(link, file, tenant, f"{tenant}-1", frames_per_message=1) as one:
            await one.push(*range(6))
            await one.drained()

    assert ingest.frames(f"{tenant}-1") == [0, 1, 2, 4, 5]
    assert (one.agent.counters.refused, one.agent.counters.gaps) == (1, 1)
    [kept] = ingest.kept.values()
    gap = wire.decode_up(Up.EVENT, kept[6])
    assert isinstance(gap, wire.Event)
    assert (gap.code, gap.details["first"], gap.details["last"]) == ("gap", 3, 3)


async def test_an_ingest_that_forgot_the_device_is_told_again(
    link: BrokerConfig, file: OutboxFile, tenant: str
) -> None:
    async with (
        standing_in(link, tenant) as ingest,
        running(link, file, tenant, f"{tenant}-1", frames_per_message=1) as one,
    ):
        await one.push(0)
        await one.drained()
        ingest.forgetful = True
        ingest.introduced.clear()

        await one.push(1, 2)
        await one.drained()

    assert ingest.frames(f"{tenant}-1") == [0, 1, 2]
    assert sum(a.kind is Up.BIRTH for a in ingest.arrivals) == 2


async def test_a_source_that_can_wait_is_made_to_and_loses_nothing(
    link: BrokerConfig, file: OutboxFile, tenant: str
) -> None:
    settings = {"frames_per_message": 1, "max_unsettled": 10, "patient": True}
    async with running(link, file, tenant, f"{tenant}-1", **settings) as one:
        pushing = asyncio.create_task(push_one_by_one(one, 200))
        await until(lambda: one.agent.counters.unsettled >= 10)
        assert not pushing.done()
        assert one.agent.counters.unsettled <= 11

        async with standing_in(link, tenant) as ingest:
            # What went out before anybody listened goes again at once on a new birth.
            ingest.forgetful = True
            await pushing
            await one.drained()

    assert ingest.frames(f"{tenant}-1") == list(range(200))
    assert one.agent.counters.gaps == 0


async def push_one_by_one(one: Running, count: int) -> None:
    for number in range(count):
        await one.push(number)


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    tmp_path: Path, file: OutboxFile, tenant: str
) -> None:
    with open_data_dir(tmp_path / "var") as home:
        broker = EmbeddedBroker(home, port=free_port())
        link = BrokerConfig(
            port=broker.port, username=broker.services.user, password=broker.services.password
        )
        server = start(broker)
        try:
            async with running(link, file, tenant, f"{tenant}-1", frames_per_message=1) as one:
                await one.push(*range(30))
                await until(lambda: one.agent.counters.messages_sent >= 30)
                os.kill(server.pid, signal.SIGKILL)
                server.stop()
                await one.push(*range(30, 60))

                server = start(broker)
                async with standing_in(link, tenant) as ingest:
                    ingest.forgetful = True
                    await one.drained()
        finally:
            server.stop()

    assert ingest.frames(f"{tenant}-1") == list(range(60))
    assert ingest.conflicts == 0


async def test_an_agent_killed_in_midstream_loses_nothing_it_had_confirmed(
    link: BrokerConfig, tenant: str, tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox.db"
    confirmed = []
    async with standing_in(link, tenant) as ingest:
        for life in range(3):
            ingest.silent = life == 1
            confirmed.append(await live_and_die(link, tenant, outbox, first=life * 100_000))
        ingest.silent = False
        async with (
            open_outbox(outbox, wall_ms) as file,
            running(link, file, tenant, "printer-01") as last,
        ):
            await last.drained()

    boots = [kept for (_, _), kept in ingest.kept.items()]
    assert len(boots) == 3
    for life, kept in enumerate(boots):
        assert sorted(kept) == list(range(len(kept)))
        first = life * 100_000
        assert set(range(first, confirmed[life] + 1)) <= set(ingest.frames("printer-01"))
    assert ingest.conflicts == 0
    assert introductions_precede(ingest.arrivals)


async def live_and_die(link: BrokerConfig, tenant: str, outbox: Path, *, first: int) -> int:
    """Run an agent in a process of its own, kill it in midstream; give its last confirmation."""
    arguments = (str(outbox), link.host, str(link.port), link.username, link.password, tenant)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        *map(str, arguments),
        str(first),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    confirmations = [int(await child.stdout.readline()) for _ in range(10)]
    child.kill()
    rest = await child.stdout.read()
    await child.wait()
    return [*confirmations, *map(int, rest.split())][-1]


def introductions_precede(arrivals: list[Arrival]) -> bool:
    known: set[str] = set()
    for arrival in arrivals:
        if arrival.kind is Up.BIRTH:
            known.add(arrival.boot)
        elif arrival.seq >= 0 and arrival.boot not in known:
            return False
    return True
