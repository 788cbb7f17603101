"""Our Marlin emulator at a pseudo-terminal, with a simulated printer that the test gives orders."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from edge_agent.site import Site
from edge_agent.sources.marlin.peer import KIND, MarlinConfig
from edge_agent.tasks import end
from foremend.values import Severity
from simulators.emulators.gcode import Wanted
from simulators.emulators.marlin import Marlin
from simulators.emulators.printer import ObedientPrinter, Setting
from simulators.emulators.terminal import Terminal, plugged, run
from simulators.steps import SimEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.live.source import LiveSource

IDLE: Final = Setting(jobs=False)
NOISE = (
    b"ok T:999.00 /999.00 B:99",
    b"\nT:999.0\n",
    b"ok T:88.00 /88.00 @:1\n",
    b"X:1.00 Y:2\n",
    b"E0:99999 RP\n",
    b"SD printing byte 9/",
    b"\xff\xfe\x00\x80\n",
    b"T:" + b"9" * 5000 + b"\n",
    b"ok T:77.00 /77.00 B:77.00 /77.00 @:0 B@",
)


class MarlinStage:
    tolerance = 0.005
    patience_s = 10.0

    def __init__(self, terminal: Terminal, printer: ObedientPrinter, folder: Path) -> None:
        self.terminal, self.printer = terminal, printer
        self.shows = self._read()
        config = MarlinConfig(
            port=str(terminal.link), every_s=0.1, stale_after_s=4.0, silence_s=2.0
        )
        self.source: LiveSource = KIND.make(config, Site(device="marlin", folder=folder))

    def _read(self) -> dict[str, float]:
        names = ("hotend_temp", "hotend_target", "bed_temp", "bed_target")
        return {name: self.printer.values[name] for name in names}

    async def show(self) -> None:
        hotend, bed = self.shows["hotend_target"] + 10, self.shows["bed_target"] + 5
        self.printer.obey(Wanted(hotend=hotend, bed=bed))
        self.shows = self._read()

    def fail(self, code: str) -> None:
        """Let a part fail, as the simulation says so."""
        event = SimEvent(device_index=0, ts_ms=0, code=code, severity=Severity.CRITICAL)
        self.printer.events.append(event)

    async def unplug(self) -> None:
        self.terminal.unplug()

    async def plug(self) -> None:
        self.terminal.hushed = False
        if not self.terminal.link.exists():
            self.terminal.plug()

    async def hush(self) -> None:
        self.terminal.hushed = True

    async def babble(self) -> None:
        for noise in NOISE:
            self.terminal.noise(noise)
        self.terminal.noise(b"\n")


@asynccontextmanager
async def stage(
    folder: Path, setting: Setting = IDLE, *, steps_per_tick: int = 0
) -> AsyncIterator[MarlinStage]:
    """Serve one whose time stands still, but where it is to make steps."""
    printer = ObedientPrinter(setting)
    terminal = Terminal(Marlin(printer), folder / "marlin", monotonic)
    async with plugged(terminal):
        running = asyncio.create_task(run(printer, terminal.marlin, steps_per_tick=steps_per_tick))
        yield MarlinStage(terminal, printer, folder)
        await end(running)
