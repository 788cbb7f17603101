"""What only OctoPrint can do, asked of a real one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent import bench
from edge_agent.config import BrokerConfig
from edge_agent.downlink.kinds import CommandFailed
from edge_agent.site import Site
from edge_agent.source import Frame, Happening
from edge_agent.sources.octoprint.peer import KIND, VERSION, OctoPrintConfig
from foremend.values import SOURCE_LOST as LOST
from foremend.values import Phase
from tests.peers import octoprint
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.source import Item
    from tests.conftest import BrokerAddress
    from tests.peers.octoprint import OctoPrintStage

PATIENCE_S = 30.0
MOST_MB = 64
GCODE = "M140 S0\nM104 S0\nM83\n" + "G1 X10 E0.1 F600\nG4 P200\n" * 400


class Reader:
    """Reads the stage's source, and waits for what is to come."""

    def __init__(self, stage: OctoPrintStage) -> None:
        self.stage = stage
        self.items: list[Item] = []
        self._more = asyncio.Event()

    async def read(self) -> None:
        async for item in self.stage.source.read():
            self.items.append(item)
            self._more.set()

    async def until(self, seen: Callable[[Item], bool], since: int = 0) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not any(seen(item) for item in self.items[since:]):
                self._more.clear()
                await self._more.wait()

    async def happens(self, code: str) -> None:
        await self.until(lambda item: isinstance(item, Happening) and item.code == code)

    async def shows(self, channel: str, value: float) -> None:
        names = [each.name for each in self.stage.source.describe().channels]
        at, since = names.index(channel), len(self.items)
        await self.until(lambda item: isinstance(item, Frame) and item.values[at] == value, since)

    async def stands_in(self, phase: Phase) -> None:
        since = len(self.items)
        await self.until(lambda item: isinstance(item, Frame) and item.phase == phase, since)


@pytest.fixture
def open_reader(tmp_path: Path) -> Callable:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Reader]:
        try:
            octoprint.server()
        except Absent as absent:
            pytest.skip(str(absent))
        async with octoprint.stage(tmp_path) as stage:
            reader = Reader(stage)
            reading = asyncio.create_task(reader.read())
            yield reader
            await stage.source.close()
            await reading

    return opened


async def test_a_print_is_paused_resumed_and_cancelled_on_command(open_reader) -> None:
    async with open_reader() as reader:
        source = reader.stage.source
        await reader.stands_in(Phase.IDLE)
        await reader.happens(VERSION)
        reader.stage.octoprint.print_file(GCODE)
        await reader.stands_in(Phase.RUNNING)
        await source.run("pause", {})
        await reader.stands_in(Phase.PAUSED)
        await reader.happens("job_paused")
        assert Phase.PAUSED in source.kinds["resume"]
        assert Phase.PAUSED not in source.kinds["pause"]
        await source.run("resume", {})
        await reader.stands_in(Phase.RUNNING)
        await reader.happens("job_resumed")
        found = await source.run("diagnostics", {})
        assert (found["version"], found["port"]) == ("1.11.8", "VIRTUAL")
        await source.run("cancel", {})
        await reader.happens("job_cancelled")
        await reader.stands_in(Phase.IDLE)
        codes = [item.code for item in reader.items if isinstance(item, Happening)]
        jobs = [code for code in codes if code.startswith("job_")]
        assert jobs == ["job_started", "job_paused", "job_resumed", "job_cancelled"]


async def test_a_self_test_measures_the_heater_and_leaves_it_off(open_reader) -> None:
    async with open_reader() as reader:
        await reader.stands_in(Phase.IDLE)
        found = await reader.stage.source.run("self_test", {})
        assert found["fan_verdict"] == "no_tachometer"
        assert found["belt_x_verdict"] == "not_possible"
        assert found["heater_verdict"] == "measured"
        assert found["heater_target_c"] == pytest.approx(found["heater_start_c"] + 40, abs=0.1)
        assert found["heater_gain_k_s"] > 0.5
        await reader.shows("hotend_target", 0.0)
        assert reader.stage.octoprint.target() == 0


async def test_a_self_test_that_loses_octoprint_has_it_switched_off_once_it_is_back(
    open_reader,
) -> None:
    async with open_reader() as reader:
        await reader.stands_in(Phase.IDLE)
        testing = asyncio.create_task(reader.stage.source.run("self_test", {"tests": "heater"}))
        await reader.stands_in(Phase.HEATING)
        await reader.stage.unplug()
        with pytest.raises(CommandFailed, match="heaters may be on"):
            await testing
        assert reader.stage.octoprint.target() > 0
        await reader.stage.plug()
        await reader.shows("hotend_target", 0.0)


async def test_a_print_that_begins_in_a_self_test_ends_it_and_keeps_its_heat(open_reader) -> None:
    async with open_reader() as reader:
        await reader.stands_in(Phase.IDLE)
        testing = asyncio.create_task(reader.stage.source.run("self_test", {"tests": "heater"}))
        await reader.stands_in(Phase.HEATING)
        reader.stage.octoprint.print_file(GCODE.replace("M104 S0", "M104 S75"))
        with pytest.raises(CommandFailed, match="at work"):
            await testing
        await reader.shows("hotend_target", 75.0)
        await reader.stage.source.run("cancel", {})
        await reader.shows("hotend_target", 0.0)


async def test_an_error_of_the_firmware_is_told_and_what_it_ends_is_not_known(open_reader) -> None:
    async with open_reader() as reader:
        await reader.stands_in(Phase.IDLE)
        server = reader.stage.octoprint
        server.gcode("!!DEBUG:trigger_fatal_error_marlin")
        await reader.happens("thermal_runaway")
        await reader.until(lambda item: isinstance(item, Frame) and item.phase == Phase.ERROR)
        (last,) = (i for i in reader.items if isinstance(i, Frame) and i.phase == Phase.ERROR)
        assert set(last.values[:7]) == {None}
        server.connect()
        await reader.stands_in(Phase.IDLE)


async def test_a_key_that_is_refused_is_named_as_the_reason(open_reader, tmp_path: Path) -> None:
    async with open_reader() as reader:
        await reader.stands_in(Phase.IDLE)
        config = OctoPrintConfig(url=reader.stage.octoprint.url, api_key="nobody's", every_s=0.05)
        stranger = KIND.make(config, Site(device="stranger", folder=tmp_path))
        reading = stranger.read()
        lost = await anext(reading)
        await reading.aclose()
        assert lost.code == LOST
        assert "refuses the key of source.api_key" in lost.details["reason"]


async def test_an_agent_that_reads_an_octoprint_stays_small(
    broker: BrokerAddress, tmp_path: Path
) -> None:
    try:
        server = octoprint.server()
    except Absent as absent:
        pytest.skip(str(absent))
    login = BrokerConfig(port=broker.port, username=broker.user, password=broker.password)
    told = f'kind = "octoprint"\nurl = "{server.url}"\napi_key = "{octoprint.API_KEY}"\n'
    async with (
        bench.far_side(login) as side,
        bench.agent_process(login, tmp_path, "octo", source=told) as child,
        asyncio.timeout(PATIENCE_S),
    ):
        while len(side.arrivals["octo"]) < 2:  # noqa: ASYNC110 - beyond the broker
            await asyncio.sleep(0.05)
        assert 5 < bench.peak_mb(child.pid) <= MOST_MB
