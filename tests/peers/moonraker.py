"""A real Moonraker, standing before an emulated Klippy."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec

from edge_agent.live.source import LiveSource
from edge_agent.selftest.plan import Plan
from edge_agent.site import Site
from edge_agent.sources.moonraker.config import MoonrakerConfig
from edge_agent.sources.moonraker.peer import MoonrakerPeer
from simulators.emulators.klippy_host import KlippyHost
from simulators.emulators.klippy_socket import KlippySocket
from simulators.emulators.printer import Setting
from stack.embedded.ports import LOOPBACK, free_port
from tests.peers.cable import Cable
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PYTHON: Final = Path(sys.prefix) / "foreign-moonraker" / "bin" / "python"
START_S: Final = 60.0
QUICK: Final = Plan(every_s=0.2, fan_s=1.0)
CONFIG: Final = """
[server]
host: 127.0.0.1
port: {port}
klippy_uds_address: {folder}/klippy.sock
[machine]
provider: none
validate_service: False
validate_config: False
[announcements]
dev_mode: True
[authorization]
trusted_clients:
{trusted}
"""
NOISE: Final = (
    b'{"method": "process_status_update", "params": {"eventtime": "then", "status": {}}}\x03'
    b'{"method": "process_status_update", "params": {"eventtime": 1e308, "status": '
    b'{"extruder": {"target": 9}}}}\x03'
    b'{"method": "process_status_update", "params": {"eventtime": 1.5, "status": '
    b'{"extruder": {"target": "hot"}, "heater_bed": {"target": [1]}, "fan": {"speed": null}, '
    b'"print_stats": {"state": {"a": 1}}}}}\x03'
    b'{"method": "process_gcode_response", "params": {"response": "!!"}}\x03'
    b"not JSON\x03"
    b'{"half": \x03'
)
"""Words of Klippy's that Moonraker passes on, and some that it does not."""


class Moonraker:
    """The foreign program, and the emulated Klippy behind it."""

    def __init__(
        self, folder: Path, klippy: KlippySocket, host: KlippyHost, port: int, pid: int
    ) -> None:
        self.folder, self.klippy, self.host, self.port, self.pid = folder, klippy, host, port, pid
        self.url = f"http://{LOOPBACK}:{port}"

    async def ready(self) -> None:
        """Wait until it says that Klippy is ready."""
        async with asyncio.timeout(START_S), httpx.AsyncClient(trust_env=False) as client:
            while True:
                with suppress(httpx.HTTPError):
                    info = (await client.get(f"{self.url}/server/info")).json().get("result", {})
                    if info.get("klippy_state") not in {None, "disconnected", "startup"}:
                        return
                await asyncio.sleep(0.05)

    async def ready_socket(self) -> None:
        """Wait until it listens, trusted or not."""
        async with asyncio.timeout(START_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(LOOPBACK, self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)

    async def api_key(self) -> str:
        """Ask for it where no key is needed: on Moonraker's own socket."""
        path = self.folder / "comms" / "moonraker.sock"
        reader, writer = await asyncio.open_unix_connection(path)
        request = {"jsonrpc": "2.0", "method": "access.get_api_key", "id": 1}
        writer.write(json.dumps(request).encode() + b"\x03")
        try:
            async with asyncio.timeout(START_S):
                while True:
                    told = json.loads((await reader.readuntil(b"\x03"))[:-1])
                    if told.get("id") == 1:
                        return str(told["result"])
        finally:
            writer.close()


@asynccontextmanager
async def moonraker(
    setting: Setting, *, trusted: str = LOOPBACK, steps_per_tick: int = 1
) -> AsyncIterator[Moonraker]:
    """Run both; the folder is a short one, for a socket's path may be no longer than 107 bytes."""
    if not PYTHON.exists():
        raise Absent("no Moonraker is installed: see tests/foreign/moonraker.in")
    folder = Path(tempfile.mkdtemp(prefix="fm-"))
    for name in ("config", "logs", "gcodes", "misc"):
        (folder / name).mkdir()
    # With this file there it does not look for one on the Internet.
    (folder / "misc" / "usb.ids").touch()
    port = free_port()
    text = CONFIG.format(port=port, folder=folder, trusted=f"  {trusted}")
    (folder / "config" / "moonraker.conf").write_text(text)
    host = KlippyHost(setting, folder=folder, sd_path=str(folder / "gcodes"))
    try:
        async with KlippySocket(host, folder / "klippy.sock", clock=monotonic) as klippy:
            ticking = asyncio.create_task(klippy.run(steps_per_tick=steps_per_tick))
            process = await asyncio.create_subprocess_exec(
                PYTHON, "-m", "moonraker", "-d", folder, "-n", cwd=folder,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                yield Moonraker(folder, klippy, host, port, process.pid)
            finally:
                ticking.cancel()
                process.kill()
                await process.wait()
                await asyncio.gather(ticking, return_exceptions=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class MoonrakerStage:
    tolerance = 0.001
    patience_s = 30.0

    def __init__(self, folder: Path, server: Moonraker, cable: Cable) -> None:
        self.server, self.cable = server, cable
        self.shows = {"hotend_target": 0.0, "bed_target": 0.0, "part_fan_cmd": 0.0}
        self.source: LiveSource = source(f"http://{LOOPBACK}:{cable.port}", folder)

    async def show(self) -> None:
        hotend, bed = self.shows["hotend_target"] + 10, self.shows["bed_target"] + 5
        fan = round((self.shows["part_fan_cmd"] + 0.2) % 1, 3)
        # As a person would at the printer's own screen.
        self.server.host.run(f"M104 S{hotend}\nM140 S{bed}\nM106 S{fan * 255}")
        self.shows = {"hotend_target": hotend, "bed_target": bed, "part_fan_cmd": fan}

    async def unplug(self) -> None:
        await self.cable.cut()

    async def plug(self) -> None:
        self.server.klippy.hang(hangs=False)
        await self.cable.mend()

    async def hush(self) -> None:
        self.server.klippy.hang(hangs=True)

    async def babble(self) -> None:
        self.server.klippy.babble(NOISE)


def source(url: str, folder: Path, **more: object) -> LiveSource:
    told: dict[str, Any] = {
        "url": url,
        "every_s": 0.1,
        "silence_s": 2.0,
        "stale_after_s": 1.5,
        "probe_s": 0.5,
        "answer_s": 1.5,
        **more,
    }
    config = msgspec.convert(told, MoonrakerConfig)
    site = Site(device="klipper", folder=folder)
    return LiveSource(MoonrakerPeer(config, site), config, site, plan=QUICK)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[MoonrakerStage]:
    async with moonraker(Setting(jobs=False)) as server:
        await server.ready()
        async with Cable(LOOPBACK, server.port) as cable:
            yield MoonrakerStage(folder, server, cable)
