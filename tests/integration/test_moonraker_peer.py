"""What a real Moonraker passes on of a Klipper that fails, restarts, or lets not everybody in."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.source import Frame, Happening
from foremend.values import Phase
from simulators.emulators.printer import Setting
from stack.embedded.ports import LOOPBACK
from tests.peers.cable import Cable
from tests.peers.moonraker import PYTHON, moonraker, source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.live.source import LiveSource
    from edge_agent.source import Item
    from tests.peers.moonraker import Moonraker

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
            cause = await heard.code("thermistor_out_of_range")
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


@asynccontextmanager
async def idle_printer(tmp_path: Path, setting: Setting) -> AsyncIterator[tuple[Moonraker, Heard]]:
    # Eight simulated seconds a second: a heater has its time, and the test need not.
    async with moonraker(replace(setting, step_s=2.0)) as server:
        await server.ready()
        server.host.run("G28")
        async with hearing(source(server.url, tmp_path)) as heard:
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.IDLE)
            yield server, heard


async def test_a_self_test_measures_fan_belts_and_heater_and_leaves_all_off(
    tmp_path: Path,
) -> None:
    async with idle_printer(tmp_path, Setting(jobs=False)) as (server, heard):
        found = await heard.source.run("self_test", {"tests": "fan,belt,heater"})
        assert found["hotend_fan_rpm"] > 0
        assert found["fan_verdict"] == found["heater_verdict"] == "measured"
        assert found["heater_target_c"] <= 100
        assert found["belt_x_peak_hz"] == pytest.approx(
            server.host.printer.values["belt_x_hz"], abs=0.5
        )
        status = server.host.status()
        assert status["extruder"]["target"] == status["fan"]["speed"] == 0
        since = len(heard.items)
        frame = await heard.until(lambda i: isinstance(i, Frame), since)
        assert isinstance(frame, Frame)
        assert heard.value(frame, "belt_x_hz") == found["belt_x_peak_hz"]
        assert heard.value(frame, "belt_x_damping") == found["belt_x_damping"]
        assert not (tmp_path / "klipper.heaters").exists()


async def test_a_self_test_that_loses_its_printer_has_it_switched_off_once_it_is_back(
    tmp_path: Path,
) -> None:
    async with moonraker(Setting(jobs=False)) as server:
        await server.ready()
        async with (
            Cable(LOOPBACK, server.port) as cable,
            hearing(source(f"http://{LOOPBACK}:{cable.port}", tmp_path)) as heard,
        ):
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.IDLE)
            testing = asyncio.create_task(heard.source.run("self_test", {"tests": "heater"}))
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.HEATING)
            await cable.cut()
            with pytest.raises(CommandFailed, match="heaters may be on"):
                await testing
            assert server.host.status()["extruder"]["target"] > 0
            since = len(heard.items)
            await cable.mend()
            await heard.until(
                lambda i: isinstance(i, Frame) and heard.value(i, "hotend_target") == 0, since
            )
            assert server.host.status()["extruder"]["target"] == 0


async def test_jobs_are_paused_resumed_and_called_off_and_say_how_they_stand(
    tmp_path: Path,
) -> None:
    # Its time stands still but for the steps that the test makes.
    async with moonraker(Setting(step_s=120.0), steps_per_tick=0) as server:
        await server.ready()
        async with hearing(source(server.url, tmp_path)) as heard:
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.IDLE)
            while server.host.printer.phase is not Phase.RUNNING:
                server.host.step()
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.RUNNING)
            await heard.code("job_started")
            run = heard.source.run
            assert await run("pause", {}) == {"state": "paused"}
            assert await run("resume", {}) == {"state": "printing"}
            with pytest.raises(CommandFailed):
                await run("resume", {})
            told = await run("diagnostics", {})
            assert told["klippy_state"] == "ready"
            assert told["print_stats.state"] == "printing"
            assert told["moonraker"] == "0.11.0"
            assert await run("cancel", {}) == {"state": "cancelled"}
            assert server.host.status()["extruder"]["target"] == 0
            await heard.code("job_ended")
            with pytest.raises(CommandFailed, match="of fan, belt and heater"):
                await run("self_test", {"tests": "moon"})


async def test_a_moonraker_that_stands_still_is_given_up_and_found_again(tmp_path: Path) -> None:
    async with moonraker(Setting(jobs=False)) as server:
        await server.ready()
        async with hearing(source(server.url, tmp_path)) as heard:
            await heard.until(lambda i: isinstance(i, Frame) and i.phase == Phase.IDLE)
            os.kill(server.pid, signal.SIGSTOP)
            await heard.code("source_lost")
            os.kill(server.pid, signal.SIGCONT)
            await heard.code("source_back")
