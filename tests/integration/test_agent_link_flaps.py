"""An agent behind a link that comes and goes: one session at a time, and the present at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import aiomqtt
import pytest

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.outbox.group import Grouping, open_outbox
from edge_agent.source import Description, Frame, PushSource
from foremend import wire
from foremend.clock import wall_ms
from foremend.wire import Ack, Address, Channel, Down

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import BrokerAddress

PATIENCE_S = 60
CHANNELS = (Channel(name="temperature", unit="Cel"),)


class Link:
    """A TCP proxy before the broker that can be cut, closed, and made to swallow everything."""

    def __init__(self, broker: BrokerAddress) -> None:
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = True
        self.deaf = False
        self.sessions = 0
        self.most_at_once = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(self._broker.host, self._broker.port)
        pair = (writer, far_writer)
        self._pairs.add(pair)
        self.sessions += 1
        self.most_at_once = max(self.most_at_once, len(self._pairs))
        sides = [
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        ]
        self._tasks.update(sides)
        await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        self._pairs.discard(pair)
        for side in sides:
            side.cancel()
        for end in pair:
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.deaf:
                    writer.write(data)
                    await writer.drain()

    def cut(self) -> None:
        for pair in self._pairs:
            for end in pair:
                end.transport.abort()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Ingest:
    """Keeps what comes, and acknowledges it every tenth of a second."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.came: dict[int, float] = {}
        """When each reading came first, by its value."""
        self.copies = 0
        self.statuses: list[str] = []
        self._seen: dict[tuple[Address, str], set[int]] = defaultdict(set)

    async def listen(self) -> None:
        async for message in self._client.messages:
            address, kind = wire.parse_up(message.topic.value)
            assert isinstance(message.payload, bytes)
            said = wire.decode_up(kind, message.payload)
            if isinstance(said, wire.Status):
                self.statuses.append(said.state)
            if isinstance(said, wire.Data):
                self._seen[address, said.boot].add(said.seq)
                for value in said.frames.values[0]:
                    assert value is not None
                    self.copies += int(value) in self.came
                    self.came.setdefault(int(value), time.monotonic())

    async def acknowledge(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            seen, self._seen = self._seen, defaultdict(set)
            for (address, boot), seqs in seen.items():
                ack = Ack(boot=boot, ranges=tuple((seq, seq) for seq in sorted(seqs)))
                await self._client.publish(address.down(Down.ACK), wire.encode(ack))


@asynccontextmanager
async def ingest_at(broker: BrokerAddress, tenant: str) -> AsyncIterator[Ingest]:
    async with aiomqtt.Client(
        broker.host, broker.port, username=broker.user, password=broker.password
    ) as client:
        client.pending_calls_threshold = 1024
        await client.subscribe(f"fm/1/+/{tenant}/+/up/+", qos=1)
        ingest = Ingest(client)
        tasks = [asyncio.create_task(ingest.listen()), asyncio.create_task(ingest.acknowledge())]
        try:
            yield ingest
        finally:
            # Up to Python 3.11 `asyncio.wait_for`, inside aiomqtt, may swallow a cancellation.
            while not all(task.done() for task in tasks):
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=0.1)


class Running:
    def __init__(self, agent: Agent, source: PushSource) -> None:
        self.agent = agent
        self.source = source

    async def push(self, *numbers: int) -> None:
        await self.source.push(*(Frame(ts_ms=wall_ms(), values=(float(n),)) for n in numbers))


@asynccontextmanager
async def agent_at(
    link: Link, broker: BrokerAddress, tenant: str, path: Path, **settings: float
) -> AsyncIterator[Running]:
    told = BrokerConfig(
        port=link.port, username=broker.user, password=broker.password, timeout_s=1.0
    )
    config = AgentConfig(tenant=tenant, device=f"{tenant}-1", broker=told, **settings)  # type: ignore[arg-type]
    source = PushSource(Description(channels=CHANNELS, family="f", model="m"))
    stop = asyncio.Event()
    async with open_outbox(path, wall_ms, grouping=Grouping(within_s=0.01)) as file:
        agent = Agent(config, source, file.device(config.device), wall_ms)
        task = asyncio.create_task(agent.run(stop))
        try:
            yield Running(agent, source)
        finally:
            stop.set()
            await task


@pytest.fixture
async def link(broker: BrokerAddress) -> AsyncIterator[Link]:
    link = Link(broker)
    await link.start()
    yield link
    await link.stop()


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex[:12]}"


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not ready():  # noqa: ASYNC110 - what is waited for happens beyond the broker
            await asyncio.sleep(0.005)


async def test_however_the_link_flaps_there_is_one_session_and_nothing_is_lost(
    broker: BrokerAddress, link: Link, tenant: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    async with (
        ingest_at(broker, tenant) as ingest,
        agent_at(link, broker, tenant, tmp_path / "o.db", frames_per_message=1) as one,
    ):
        for flap in range(5):
            await until(lambda number=flap: link.sessions > number)
            await one.push(*range(20 * flap, 20 * flap + 20))
            await asyncio.sleep(chance.uniform(0, 0.3))
            link.cut()
        await one.source.stored()
        async with asyncio.timeout(PATIENCE_S):
            await one.agent.drained()

    assert sorted(ingest.came) == list(range(100))
    assert link.most_at_once == 1
    assert link.sessions >= 5


async def test_a_link_that_swallows_everything_is_given_up_and_the_next_session_takes_over(
    broker: BrokerAddress, link: Link, tenant: str, tmp_path: Path
) -> None:
    async with (
        ingest_at(broker, tenant) as ingest,
        agent_at(link, broker, tenant, tmp_path / "o.db", frames_per_message=1) as one,
    ):
        await one.push(0)
        await until(lambda: 0 in ingest.came)
        link.deaf = True
        await one.push(1)
        await one.source.stored()
        await until(lambda: link.sessions > 1)
        link.deaf = False
        async with asyncio.timeout(PATIENCE_S):
            await one.agent.drained()

    assert sorted(ingest.came) == [0, 1]
    # The broker found out by the takeover alone: what the agent says last is what stands.
    assert ingest.statuses[-2:] == ["online", "offline"]


async def test_new_readings_come_at_once_while_a_backlog_drains(
    broker: BrokerAddress, link: Link, tenant: str, tmp_path: Path
) -> None:
    backlog, live_s = 1500, 0.05
    link.open = False
    async with (
        ingest_at(broker, tenant) as ingest,
        agent_at(link, broker, tenant, tmp_path / "o.db", frames_per_message=1) as one,
    ):
        for first in range(0, backlog, 100):
            await one.push(*range(first, first + 100))
        await one.source.stored()
        link.open = True
        pushed: dict[int, float] = {}
        while len(ingest.came) < backlog + len(pushed) // 2:
            number = backlog + len(pushed)
            pushed[number] = time.monotonic()
            await one.push(number)
            await asyncio.sleep(live_s)
            assert len(pushed) * live_s < PATIENCE_S
        async with asyncio.timeout(PATIENCE_S):
            await one.agent.drained()

    back = min(ingest.came.values())
    first_fresh = min(ingest.came[number] for number in pushed)
    drained = max(ingest.came[number] for number in range(backlog))
    waits = [ingest.came[n] - when for n, when in pushed.items() if when > back]
    assert sum(ingest.came[number] < drained for number in pushed) > 5
    assert first_fresh - back < 5
    assert max(waits) < 5
    assert backlog / (drained - back) > 5 / live_s
    assert ingest.copies == 0
