"""OctoPrint's virtual printer at a pseudo-terminal: a Marlin that others wrote."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_agent.site import Site
from edge_agent.sources.marlin import KIND, MarlinConfig
from stack.drill.ground import NotHere
from stack.drill.octoprint import find
from tests.peers.marlin import NOISE
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.live.source import LiveSource

PROGRAM: Final = Path(__file__).parents[1] / "foreign" / "octoprint_printer_peer.py"
TARGETS: Final = count(45)
POWER: Final = 64 / 127
"""The virtual printer tells the same power, come what may."""


class VirtualPrinterStage:
    tolerance = 0.005
    patience_s = 20.0

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder = python, folder
        self.link = folder / "port"
        self.process: asyncio.subprocess.Process | None = None
        self.shows = {"hotend_power": POWER, "hotend_target": 0.0, "bed_target": 0.0}
        config = MarlinConfig(port=str(self.link), every_s=0.1, stale_after_s=4, silence_s=2.5)
        self.source: LiveSource = KIND.make(config, Site(device="virtual", folder=folder))

    async def show(self) -> None:
        target = float(next(TARGETS))
        self.shows |= {"hotend_target": target, "bed_target": target}
        self._heat()

    async def unplug(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            self.process = None
            self.link.unlink(missing_ok=True)

    async def plug(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            return
        self.process = await asyncio.create_subprocess_exec(
            *(self.python, PROGRAM, self.folder / "base", self.link),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"ready\n"
        self._heat()

    async def hush(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    async def babble(self) -> None:
        for noise in (*NOISE, b"\n"):
            self._tell(f"noise {noise.hex()}")

    def _heat(self) -> None:
        self._tell(f"M104 S{self.shows['hotend_target']:g}")
        self._tell(f"M140 S{self.shows['bed_target']:g}")

    def _tell(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[VirtualPrinterStage]:
    try:
        python = find().with_name("python")
    except NotHere as reason:
        raise Absent(str(reason)) from reason
    (folder / "base").mkdir()
    one = VirtualPrinterStage(python, folder)
    await one.plug()
    try:
        yield one
    finally:
        await one.unplug()
