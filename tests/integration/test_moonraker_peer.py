"""What a real Moonraker passes on of a Klipper that fails, restarts, or lets not everybody in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.source import Frame, Happening
from foremend.values import Phase
from simulators.emulators.printer import Setting
from tests.peers.moonraker import PYTHON, moonraker, source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.live.source import LiveSource
    from edge_agent.source import Item

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no Moonraker is installed: see tests/foreign/moonraker.in"
)


PATIENCE_S = 30.0


class Heard:
    """All that a source has said."""

    def __init__(self, read: LiveSource) -> None:
        self.source, self.items = read, list[Any]()
        self._more = asyncio.Event()
        self.names = [channel.name for channel in read.describe().channels]

    def take(self, item: Item) -> None:
        self.items.append(item)
        self._more.set()

    async def until(self, seen: Callable[[Item], bool], since: int = 0) -> Item:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._more.clear()
                for item in self.items[since:]:
                    if seen(item):
                        return item
                await self._more.wait()

    async def code(self, code: str) -> Happening:
        return await self.until(lambda i: isinstance(i, Happening) and i.code == code)  # type: ignore[return-value]

    def value(self, frame: Frame, name: str) -> float | None:
        return frame.values[self.names.index(name)]


@asynccontextmanager
async def hearing(read: LiveSource) -> AsyncIterator[Heard]:
    heard = Heard(read)

    async def listen() -> None:
        async for item in read.read():
            heard.take(item)

    listening = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        await read.close()
        async with asyncio.timeout(10):
            await listening


async def test_a_shutdown_is_told_with_its_cause_and_no_frozen_value_is_shown(
    tmp_path: Path,
) -> None:
    async with moonraker(Setting(jobs=False)) as server:
        await server.ready()
        async with hearing(source(server.url, tmp_path)) as heard:
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.IDLE)
            server.host.halt("MCU 'mcu' shutdown: ADC out of range\nThis generally occurs\n")
            await heard.code("klippy_shutdown")
            cause = await heard.code("adc_out_of_range")
            assert cause.severity == "critical"
            frame = await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.ERROR)
            assert isinstance(frame, Frame)
            assert heard.value(frame, "hotend_temp") is None
            assert heard.value(frame, "printer_state") == 7
            since = len(heard.items)
            server.host.restart()
            await heard.code("klippy_ready")
            await heard.until(
                lambda i: (
                    i in heard.items[since:]
                    and isinstance(i, Frame)
                    and heard.value(i, "hotend_temp") is not None
                )
            )


@pytest.mark.parametrize("one_shot", [False, True])
async def test_a_key_opens_a_moonraker_that_does_not_trust_us(
    tmp_path: Path, one_shot: bool
) -> None:
    async with moonraker(Setting(jobs=False), trusted="192.0.2.1") as server:
        await server.ready_socket()
        key = tmp_path / "key"
        key.write_text("wrong\n")
        read = source(server.url, tmp_path, api_key_file=str(key), one_shot=one_shot)
        async with hearing(read) as heard:
            lost = await heard.code("source_lost")
            assert "wrong" not in str(lost.details)
            key.write_text(await server.api_key())
            await heard.until(
                lambda i: isinstance(i, Frame) and heard.value(i, "hotend_temp") is not None
            )
