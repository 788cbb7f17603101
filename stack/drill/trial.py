"""One scenario's devices, with their ledger and their outbox in a folder of their own."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import msgspec

from edge_agent.config import BrokerConfig
from foremend.errors import Unavailable
from foremend.ready import VARIABLE, announced
from stack.command import Command
from stack.drill.host import Plan
from stack.drill.ledger import Ledger
from stack.drill.parts import PartFailed, ProcessPart, wait
from stack.drill.stored import read_stored
from stack.drill.verdict import Verdict, judge
from stack.embedded.ports import LOOPBACK
from stack.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from stack.drill.ground import Ground
    from stack.drill.small_disk import SmallDisk

OUTBOX: Final = "outbox.sqlite3"
OUR_HOST: Final = ("-m", "stack.drill.host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a scenario's devices behave."""

    rate_hz: float = 20.0
    channels: int = 4
    keepalive_s: int = 30
    timeout_s: float = 10.0
    first_resend_s: float = 30.0
    outbox_bytes: int = 64 * 1024**2
    wrong_clock: bool = False
    relayed: bool = False
    """Whether they reach the broker through the relay, whose faults are then theirs."""


@dataclass(slots=True)
class Trial:
    """Devices at work for the length of a `with` block."""

    ground: Ground
    name: str
    folder: Path
    habits: Habits = field(default_factory=Habits)
    disk: SmallDisk | None = None
    """What their outbox lies on, where that is not the disk of everything else."""
    devices: ProcessPart = field(init=False)
    ledger: Ledger = field(init=False)
    _lives: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        service = Service(name="devices", command=self._command, ready=self._ready)
        self.devices = ProcessPart(service, self.folder / "devices.log")

    def __enter__(self) -> Self:
        if self.habits.wrong_clock:
            self.set_clock(0)
        self._plan.write_bytes(msgspec.json.encode(self._told()))
        self.devices.start()
        self.devices.wait_ready()
        return self

    def __exit__(self, *_error: object) -> None:
        self.devices.kill()

    @property
    def small_folder(self) -> Path:
        """Where the devices see a small disk."""
        return self.folder / "small"

    @property
    def tenant(self) -> str:
        """Whose the devices are: one tenant a scenario, so that scenarios share servers."""
        return f"drill-{self.name}"

    def set_clock(self, wrong_by_ms: int) -> None:
        """Let the devices' clock step."""
        file = self._clock.with_suffix(".partial")
        file.write_text(str(wrong_by_ms), encoding="ascii")
        file.replace(self._clock)

    def silence(self, within_s: float) -> None:
        """Let the devices say nothing new, and wait until they have delivered everything.

        Raises:
            PartFailed: they did not deliver in time, or failed.
        """
        self.devices.ask_to_end()
        if not wait(lambda: not self.devices.alive(), within_s):
            raise PartFailed(f"not everything was acknowledged within {within_s:.0f} s")
        status = self.devices.stop()
        if status != 0:
            raise PartFailed(f"devices ended with status {status}: {self.devices.last_words()}")

    def verdict(self, within_s: float = 30.0) -> Verdict:
        """Hold what is stored against the ledger, waiting for the database where need be."""
        self.ledger.read()
        found: list[Verdict] = []

        def judged() -> bool:
            with suppress(Unavailable):
                found.append(judge(self.ledger, read_stored(self.ground.app_url, self.tenant)))
            return bool(found)

        if not wait(judged, within_s):
            raise PartFailed("the database does not answer, so nothing can be judged")
        return found[0]

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    def _told(self) -> Plan:
        habits = self.habits
        relay = self.ground.relay
        host, port = (LOOPBACK, relay.port) if habits.relayed else (relay.host, relay.broker_port)
        broker = BrokerConfig(
            host=host,
            port=port,
            keepalive_s=habits.keepalive_s,
            timeout_s=habits.timeout_s,
        )
        return Plan(
            tenant=self.tenant,
            broker=broker,
            passwords=dict(self.ground.passwords),
            ledger=str(self.ledger.path),
            outbox=str((self.folder if self.disk is None else self.small_folder) / OUTBOX),
            clock=str(self._clock) if habits.wrong_clock else "",
            rate_hz=habits.rate_hz,
            channels=habits.channels,
            first_resend_s=habits.first_resend_s,
            outbox_bytes=habits.outbox_bytes,
        )

    def _command(self) -> Command:
        self._lives += 1
        program = self.ground.programs.devices or OUR_HOST
        argv = (sys.executable, *program, str(self._plan), str(self._lives))
        return Command(
            argv=argv if self.disk is None else self.disk.started(argv),
            env=os.environ | {VARIABLE: str(self.folder / "ready")},
        )

    def _ready(self) -> bool:
        return announced(self.folder / "ready") is not None
