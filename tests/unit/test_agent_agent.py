"""The whole agent over an outbox and a link in memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig
from edge_agent.link import Heard, MemoryConnector
from edge_agent.outbox.group import Grouping, OutboxFile, serving
from edge_agent.outbox.store import MemoryStore
from edge_agent.source import Description, Frame, PushSource, ScriptedSource
from foremend import wire
from foremend.clock import ManualClock
from foremend.wire import Ack, Channel, Down, Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CHANNELS = (Channel(name="a", unit="1"),)
CLOCK = ManualClock(5_000)


@pytest.fixture
async def file() -> AsyncIterator[OutboxFile]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        async with serving(
            MemoryStore(), executor=executor, grouping=Grouping(within_s=0.001)
        ) as file:
            yield file


class Life:
    def __init__(self, file: OutboxFile, *, patient: bool = False, **settings: int) -> None:
        description = Description(channels=CHANNELS, family="f", model="m", patient=patient)
        config = AgentConfig(
            tenant="t", device="d1", frames_per_message=1, timeline="sim:s", **settings
        )
        self.address = config.address
        self.source = PushSource(description)
        self.connector = MemoryConnector()
        self.agent = Agent(config, self.source, file.device("d1"), CLOCK, connector=self.connector)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.agent.run(self.stop))

    async def push(self, *instants: int) -> None:
        await self.source.push(*(Frame(ts_ms=ts, values=(0.0,)) for ts in instants))

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(10):
            await self.task

    def acknowledge(self, upto: int) -> None:
        ack = wire.encode(Ack(boot=self.agent.session.boot, upto=upto))
        self.connector.links[-1].tell(Heard(topic=self.address.down(Down.ACK), payload=ack))

    async def sent(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.agent.counters.messages_sent < count:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)


async def test_drained_waits_for_our_acknowledgement_and_counters_tell_the_story(
    file: OutboxFile,
) -> None:
    life = Life(file)
    await life.push(1, 2, 3)
    await life.source.stored()
    draining = asyncio.create_task(life.agent.drained())
    await life.sent(3)
    assert not draining.done()

    life.acknowledge(2)
    async with asyncio.timeout(10):
        await draining

    counters = life.agent.counters
    assert (counters.frames_sent, counters.frames_acked, counters.messages_sent) == (3, 3, 3)
    assert (counters.resent, counters.gaps, counters.unsettled) == (0, 0, 0)
    await life.end()


async def test_the_birth_carries_the_timeline_and_its_clock(file: OutboxFile) -> None:
    life = Life(file)
    await life.source.stored()
    await life.push(1)
    await life.sent(1)
    await life.end()

    [birth] = [
        wire.decode_up(Up.BIRTH, said.payload)
        for said in life.connector.links[0].said
        if said.topic == life.address.up(Up.BIRTH)
    ]
    assert isinstance(birth, wire.Birth)
    assert (birth.timeline, birth.boot_ms) == ("sim:s", 5_000)


async def test_told_to_stop_it_takes_in_what_was_pushed_and_does_not_wait_for_ingest(
    file: OutboxFile,
) -> None:
    life = Life(file, patient=True, max_unsettled=2)
    for instant in range(10):
        await life.push(instant)
    await life.sent(2)
    assert life.agent.counters.unsettled == 2

    await life.end()

    assert life.agent.counters.frames_sent == 10
    assert life.agent.counters.unsettled == 10


async def test_a_broken_source_stops_the_agent_loudly(file: OutboxFile) -> None:
    def readings() -> Iterator[Frame]:
        yield Frame(ts_ms=0, values=(0.0,))
        raise OSError("the sensor is gone")

    description = Description(channels=CHANNELS, family="f", model="m")
    config = AgentConfig(tenant="t", device="d1")
    source = ScriptedSource(description, readings())
    agent = Agent(config, source, file.device("d1"), CLOCK, connector=MemoryConnector())

    with pytest.raises(ExceptionGroup) as failure:
        await agent.run(asyncio.Event())

    assert failure.group_contains(OSError, match="the sensor is gone")
