"""A simulated printer behind a broker of its own."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import aiomqtt

from simulators.emulators.bambu import Voice, speak
from simulators.emulators.printer import ObedientPrinter
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.emulators.printer import Setting


def run(
    setting: Setting, *, serial: str, port: int, speed: int, tell: Callable[[str], None]
) -> None:
    """Be a printer until interrupted; tells first how an agent reaches it."""
    with (
        tempfile.TemporaryDirectory(prefix="foremend-bambu-") as folder,
        open_data_dir(Path(folder) / "broker") as home,
        serving(EmbeddedBroker(home, port=port)) as broker,
    ):
        tell(source_table(serial, broker))
        try:
            asyncio.run(_speak(setting, serial, speed, broker))
        except KeyboardInterrupt:
            tell("stopped")


def source_table(serial: str, broker: EmbeddedBroker) -> str:
    """Give the `[source]` table of an agent's configuration that reads this printer."""
    return "\n".join(
        (
            "# an agent reads this printer with:",
            "[source]",
            'kind = "bambu"',
            f'host = "{broker.host}"',
            f"port = {broker.port}",
            f'serial = "{serial}"',
            f'username = "{broker.services.user}"',
            f'password = "{broker.services.password}"',
            "tls = false",
        )
    )


async def _speak(setting: Setting, serial: str, speed: int, broker: EmbeddedBroker) -> None:
    login = broker.services
    async with aiomqtt.Client(
        broker.host, broker.port, username=login.user, password=login.password
    ) as client:
        voice = Voice(serial, ObedientPrinter(setting))
        await speak(client, voice, pause_s=setting.step_s / speed)
