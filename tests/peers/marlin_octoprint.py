"""OctoPrint's virtual printer at a pseudo-terminal: a Marlin that others wrote; one a process."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
from contextlib import asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from edge_agent.site import Site
from edge_agent.sources.marlin.peer import KIND, MarlinConfig
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


class VirtualPrinter:
    """The program, which is told what to do line by line."""

    def __init__(self, python: Path, folder: str) -> None:
        self._process = subprocess.Popen(
            [python, PROGRAM, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def signal(self, sign: signal.Signals) -> None:
        self._process.send_signal(sign)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@cache
def printer() -> VirtualPrinter:
    """Give the one printer, started by whoever asks first.

    Raises:
        Absent: OctoPrint is not installed.
    """
    try:
        python = find().with_name("python")
    except NotHere as reason:
        raise Absent(str(reason)) from reason
    folder = TemporaryDirectory(prefix="foremend-virtual-")
    atexit.register(folder.cleanup)
    running = VirtualPrinter(python, folder.name)
    atexit.register(running.end)
    return running


class VirtualPrinterStage:
    tolerance = 0.005
    patience_s = 20.0

    def __init__(self, virtual: VirtualPrinter, folder: Path) -> None:
        self.virtual, self.link = virtual, folder / "port"
        self.shows = {"hotend_power": POWER, "hotend_target": 0.0, "bed_target": 0.0}
        config = MarlinConfig(port=str(self.link), every_s=0.1, stale_after_s=4, silence_s=2.5)
        self.source: LiveSource = KIND.make(config, Site(device="virtual", folder=folder))

    async def show(self) -> None:
        target = float(next(TARGETS))
        self.shows |= {"hotend_target": target, "bed_target": target}
        self.heat()

    async def unplug(self) -> None:
        self.virtual.tell("unplug")

    async def plug(self) -> None:
        self.virtual.signal(signal.SIGCONT)
        if not self.link.exists():
            self.virtual.tell(f"plug {self.link}")

    async def hush(self) -> None:
        self.virtual.signal(signal.SIGSTOP)

    async def babble(self) -> None:
        for noise in (*NOISE, b"\n"):
            self.virtual.tell(f"noise {noise.hex()}")

    def heat(self) -> None:
        self.virtual.tell(f"M104 S{self.shows['hotend_target']:g}")
        self.virtual.tell(f"M140 S{self.shows['bed_target']:g}")


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[VirtualPrinterStage]:
    one = VirtualPrinterStage(printer(), folder)
    await one.plug()
    one.heat()
    try:
        yield one
    finally:
        await one.plug()
        await one.unplug()
