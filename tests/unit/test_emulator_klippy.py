"""The emulated Klipper: obeys, prints its jobs, and shuts down as its parts fail."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from simulators.emulators.klippy_host import GcodeError, KlippyHost
from simulators.emulators.klippy_socket import KlippySocket
from simulators.emulators.printer import Setting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MINUTE = 60.0


def stepped(host: KlippyHost, steps: int) -> dict[str, dict[str, Any]]:
    for _ in range(steps):
        host.step()
    return host.status()


def test_a_heater_warms_up_to_what_it_is_told_and_cools_down_when_it_is_off() -> None:
    host = KlippyHost(Setting(jobs=False, step_s=1.0))
    host.run("M104 S80 ; warm\nSET_HEATER_TEMPERATURE HEATER=heater_bed TARGET=30")
    warm = stepped(host, 120)
    assert warm["extruder"]["temperature"] == pytest.approx(80, abs=0.5)
    assert 0 < warm["extruder"]["power"] < 0.5
    assert warm["heater_fan hotend_fan"]["rpm"] > 3000
    host.run("TURN_OFF_HEATERS")
    cold = stepped(host, 3600)
    assert cold["extruder"]["target"] == cold["heater_bed"]["target"] == 0
    assert cold["extruder"]["temperature"] < 30


@pytest.mark.parametrize("line", ["M104 S900", "M140 Sx", "SET_HEATER_TEMPERATURE HEATER=moon"])
def test_what_klipper_would_refuse_is_refused(line: str) -> None:
    with pytest.raises(GcodeError):
        KlippyHost(Setting(jobs=False)).run(line)


def test_jobs_come_and_go_and_can_be_paused_and_called_off() -> None:
    host = KlippyHost(Setting(step_s=MINUTE))
    states = [host.status()["print_stats"]["state"]]
    for _ in range(3000):
        states.append(stepped(host, 1)["print_stats"]["state"])
        if states[-1] == "printing" and host.status()["motion_report"]["live_velocity"]:
            break
    assert states[-1] == "printing"
    begun = host.status()["virtual_sdcard"]["progress"]
    assert 0 < begun < stepped(host, 5)["virtual_sdcard"]["progress"] < 1
    host.pause()
    paused = stepped(host, 10)
    assert paused["print_stats"]["state"] == "paused"
    assert paused["motion_report"]["live_velocity"] == 0
    host.resume()
    assert stepped(host, 1)["print_stats"]["state"] == "printing"
    host.cancel()
    off = stepped(host, 1)
    assert off["print_stats"]["state"] == "cancelled"
    assert off["extruder"]["target"] == 0


@pytest.mark.parametrize(
    ("component", "message"),
    [
        ("hotend_heater", "Heater extruder not heating at expected rate"),
        ("hotend_thermistor", "ADC out of range"),
    ],
)
def test_a_part_that_fails_shuts_klipper_down_in_its_own_words(
    component: str, message: str
) -> None:
    host = KlippyHost(Setting(step_s=2 * MINUTE, faults=(component,), hours_to_failure=3.0))
    for _ in range(3000):
        if stepped(host, 1)["webhooks"]["state"] == "shutdown":
            break
    assert message in host.status()["webhooks"]["state_message"]
    before = host.status()["extruder"]
    assert stepped(host, 5)["extruder"] == before
    with pytest.raises(GcodeError):
        host.run("M104 S60")
    host.run("FIRMWARE_RESTART")
    assert host.status()["webhooks"]["state"] == "ready"


def test_a_job_that_begins_at_once_is_told_of_from_the_start() -> None:
    host = KlippyHost(Setting(at_once=True))
    assert host.status()["print_stats"]["state"] == "printing"
    assert stepped(host, 1)["extruder"]["target"] > 150


def test_a_fan_that_has_failed_stands_still_and_klipper_alone_would_not_notice() -> None:
    failed = Setting(jobs=False, step_s=10.0, faults=("hotend_fan",), hours_to_failure=0.01)
    host = KlippyHost(failed)
    host.run("M104 S100")
    warm = stepped(host, 30)
    assert warm["extruder"]["temperature"] == pytest.approx(100, abs=0.5)
    assert warm["heater_fan hotend_fan"] == {"speed": 1.0, "rpm": 0.0}
    assert warm["print_stats"]["state"] == "standby"


def test_a_belt_s_resonance_stands_in_the_file_that_klipper_writes(tmp_path: Path) -> None:
    host = KlippyHost(Setting(jobs=False), folder=tmp_path)
    with pytest.raises(GcodeError):
        host.run("TEST_RESONANCES AXIS=X")
    host.run("G28\nTEST_RESONANCES AXIS=X NAME=check OUTPUT=resonances")
    file = tmp_path / "resonances_x_check.csv"
    assert host.said[-1] == f"// Resonances data written to {file} file"
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    peak = max(rows, key=lambda row: float(row[1]))
    assert float(peak[0]) == pytest.approx(host.printer.values["belt_x_hz"], abs=0.5)


class Client:
    """Speaks the socket's framing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        request = {"id": 1, "method": method, "params": params}
        self.writer.write(json.dumps(request).encode() + b"\x03")
        while "id" not in (message := await self.next()):
            continue
        return message

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return json.loads((await self.reader.readuntil(b"\x03"))[:-1])


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[KlippySocket, KlippyHost, Client]]:
    path = folder / "k.sock"
    host = KlippyHost(Setting(jobs=False), folder=folder)
    async with KlippySocket(host, path, clock=lambda: 12.5) as klippy:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            yield klippy, host, Client(reader, writer)
        finally:
            writer.close()


async def test_only_what_has_changed_is_told_under_the_client_s_own_template(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (klippy, host, client):
        answer = await client.ask(
            "objects/subscribe",
            objects={"extruder": ["target"], "heater_bed": None, "no_such": None},
            response_template={"method": "update"},
        )
        assert answer["result"]["status"]["extruder"] == {"target": 0.0}
        assert answer["result"]["status"]["no_such"] == {}
        host.run("M104 S50")
        klippy.tell()
        assert await client.next() == {
            "method": "update",
            "params": {"eventtime": 12.5, "status": {"extruder": {"target": 50.0}}},
        }


async def test_what_is_unknown_or_no_request_ends_no_connection(tmp_path: Path) -> None:
    async with served(tmp_path) as (_klippy, _host, client):
        client.writer.write(b'not JSON\x03[1]\x03{"id": 5}\x03')
        assert "error" in await client.ask("no/such")
        assert "error" in await client.ask("gcode/script", script="M104 S9000")
        assert (await client.ask("info"))["result"]["state"] == "ready"
        await client.ask("emergency_stop")
        assert (await client.ask("info"))["result"]["state"] == "shutdown"
