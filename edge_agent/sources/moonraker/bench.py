"""A Klipper printer on the bench: what a self-test asks of it, as G-code."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_agent.downlink.kinds import CommandFailed
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from edge_agent.selftest.bench import Spectrum
    from edge_agent.sources.moonraker.rpc import Rpc

OFF: Final = "TURN_OFF_HEATERS\nM107"
NAME: Final = "foremend"
SHAKE_S: Final = 240.0
"""A sweep from 5 to 133 Hz takes two minutes (docs/Measuring_Resonances.md of Klipper)."""
SAID_S: Final = 5.0
"""For the line that names the file, once the sweep was answered."""
MOST_BYTES: Final = 2**20
_WRITTEN: Final = re.compile(r"Resonances data written to (\S+) file")


class KlipperBench:
    """One printer; `rpc` gives the connection of now, `anew` one of its own."""

    def __init__(
        self, rpc: Callable[[], Rpc], anew: Callable[[], AbstractAsyncContextManager[Rpc]]
    ) -> None:
        self._rpc, self._anew = rpc, anew

    async def begin(self) -> None:
        """Leave it to somebody who moves it by hand: no reading shows that."""
        wanted = {"idle_timeout": ["state"]}
        answer = await self._rpc().call("printer.objects.query", objects=wanted)
        if answer.get("status", {}).get("idle_timeout", {}).get("state") == "Printing":
            raise CommandFailed("somebody moves the printer by hand")

    async def heat(self, target_c: float) -> None:
        """Set the hot end's target, and do not wait for it."""
        await self._script(f"SET_HEATER_TEMPERATURE HEATER=extruder TARGET={target_c:.1f}")

    async def blow(self, share: float) -> None:
        """Set the part fan."""
        await self._script(f"M106 S{round(255 * share)}")

    async def shake(self, axis: str) -> Spectrum | None:
        """Sweep an axis whose position is known; homing could run into what lies on the bed.

        Klipper writes the spectrum to a file on its own host, so the agent must run there.
        """
        wanted = {"toolhead": ["homed_axes"]}
        rpc = self._rpc()
        objects = (await rpc.call("printer.objects.list")).get("objects", [])
        answer = await rpc.call("printer.objects.query", objects=wanted)
        homed = answer.get("status", {}).get("toolhead", {}).get("homed_axes")
        if "resonance_tester" not in objects or homed != "xyz":
            return None
        rpc.lines.clear()
        script = f"TEST_RESONANCES AXIS={axis.upper()} OUTPUT=resonances NAME={NAME}"
        await rpc.call("printer.gcode.script", within_s=SHAKE_S, script=script)
        written = await rpc.said(_WRITTEN, SAID_S)
        if written is None:
            return None
        return await asyncio.to_thread(read_spectrum, Path(written.group(1)), axis)

    async def off(self) -> None:
        """Switch heaters and fan off, on another connection where this one is gone."""
        try:
            await self._script(OFF)
        except ForemendError:
            async with self._anew() as rpc:
                await rpc.call("printer.gcode.script", script=OFF)

    async def _script(self, script: str) -> None:
        await self._rpc().call("printer.gcode.script", script=script)


def read_spectrum(file: Path, axis: str) -> Spectrum | None:
    """Read a table of Klipper's: `freq,psd_x,psd_y,...`; None where it is none, or not here.

    The printer names the file, so only one that can be ours is opened.
    """
    if not re.fullmatch(rf"resonances_{axis}_[\w.-]*{NAME}[\w.-]*\.csv", file.name):
        return None
    try:
        if file.stat().st_size > MOST_BYTES:
            return None
        lines = file.read_text("ascii").splitlines()
        column = lines[0].replace(" ", "").split(",").index(f"psd_{axis}")
        rows = [[float(cell) for cell in line.split(",")] for line in lines[1:] if line]
        return tuple((row[0], row[column]) for row in rows)
    except (OSError, ValueError, IndexError):
        return None
