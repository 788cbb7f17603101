"""The emulated Klipper as a program: serves until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from time import monotonic
from typing import TYPE_CHECKING

from foremend.errors import ConfigurationError
from simulators.emulators.klippy_host import KlippyHost
from simulators.emulators.klippy_socket import TICK_S, KlippySocket
from simulators.emulators.printer import paced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulators.emulators.printer import Setting


def serve(
    setting: Setting, socket: Path, *, speed: int, tell: Callable[[str], object], sd_path: str = ""
) -> None:
    """Serve one printer, `speed` times as fast as real time, until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: there can be no socket there.
        NotFound: a component that is to fail is none of a printer's.
    """
    at_pace, steps = paced(setting, speed=speed, tick_s=TICK_S)
    host = KlippyHost(at_pace, sd_path=sd_path)
    try:
        asyncio.run(_serve(host, socket, steps, tell))
    except OSError as error:
        raise ConfigurationError(f"{socket}: {error.strerror or error}") from error


async def _serve(
    host: KlippyHost, socket: Path, steps_per_tick: int, tell: Callable[[str], object]
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with KlippySocket(host, socket, clock=monotonic) as klippy:
        tell(f"Klippy answers on {socket}; a Moonraker goes before it; end with Ctrl-C")
        running = asyncio.create_task(klippy.run(steps_per_tick=steps_per_tick), name="klippy")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopping):
            task.cancel()
        if running.done() and not running.cancelled():
            running.result()
