"""Our Marlin emulator at a pseudo-terminal, with a body whose truth the test sets."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from edge_agent.site import Site
from edge_agent.sources.marlin.peer import KIND, MarlinConfig
from simulators.emulators.marlin import Marlin, Told
from simulators.emulators.terminal import Terminal, plugged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.live.source import LiveSource

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


class ScriptedBody:
    """Tells what it was given, and remembers what it was told to do."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.wrong: tuple[str, ...] = ()
        self.done: list[str] = []

    def tell(self) -> Told:
        return self.told

    def errors(self) -> tuple[str, ...]:
        errors, self.wrong = self.wrong, ()
        return errors

    def pause(self) -> None:
        self.done.append("pause")
        self.told = replace(self.told, printed=None)

    def resume(self) -> None:
        self.done.append("resume")
        self.told = replace(self.told, printed=10)

    def cancel(self) -> None:
        self.done.append("cancel")
        self.told = replace(self.told, printed=None)


class MarlinStage:
    tolerance = 0.005
    patience_s = 10.0

    def __init__(self, terminal: Terminal, body: ScriptedBody, folder: Path) -> None:
        self.terminal, self.body = terminal, body
        self.shows = {"hotend_temp": 0.0, "hotend_target": 0.0, "bed_temp": 0.0}
        self._read_body()
        config = MarlinConfig(
            port=str(terminal.link), every_s=0.1, stale_after_s=4.0, silence_s=2.0
        )
        self.source: LiveSource = KIND.make(config, Site(device="marlin", folder=folder))

    def _read_body(self) -> None:
        told = self.body.told
        names = {"hotend_temp": told.hotend, "hotend_target": told.hotend_target}
        self.shows |= names | {"bed_temp": told.bed}

    async def show(self) -> None:
        told = self.body.told
        self.body.told = replace(
            told,
            hotend=told.hotend + 10,
            hotend_target=told.hotend_target + 5,
            bed=told.bed + 1,
            hotend_power=0.5,
        )
        self._read_body()

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
async def stage(folder: Path) -> AsyncIterator[MarlinStage]:
    body = ScriptedBody(Told(hotend=25.25, hotend_target=0.0, bed=24.5, fan_rpm=6000))
    terminal = Terminal(Marlin(body), folder / "marlin", monotonic)
    async with plugged(terminal):
        yield MarlinStage(terminal, body, folder)
