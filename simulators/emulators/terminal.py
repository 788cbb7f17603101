"""A pseudo-terminal with a firmware at its far end: what a program takes for a serial port."""

from __future__ import annotations

import asyncio
import os
import tty
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from simulators.emulators.marlin import Marlin
from simulators.emulators.printer import ObedientPrinter, paced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from simulators.emulators.printer import Setting

BEAT_S: Final = 0.05
TICK_S: Final = 0.25
"""From one look of the firmware's at its printer to the next."""
LONGEST_LINE: Final = 96
"""Bytes: MAX_CMD_SIZE of Marlin's configuration; what is longer is cut."""
ROOM: Final = 64 * 1024
"""Bytes that may wait for a host that does not read, before the newest are lost."""


@dataclass(slots=True)
class Terminal:
    """Serves one firmware while it is plugged in."""

    marlin: Marlin
    link: Path
    """A symbolic link to the port, under a name that stays."""
    now_s: Callable[[], float]
    hushed: bool = False
    """Whether it is connected and says nothing."""
    _master: int = -1
    _slave: int = -1
    _heard: bytes = b""
    _unsaid: bytes = field(default=b"")

    def plug(self) -> None:
        """Make the port, and greet whoever opens it."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._slave))
        self._heard = self._unsaid = b""
        self.say(*self.marlin.greeting())

    def unplug(self) -> None:
        """Take the port away; who holds it open is told so."""
        self.link.unlink(missing_ok=True)
        for end in (self._master, self._slave):
            if end >= 0:
                os.close(end)
        self._master = self._slave = -1

    def beat(self) -> None:
        """Read, answer, and say what is due."""
        if self._master < 0 or self.hushed:
            return
        now_s = self.now_s()
        for line in self._lines():
            self.say(*self.marlin.receive(line, now_s=now_s))
        self.say(*self.marlin.beat(now_s=now_s))
        self._write()

    def say(self, *lines: str) -> None:
        """Say lines as soon as the host reads."""
        self.noise("".join(f"{line}\n" for line in lines).encode("ascii", "replace"))

    def noise(self, data: bytes) -> None:
        """Say bytes, whatever they mean."""
        self._unsaid = (self._unsaid + data)[:ROOM]

    def _lines(self) -> list[str]:
        with suppress(BlockingIOError, OSError):
            self._heard += os.read(self._master, ROOM)
        *lines, rest = self._heard.replace(b"\r", b"\n").split(b"\n")
        self._heard = rest[:LONGEST_LINE]
        return [line[:LONGEST_LINE].decode("ascii", "replace") for line in lines]

    def _write(self) -> None:
        with suppress(BlockingIOError, OSError):
            self._unsaid = self._unsaid[os.write(self._master, self._unsaid) :]


@asynccontextmanager
async def plugged(terminal: Terminal) -> AsyncIterator[Terminal]:
    """Serve for as long as this lasts."""
    terminal.plug()
    serving = asyncio.create_task(_serve(terminal), name="terminal")
    try:
        yield terminal
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        terminal.unplug()


async def serve(setting: Setting, link: Path, *, speed: int, tell: Callable[[str], object]) -> None:
    """Let a simulated printer answer at `link`, `speed` times as fast as real time.

    Raises:
        NotFound: a component that is to fail is none of a printer's.
    """
    at_pace, steps = paced(setting, speed=speed, tick_s=TICK_S)
    printer = ObedientPrinter(at_pace)
    marlin = Marlin(printer)
    async with plugged(Terminal(marlin, link, monotonic)):
        tell(f"a simulated printer answers at {link}; end with Ctrl-C")
        await run(printer, marlin, steps_per_tick=steps)


async def run(printer: ObedientPrinter, marlin: Marlin, *, steps_per_tick: int = 1) -> None:
    """Let its time pass, for ever; once Marlin has halted it stands still."""
    while True:
        await asyncio.sleep(TICK_S)
        for _ in range(0 if marlin.halted else steps_per_tick):
            printer.step()


async def _serve(terminal: Terminal) -> None:
    while True:
        terminal.beat()
        await asyncio.sleep(BEAT_S)
