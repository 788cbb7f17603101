"""Agents that start before their clock can be trusted, over an outbox on disk."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig
from edge_agent.link import MemoryConnector
from edge_agent.outbox.group import Grouping, open_outbox
from edge_agent.source import Description, Frame, PushSource
from edge_agent.timebase import ToldTrust
from edge_agent.timekeeper import Timekeeper
from foremend import wire
from foremend.values import Quality
from foremend.wire import Channel, Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

UTC_MS = 1_800_000_000_000
CHANNELS = (Channel(name="a", unit="1"),)


class Board:
    """A small board: its wall clock begins in 1970, its own counts from its start."""

    def __init__(self, path: Path, *, start: str = "start-1") -> None:
        self.path, self.start = path, start
        self.wall_ms, self.mono_ms = 40_000, 10_000
        self.trust = ToldTrust(trusted=False)

    def pass_(self, ms: int) -> None:
        self.wall_ms += ms
        self.mono_ms += ms

    def learn(self, utc_ms: int) -> None:
        self.wall_ms, self.trust.trusted = utc_ms, True

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[tuple[Agent, PushSource, MemoryConnector]]:
        source = PushSource(Description(channels=CHANNELS, family="f", model="m"))
        config = AgentConfig(tenant="t", device="d", frames_per_message=1)
        connector, stop = MemoryConnector(), asyncio.Event()
        async with open_outbox(
            self.path, lambda: self.wall_ms, grouping=Grouping(within_s=0.001)
        ) as file:
            clocks = Timekeeper(
                lambda: self.wall_ms, lambda: self.mono_ms, self.trust, name=self.start
            )
            agent = Agent(
                config,
                source,
                file.device("d"),
                lambda: self.wall_ms,
                connector=connector,
                time=clocks,
            )
            task = asyncio.create_task(agent.run(stop))
            yield agent, source, connector
            stop.set()
            await task

    async def read(self, source: PushSource, value: float) -> None:
        await source.push(Frame(ts_ms=self.wall_ms, values=(value,)))
        await source.stored()


def said(connector: MemoryConnector, kind: Up) -> list[wire.UpMessage]:
    messages = [m for link in connector.links for m in link.said]
    return [wire.decode_up(kind, m.payload) for m in messages if m.topic.endswith(kind.value)]


def readings(connector: MemoryConnector) -> list[tuple[float | None, int, int]]:
    """Each value with its instant, as far as UTC_MS it is, and its quality."""
    found = [m for m in said(connector, Up.DATA) if isinstance(m, wire.Data)]
    return [(m.frames.values[0][0], m.frames.t0_ms - UTC_MS, m.frames.quality[0]) for m in found]


def births(connector: MemoryConnector) -> list[tuple[str, int]]:
    found = [m for m in said(connector, Up.BIRTH) if isinstance(m, wire.Birth)]
    return [(m.clock, m.boot_ms) for m in found]


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not ready():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "o.db"


async def test_what_was_read_too_early_is_sent_with_its_date_once_that_is_known(
    path: Path,
) -> None:
    board = Board(path)
    async with board.agent() as (agent, source, connector):
        await board.read(source, 1.0)
        board.pass_(5_000)
        await board.read(source, 2.0)
        await until(lambda: bool(births(connector)))
        assert readings(connector) == []
        assert agent.session.clock == "held"

        board.pass_(5_000)
        board.learn(UTC_MS)
        await board.read(source, 3.0)
        await until(lambda: len(readings(connector)) == 3)

    good = Quality.GOOD
    assert readings(connector) == [(1.0, -10_000, good), (2.0, -5_000, good), (3.0, 0, good)]
    assert births(connector) == [("held", 0), ("trusted", UTC_MS - 10_000)]


async def test_although_nothing_more_is_read_the_clock_is_watched(path: Path) -> None:
    board = Board(path)
    async with board.agent() as (_, source, connector):
        await board.read(source, 1.0)
        board.learn(UTC_MS)
        await until(lambda: len(readings(connector)) == 1)

    assert readings(connector) == [(1.0, 0, Quality.GOOD)]


async def test_an_agent_that_ends_before_the_date_is_known_leaves_it_to_the_next(
    path: Path,
) -> None:
    board = Board(path)
    async with board.agent() as (_, source, _):
        await board.read(source, 1.0)
    board.pass_(60_000)
    async with board.agent() as (_, source, _):
        await board.read(source, 2.0)
    board.pass_(60_000)
    board.learn(UTC_MS)

    async with board.agent() as (_, _, connector):
        await until(lambda: len(readings(connector)) == 2)

    good = Quality.GOOD
    assert readings(connector) == [(1.0, -120_000, good), (2.0, -60_000, good)]
    assert births(connector) == [
        ("trusted", UTC_MS - 120_000),
        ("trusted", UTC_MS - 60_000),
        ("trusted", UTC_MS),
    ]


async def test_what_an_earlier_start_of_the_board_read_is_sent_too_and_marked(
    path: Path,
) -> None:
    before = Board(path)
    async with before.agent() as (_, source, _):
        await before.read(source, 1.0)
        before.pass_(3_000)
        await before.read(source, 2.0)
    after = Board(path, start="start-2")
    after.learn(UTC_MS)

    async with after.agent() as (_, source, connector):
        await after.read(source, 3.0)
        await until(lambda: len(readings(connector)) == 3)

    started = -after.mono_ms
    assert sorted(readings(connector)) == [
        (1.0, started - 3_000, Quality.SUSPECT),
        (2.0, started, Quality.SUSPECT),
        (3.0, 0, Quality.GOOD),
    ]
    assert births(connector)[0][0] == "held"
