"""A simulated printer behind a broker of its own."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiomqtt

from foremend.clock import wall_ms
from simulators.emulators.bambu import Voice, speak
from simulators.emulators.one import OnePrinter
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the emulator is told."""

    serial: str
    port: int
    seed: int
    fault: str | None
    fails_in_h: float
    speed: float


def run(options: Options, tell: Callable[[str], None]) -> None:
    """Be a printer until interrupted; tells first how an agent reaches it."""
    with (
        tempfile.TemporaryDirectory(prefix="foremend-bambu-") as folder,
        open_data_dir(Path(folder) / "broker") as home,
        serving(EmbeddedBroker(home, port=options.port)) as broker,
    ):
        tell(source_table(options, broker))
        try:
            asyncio.run(_speak(options, broker))
        except KeyboardInterrupt:
            tell("stopped")


def source_table(options: Options, broker: EmbeddedBroker) -> str:
    """Give the `[source]` table of an agent's configuration that reads this printer."""
    return "\n".join(
        (
            "# an agent reads this printer with:",
            "[source]",
            'kind = "bambu"',
            f'host = "{broker.host}"',
            f"port = {broker.port}",
            f'serial = "{options.serial}"',
            f'username = "{broker.services.user}"',
            f'password = "{broker.services.password}"',
            "tls = false",
        )
    )


async def _speak(options: Options, broker: EmbeddedBroker) -> None:
    printer = OnePrinter(
        options.serial,
        seed=options.seed,
        start_ms=wall_ms(),
        step_s=options.speed,
        fault=options.fault,
        fails_in_h=options.fails_in_h,
    )
    login = broker.services
    async with aiomqtt.Client(
        broker.host, broker.port, username=login.user, password=login.password
    ) as client:
        await speak(client, printer, Voice(options.serial), pause_s=1.0)
