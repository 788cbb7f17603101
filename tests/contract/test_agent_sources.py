"""The contract of live sources, on the fake peer and on each real one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.values import SOURCE_BACK as BACK
from foremend.values import SOURCE_LOST as LOST
from foremend.values import Quality
from tests.peers.stage import Absent, stages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.source import Item
    from tests.peers.stage import Stage

STAGES = stages()


class Audience:
    """Reads a source, and remembers all that it said."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.names = [channel.name for channel in stage.source.describe().channels]
        self.items: list[Item] = []
        self.may_hold: dict[str, list[float]] = {name: [v] for name, v in stage.shows.items()}
        self._more = asyncio.Event()

    async def attend(self) -> None:
        async for item in self.stage.source.read():
            self.items.append(item)
            self._more.set()

    async def show(self) -> None:
        await self.stage.show()
        for name, value in self.stage.shows.items():
            self.may_hold[name].append(value)

    async def until(self, seen: Callable[[list[Item]], bool], since: int = 0) -> None:
        async with asyncio.timeout(self.stage.patience_s):
            while not seen(self.items[since:]):
                self._more.clear()
                await self._more.wait()

    async def shown(self, since: int = 0) -> None:
        """Wait for a frame that holds what the peer shows."""
        await self.until(lambda items: any(self._is_shown(item) for item in items), since)

    def values(self, frame: Frame) -> dict[str, float | None]:
        return dict(zip(self.names, frame.values, strict=True))

    def _is_shown(self, item: Item) -> bool:
        if not isinstance(item, Frame):
            return False
        held = self.values(item)
        return all(self.fits(held[name], [v]) for name, v in self.stage.shows.items())

    def fits(self, value: float | None, allowed: list[float]) -> bool:
        return value is not None and any(abs(value - v) <= self.stage.tolerance for v in allowed)

    def frames(self, since: int = 0) -> list[Frame]:
        return [item for item in self.items[since:] if isinstance(item, Frame)]


@pytest.fixture(params=sorted(STAGES))
def open_stage(request, tmp_path: Path) -> Callable:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Audience]:
        async with AsyncExitStack() as stack:
            try:
                stage = await stack.enter_async_context(STAGES[request.param](tmp_path))
            except Absent as absent:
                pytest.skip(str(absent))
            audience = Audience(stage)
            reading = asyncio.create_task(audience.attend())
            try:
                yield audience
            finally:
                await stage.source.close()
                async with asyncio.timeout(stage.patience_s):
                    await reading

    return opened


def codes(items: list[Item]) -> list[str]:
    return [item.code for item in items if isinstance(item, Happening)]


def codes_at(items: list[Item], code: str) -> int:
    """Give the place of the first happening of this code."""
    return next(i for i, o in enumerate(items) if isinstance(o, Happening) and o.code == code)


async def test_what_the_peer_shows_is_read_and_what_it_shows_next_too(open_stage) -> None:
    async with open_stage() as audience:
        await audience.shown()
        since = len(audience.items)
        await audience.show()
        await audience.shown(since)
        for frame in audience.frames():
            assert len(frame.values) == len(audience.names)


async def test_a_device_can_be_described_before_it_is_there(open_stage) -> None:
    async with open_stage() as audience:
        description = audience.stage.source.describe()
        assert len(set(audience.names)) == len(audience.names)
        assert all(channel.unit for channel in description.channels)
        assert wire.schema_hash(description.channels)
        assert set(audience.stage.shows) <= set(audience.names)


async def test_an_unplugged_device_is_stale_once_and_read_again_when_plugged(open_stage) -> None:
    async with open_stage() as audience:
        await audience.shown()
        since = len(audience.items)
        await audience.stage.unplug()
        await audience.until(lambda items: LOST in codes(items), since)
        await audience.until(lambda items: any(_is_stale(item) for item in items), since)
        lost = len(audience.items)
        await audience.stage.plug()
        await audience.until(lambda items: BACK in codes(items), since)
        await audience.shown(lost)
        stale = [frame for frame in audience.frames(since) if _is_stale(frame)]
        assert len(stale) == 1
        assert set(stale[0].values) == {None}


async def test_a_silent_device_is_given_up_and_its_last_values_are_not_kept_alive(
    open_stage,
) -> None:
    async with open_stage() as audience:
        await audience.shown()
        since = len(audience.items)
        await audience.stage.hush()
        await audience.until(lambda items: LOST in codes(items), since)
        await audience.until(lambda items: any(_is_stale(item) for item in items), since)
        lost = len(audience.items)
        given_up = since + codes_at(audience.items[since:], LOST)
        assert all(map(_is_stale, audience.frames(given_up)))
        await audience.stage.plug()
        await audience.shown(lost)


async def test_what_makes_no_sense_makes_no_value(open_stage) -> None:
    async with open_stage() as audience:
        await audience.shown()
        await audience.stage.babble()
        await audience.show()
        await audience.shown(len(audience.items))
        for frame in audience.frames():
            held = audience.values(frame)
            for name, allowed in audience.may_hold.items():
                assert held[name] is None or audience.fits(held[name], allowed), (name, frame)


def _is_stale(item: Item) -> bool:
    return isinstance(item, Frame) and item.quality == Quality.STALE
