"""A simulated printer behind a broker of its own."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiomqtt

from simulators.emulators.bambu import Voice, speak
from simulators.emulators.printer import ObedientPrinter
from stack.embedded.broker import SERVICES_USER, EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulators.emulators.printer import Setting
    from stack.embedded.datadir import DataDir


def run(
    setting: Setting,
    *,
    serial: str,
    access_code: str,
    port: int,
    speed: int,
    tell: Callable[[str], None],
) -> None:
    """Be a printer until interrupted; tells first how an agent reaches it."""
    with (
        tempfile.TemporaryDirectory(prefix="foremend-bambu-") as folder,
        open_data_dir(Path(folder) / "broker") as home,
        _known(home, access_code),
        serving(EmbeddedBroker(home, port=port)) as broker,
    ):
        tell(source_table(serial, broker))
        try:
            asyncio.run(_speak(setting, serial, speed, broker))
        except KeyboardInterrupt:
            tell("stopped")


@contextmanager
def _known(home: DataDir, access_code: str) -> Iterator[None]:
    """Have the broker take this code: a printer keeps its own when it is switched off."""
    file = home.folder("keys") / SERVICES_USER
    file.touch(0o600)
    file.write_text(access_code, encoding="ascii")
    yield


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
