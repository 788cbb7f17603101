"""A simulated printer behind a broker of its own: TLS, an access code, notices on the network."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiomqtt

from edge_agent.discovery import notices
from edge_agent.sources.bambu.peer import USER
from simulators.emulators.bambu import Voice, notice, speak
from simulators.emulators.printer import ObedientPrinter
from stack.embedded.broker import EmbeddedBroker, trusting
from stack.embedded.broker_config import Certificate, Right
from stack.embedded.datadir import open_data_dir
from stack.embedded.mqtt_probe import Login
from stack.embedded.ports import LOOPBACK
from stack.embedded.server import serving
from stack.emulators.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.emulators.printer import Setting

NOTICE_S: Final = 5.0
YEARS: Final = 10
"""For which its certificate holds."""
NAME: Final = "emulated printer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an emulated printer is called, and how it is reached."""

    serial: str
    port: int = notices.MQTT_PORT
    access_code: str
    speed: int = 1
    """How many times as fast as real time it goes."""


def run(setting: Setting, terms: Terms, keep: Path, tell: Callable[[str], None]) -> None:
    """Be a printer until interrupted; tells first how an agent reaches it.

    Its certificate is kept in the folder `keep`: whoever trusts it need not learn another.
    """
    tls = _certificate(keep, terms.serial)
    guest = _right(terms.serial, terms.access_code)
    with (
        tempfile.TemporaryDirectory(prefix="foremend-bambu-") as name,
        open_data_dir(Path(name) / "broker") as home,
        serving(EmbeddedBroker(home, port=terms.port, guests=[guest], tls=tls)) as broker,
    ):
        tell(source_table(terms, broker.port, Path(tls.certificate).read_text("ascii")))
        try:
            asyncio.run(_be(setting, terms, broker, tls))
        except KeyboardInterrupt:
            tell("stopped")


def _certificate(keep: Path, serial: str) -> Certificate:
    keep.mkdir(parents=True, exist_ok=True, mode=0o700)
    shown, key = keep / "certificate.pem", keep / "key.pem"
    if not (shown.exists() and key.exists()):
        shown, key = self_signed(keep, serial, days=YEARS * 365)
    return Certificate(certificate=str(shown), key=str(key))


def _right(serial: str, code: str) -> Right:
    return Right(
        login=Login(user=USER, password=code),
        publish=(f"device/{serial}/request",),
        subscribe=(f"device/{serial}/report",),
    )


def source_table(terms: Terms, port: int, certificate: str) -> str:
    """Give the `[source]` table of an agent's configuration that reads this printer."""
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    return "\n".join(
        (
            "# an agent reads this printer with:",
            "[source]",
            'kind = "bambu"',
            f'host = "{LOOPBACK}"',
            f"port = {port}",
            f'serial = "{terms.serial}"',
            f'password = "{terms.access_code}"   # the access code',
            f'fingerprint = "{fingerprint}"',
        )
    )


async def _be(setting: Setting, terms: Terms, broker: EmbeddedBroker, tls: Certificate) -> None:
    voice = Voice(terms.serial, ObedientPrinter(setting))
    login = broker.services
    async with (
        aiomqtt.Client(
            broker.host,
            broker.port,
            username=login.user,
            password=login.password,
            tls_context=trusting(tls),
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(_give_notice(terms.serial), name="notices")
        await speak(client, voice, pause_s=setting.step_s / terms.speed)


async def _give_notice(serial: str) -> None:
    """Say who it is every few seconds, to this machine alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as everybody:
        while True:
            told = notice(serial, NAME, LOOPBACK)
            everybody.sendto(told, (LOOPBACK, notices.PORT))
            await asyncio.sleep(NOTICE_S)
