"""The whole system on one machine: servers, services, a simulated fleet, and what it tells."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import psycopg
from psycopg.rows import dict_row

from foremend.errors import ForemendError
from simulators.demo import MACHINES, PRINTERS
from stack import site, summary
from stack.command import spawn
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.ports import claim_port
from stack.embedded.postgres import EmbeddedPostgres
from stack.service import Event, Kind, Service
from stack.services import foremend_command, foremend_service, service_environment
from stack.story import SQL, Teller
from stack.supervise import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.embedded.datadir import DataDir
    from stack.summary import Summary

TIMELINE: Final = "sim:demo"
SERVICES: Final = ("ingest", "scoring", "alerting", "field-service", "api")
FLEET: Final = "simulate"
NEWS_EVERY_S: Final = 0.5
SETTLE_S: Final = 3.0
"""How long the last frames of a bounded run may take to be acknowledged and judged."""


class TrainingFailed(ForemendError):
    """No model could be trained, so nothing would be foreseen; the lines above say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `foremend up` is told."""

    data_dir: Path = Path("var")
    api_port: int = 8420
    postgres_port: int = 0
    broker_port: int = 0
    tenant: str = "demo"
    scale: float = 3600.0
    seed: int = 7
    histories: int = 400
    for_s: float | None = None
    """Wall seconds from the first frame; None runs until it is stopped."""
    fleet: bool = True


@dataclass(slots=True, kw_only=True)
class System:
    """The parts of one run while it lasts."""

    options: Options
    home: DataDir
    postgres: EmbeddedPostgres
    broker: EmbeddedBroker
    supervisor: Supervisor
    tell: Callable[[str], None]
    site: site.Site
    api_port: int
    _first_frame_at: float | None = field(default=None, init=False)

    @property
    def fleet_folder(self) -> Path:
        """Where the fleet process keeps its world, outbox, truth and counters."""
        return self.home.folder("fleet")

    @property
    def storage(self) -> str:
        """`timescaledb` or `postgresql`."""
        return self.site.storage.layout.value

    def environment(self) -> dict[str, str]:
        """Give what every service of this system is told."""
        told = service_environment(self.home, self.site, self.broker, tenant=self.options.tenant)
        return told | {
            "FOREMEND_API_PORT": str(self.api_port),
            "FOREMEND_TRUTH_FILE": str(self.fleet_folder / "truth.jsonl"),
            # A webhook of the demonstration goes to a program on this machine.
            "FOREMEND_ALLOW_PRIVATE_DESTINATIONS": "true",
        }

    def train(self) -> None:
        """Have a model for each family, training in a process of its own where there is none."""
        argv = ("train", "--simulated", str(self.options.histories), "--if-missing")
        command = foremend_command(argv, self.environment())
        process = spawn(command, stdout=sys.stderr.fileno())
        self.supervisor.run(lambda: process.poll() is not None, every=0.2)
        if process.poll() is None:
            process.terminate()
            process.wait()
        elif process.returncode:
            raise TrainingFailed

    def start_services(self) -> None:
        """Start every service, each in a process of its own."""
        told = self.environment()
        self.supervisor.start([foremend_service(name, told) for name in SERVICES])

    def start_fleet(self) -> None:
        """Let the simulated devices and people begin."""
        told = self.environment() | {
            "FOREMEND_CREW_TOKEN": site.crew_token(self.site.app_url, self.options.tenant)
        }
        argv = ("--scale", str(self.options.scale), "--seed", str(self.options.seed))
        self.supervisor.start([foremend_service(FLEET, told, *argv)])

    def follow(self) -> Summary:
        """Tell the story until it is over; gives what it came to."""
        with psycopg.connect(
            self.site.app_url, autocommit=True, row_factory=dict_row
        ) as connection:
            teller = Teller(connection, TIMELINE)
            told_at = 0.0

            def over() -> bool:
                nonlocal told_at
                if time.monotonic() - told_at >= NEWS_EVERY_S:
                    told_at = time.monotonic()
                    site.place_devices(connection, self.options.tenant)
                    for line in teller.news():
                        self.tell(line)
                return self._over(connection)

            self.supervisor.run(over, every=NEWS_EVERY_S)
            rss = self.supervisor.rss_mb() | {"up": _own_rss_mb()}
            self._settle(connection)
            for line in teller.news():
                self.tell(line)
            return summary.summarise(
                connection,
                timeline=TIMELINE,
                told=summary.read_counters(self.fleet_folder / "counters.json"),
                truth=self.fleet_folder / "truth.jsonl",
                storage=self.storage,
                broker=self.broker.program.kind.value,
                rss_mb=rss,
            )

    def _settle(self, connection: psycopg.Connection[dict[str, object]]) -> None:
        """Stop the fleet, and let what it has said be stored and judged."""
        self.supervisor.stop([FLEET])
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until and not self.supervisor.stop_asked:
            row = connection.execute(SQL["lag"]).fetchone()
            if row is not None and not row["lag"]:
                break
            self.supervisor.step(0.1)

    def _over(self, connection: psycopg.Connection[dict[str, object]]) -> bool:
        if self.options.for_s is None:
            return False
        if self._first_frame_at is None:
            self._look_for_first_frame(connection)
            return False
        return time.monotonic() - self._first_frame_at >= self.options.for_s

    def _look_for_first_frame(self, connection: psycopg.Connection[dict[str, object]]) -> None:
        told = summary.read_counters(self.fleet_folder / "counters.json")
        if told is None:
            return
        row = connection.execute(
            SQL["first_frame"], {"boots": list(told.boots.values())}
        ).fetchone()
        if row is not None and row["seen"]:
            self._first_frame_at = time.monotonic()


def up(options: Options, tell: Callable[[str], None]) -> Summary | None:
    """Run everything until it is stopped or its time is over; None where it never began.

    Raises:
        ForemendError: something stands in the way; its message says what to do.
    """
    with ExitStack() as stack:
        home = stack.enter_context(open_data_dir(options.data_dir))
        postgres = EmbeddedPostgres(home, port=options.postgres_port)
        passwords = {name: home.secret(f"device-{name}") for name in (*PRINTERS, *MACHINES)}
        broker = EmbeddedBroker(home, port=options.broker_port, devices=passwords)
        api_port = claim_port(options.api_port, purpose="the console", option="--api-port")
        notes = _Notes(tell)
        supervisor = stack.enter_context(Supervisor(home.folder("log"), on_event=notes.note))
        supervisor.start([Service.of(postgres), Service.of(broker)])
        ready = site.prepare_database(home, postgres, options.tenant)
        system = System(
            options=options,
            home=home,
            postgres=postgres,
            broker=broker,
            supervisor=supervisor,
            tell=tell,
            site=ready,
            api_port=api_port,
        )
        return _run(system)


def _run(system: System) -> Summary | None:
    tell, options = system.tell, system.options
    tell(f"storage: {system.site.storage}")
    tell(f"broker: {system.broker.program.kind.value} on {system.broker.host}:{system.broker.port}")
    site.seed_network(system.site.app_url, options.tenant)
    system.train()
    if system.supervisor.stop_asked:
        return None
    system.start_services()
    tell(f"console: http://127.0.0.1:{system.api_port}/")
    if system.site.password:
        tell(f"sign in as admin with the password {system.site.password} (shown this once)")
    if options.fleet:
        system.start_fleet()
        tell(
            f"fleet: {len(PRINTERS)} printers and {len(MACHINES)} machines, simulated; "
            f"one second is {options.scale / 3600:g} h"
        )
    return system.follow()


@dataclass(slots=True)
class _Notes:
    """Tells of services only what a person should know: deaths and returns."""

    tell: Callable[[str], None]

    def note(self, event: Event) -> None:
        if event.kind is Kind.DIED:
            self.tell(f"{event.service} ended unexpectedly (status {event.status}); restarting it")
        elif event.kind is Kind.RESTARTED:
            self.tell(f"{event.service} is started again")


def _own_rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20
