"""What only Marlin can do, and the emulator before programs that others wrote."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.site import Site
from edge_agent.source import Frame, Happening
from edge_agent.sources.marlin.peer import KIND, MarlinConfig
from foremend.errors import Unavailable
from foremend.values import SOURCE_BACK as BACK
from foremend.values import SOURCE_LOST as LOST
from foremend.values import Phase
from simulators.emulators.marlin import ERRORS
from simulators.emulators.printer import Setting
from stack.drill.parts import wait
from tests.peers import marlin, marlin_octoprint, octoprint
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge_agent.live.source import LiveSource
    from edge_agent.source import Item
    from stack.drill.octoprint import OctoPrint
    from tests.peers.marlin import MarlinStage

PATIENCE_S = 30.0
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def reading(source: LiveSource) -> AsyncIterator[Callable]:
    """Read a source, and wait for what it is to say."""
    items: list[Item] = []
    looked_at = 0
    more = asyncio.Event()

    async def read() -> None:
        async for item in source.read():
            items.append(item)
            more.set()

    async def until(seen: Callable[[Item], bool]) -> Item:
        nonlocal looked_at
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while looked_at == len(items):
                    more.clear()
                    await more.wait()
                looked_at += 1
                if seen(items[looked_at - 1]):
                    return items[looked_at - 1]

    task = asyncio.create_task(read())
    try:
        yield until
    finally:
        await source.close()
        await task


def stands_in(phase: Phase) -> Callable[[Item], bool]:
    return lambda item: isinstance(item, Frame) and item.phase == phase


def happens(code: str) -> Callable[[Item], bool]:
    return lambda item: isinstance(item, Happening) and item.code == code


async def test_a_pulled_cable_is_told_once_and_leaves_no_task_that_failed(tmp_path: Path) -> None:
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: failed.append(told))
    async with marlin.stage(tmp_path) as stage, reading(stage.source) as until:
        await until(lambda item: isinstance(item, Frame))
        await stage.unplug()
        await until(happens(LOST))
        await stage.plug()
        await until(happens(BACK))
    # A task that failed unseen is told of once it is collected.
    gc.collect()
    await asyncio.sleep(0)

    assert failed == []


async def test_a_print_from_the_card_is_paused_resumed_and_cancelled_on_command(
    tmp_path: Path,
) -> None:
    jobs = Setting(at_once=True, step_s=5.0)
    async with marlin.stage(tmp_path, jobs) as stage, reading(stage.source) as until:
        while stage.printer.phase is not Phase.RUNNING:
            stage.printer.step()
        await until(stands_in(Phase.RUNNING))
        for kind, phase in (
            ("pause", Phase.PAUSED),
            ("resume", Phase.RUNNING),
            ("cancel", Phase.COOLING),
        ):
            await stage.source.run(kind, {})
            await until(stands_in(phase))
        assert stage.printer.values["hotend_target"] == 0.0
        found = await stage.source.run("diagnostics", {})
        assert "Simulated printer" in str(found["firmware"])
        assert str(found["temperatures"]).startswith("ok T:")


async def test_a_halted_printer_stands_in_error_and_is_not_asked_for_ever(tmp_path: Path) -> None:
    async with marlin.stage(tmp_path) as stage, reading(stage.source) as until:
        await until(stands_in(Phase.IDLE))
        stage.fail("thermal_runaway")
        told = await until(happens("thermal_runaway"))
        assert told.details == {"text": ERRORS["thermal_runaway"]}
        await until(stands_in(Phase.ERROR))
        await until(happens(LOST))


async def test_what_is_not_connected_cannot_be_commanded(tmp_path: Path) -> None:
    config = MarlinConfig(port=str(tmp_path / "nowhere"))
    source = KIND.make(config, Site(device="nowhere", folder=tmp_path))
    with pytest.raises(CommandFailed, match="not connected"):
        await source.run("pause", {})


async def test_a_port_that_somebody_holds_is_not_shared(tmp_path: Path) -> None:
    async with marlin.stage(tmp_path) as stage, reading(stage.source) as until:
        await until(stands_in(Phase.IDLE))
        config = MarlinConfig(port=str(stage.terminal.link), every_s=0.05)
        other = KIND.make(config, Site(device="other", folder=tmp_path))
        words = other.read()
        lost = await anext(words)
        await words.aclose()
        assert isinstance(lost, Happening)
        assert "exclusively lock" in str(lost.details["reason"])


async def test_the_emulator_runs_as_a_program_and_its_printer_prints(tmp_path: Path) -> None:
    link = tmp_path / "port"
    argv = ("-m", "stack", "emulate", "marlin", "--link", str(link), "--seed", "31")
    program = await asyncio.create_subprocess_exec(
        sys.executable, *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    try:
        assert str(link).encode() in await program.stdout.readline()
        config = MarlinConfig(port=str(link), every_s=0.1)
        source = KIND.make(config, Site(device="emulated", folder=tmp_path))
        async with reading(source) as until:
            names = [channel.name for channel in source.describe().channels]
            place = names.index("hotend_target")
            frame = await until(
                lambda item: isinstance(item, Frame) and (item.values[place] or 0) > 150
            )
            assert frame.phase in {Phase.HEATING, Phase.RUNNING}
    finally:
        program.terminate()
        await program.wait()


async def test_a_real_octoprint_takes_the_emulator_for_a_printer(tmp_path: Path) -> None:
    try:
        server = octoprint.server()
    except Absent as absent:
        pytest.skip(str(absent))
    async with marlin.stage(tmp_path) as stage:
        await asyncio.to_thread(_connect, server, stage)
        try:
            # A short print: numbered lines with checksums, each answered.
            await asyncio.to_thread(server.print_file, "G28\nG1 X10 F600\nG4 P100\nM114\n" * 5)
            done = lambda: server.ask("/api/job")["progress"]["completion"] == 100.0  # noqa: E731
            assert await asyncio.to_thread(wait, done, PATIENCE_S)
            assert stage.terminal.marlin.numbered >= 15
        finally:
            server.tell("/api/connection", {"command": "disconnect"})
            server.tell("/api/connection", {"command": "connect", "port": "VIRTUAL"})


def _connect(server: OctoPrint, stage: MarlinStage) -> None:
    port = str(stage.terminal.link)
    server.tell("/api/settings", {"serial": {"additionalPorts": [port]}})
    server.tell("/api/connection", {"command": "disconnect"})
    assert wait(lambda: server.state() == "Closed", PATIENCE_S)
    server.tell("/api/connection", {"command": "connect", "port": port, "baudrate": 115200})

    def reads() -> bool:
        try:
            heaters = server.ask("/api/printer")["temperature"]
        except Unavailable:
            return False
        actual = {name: heaters[name]["actual"] for name in ("tool0", "bed") if name in heaters}
        shown = {"tool0": stage.shows["hotend_temp"], "bed": stage.shows["bed_temp"]}
        return actual == pytest.approx(shown, abs=stage.tolerance)

    assert wait(reads, PATIENCE_S)


async def test_a_self_test_heats_a_printer_that_others_wrote_and_leaves_it_off(
    tmp_path: Path,
) -> None:
    try:
        marlin_octoprint.printer()
    except Absent as absent:
        pytest.skip(str(absent))
    async with marlin_octoprint.stage(tmp_path) as stage:
        stage.shows |= {"hotend_target": 0.0, "bed_target": 0.0}
        stage.heat()
        async with reading(stage.source) as until:
            await until(stands_in(Phase.IDLE))
            found = await stage.source.run("self_test", {})
            assert found["heater_verdict"] == "measured"
            assert found["fan_verdict"] == "no_tachometer"
            assert found["belt_y_verdict"] == "not_possible"
            names = [channel.name for channel in stage.source.describe().channels]
            place = names.index("hotend_target")
            await until(lambda item: isinstance(item, Frame) and item.values[place] == 0)


# Four simulated seconds a second: a heater has its time, and the test need not.
IDLE = Setting(jobs=False, step_s=1.0)


async def test_a_self_test_measures_the_heater_and_reads_its_fan(tmp_path: Path) -> None:
    async with (
        marlin.stage(tmp_path, IDLE, steps_per_tick=1) as stage,
        reading(stage.source) as until,
    ):
        await until(stands_in(Phase.IDLE))
        found = await stage.source.run("self_test", {"tests": "heater"})
        assert found["heater_verdict"] == "measured"
        assert found["heater_power"] > 0.9
        assert found["hotend_fan_rpm"] > 1000
        assert stage.printer.values["hotend_target"] == 0


async def test_a_self_test_of_a_failed_heater_ends_with_what_the_firmware_says(
    tmp_path: Path,
) -> None:
    failed = replace(IDLE, faults=("hotend_heater",), hours_to_failure=0.0001)
    async with (
        marlin.stage(tmp_path, failed, steps_per_tick=1) as stage,
        reading(stage.source) as until,
    ):
        await until(stands_in(Phase.IDLE))
        with pytest.raises(CommandFailed, match="stands in error; heaters may be on"):
            await stage.source.run("self_test", {"tests": "heater"})
        told = await until(happens("heater_not_heating"))
        assert told.component == "hotend_heater"
