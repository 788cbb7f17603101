"""The whole path for acceptance tests: a small simulated fleet, real agents, broker and services.

Nothing waits for the clock on the wall: an hour of the simulation is over once all that was said
in it is acknowledged, scored and acted on.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row

import alerting.service
import field_service.service
from api.admin import ensure_token
from api.roles import Role
from edge_agent.config import BrokerConfig
from field_service.network import place, seed_network
from foremend import ready
from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, connect, transaction
from foremend.settings import Settings
from models import signing
from models.fitting import TrainingPlan
from models.training import train
from simulators.fleet import START_MS
from simulators.fleets import PRINTER_HASTE, MachineFleet, PrinterFleet
from simulators.histories import histories
from simulators.steps import FaultPlan, ScheduledFault
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.server import serving
from stack.fleet.desk import OrderDesk
from stack.fleet.run import Fleet, FleetConfig, composed
from stack.fleet.world import World
from stack.histories import as_history, failure_modes
from stack.promotion import put_in_force
from stack.story import SQL
from stack.training import sealed
from tests.api_server import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from models.registry import Record
    from models.training import TrainedModel
    from stack.fleet.crew import Standing

TENANT: Final = "demo"
TIMELINE: Final = "sim:acceptance"
PRINTERS: Final = tuple(f"printer-{i:02d}" for i in range(1, 9))
MACHINES: Final = ("machine-01",)
STEP_S: Final = 600.0
STEPS_PER_HOUR: Final = 6
HASTE: Final = 3.0
"""How many times faster than the demonstration's parts age, here and in the histories."""
PART: Final = "hotend_fan"
EARLY: Final = 0.2
ONSET_H: Final = 30
GROWTH_H: Final = 26
PATIENCE_S: Final = 90.0
PROJECT: Final = Path(__file__).parents[2]


def taught() -> TrainedModel:
    """Train on a few simulated histories; an order for the fan opens early: few have taught it."""
    (simulated,) = histories(
        501, printers=110, machines=0, days=8.0, step_s=STEP_S, hazard_scale=HASTE
    )
    plan = TrainingPlan(
        horizons_h=(6.0, 12.0, 24.0), jobs=1, failure_modes=failure_modes(simulated)
    )
    trained = train(as_history(simulated), plan)
    chosen = zip(trained.model.spec.components, trained.model.thresholds, strict=True)
    wary = tuple(EARLY if part == PART else limit for part, limit in chosen)
    return replace(trained, model=replace(trained.model, thresholds=wary))


def a_world(*sick: str) -> World:
    """Make eight printers and a pump; the hot-end fans of `sick` wear out, and nothing else."""
    faults = tuple(
        ScheduledFault(device=name, component=PART, onset_h=ONSET_H, hours_to_failure=GROWTH_H)
        for name in sick
    )
    plan = FaultPlan(hazard_scale=HASTE * PRINTER_HASTE, random_from_h=None, scheduled=faults)
    quiet = FaultPlan(random_from_h=None)
    return World(
        PrinterFleet(names=PRINTERS, seed=11, step_s=STEP_S, plan=plan),
        MachineFleet(names=MACHINES, seed=12, step_s=STEP_S, plan=quiet),
    )


@dataclass(frozen=True, slots=True)
class WrongBox(OrderDesk):
    """A desk from which a device's first kit is sent in the wrong box."""

    device: str = ""

    async def open_orders(self) -> list[Standing]:
        """Give the orders; the crew finds another kit's parts in the box of one of them."""
        orders = await OrderDesk.open_orders(self)
        return [
            replace(order, kit="FAN-1")
            if order.device == self.device and not order.reopened
            else order
            for order in orders
        ]


@dataclass
class Child:
    """One of our services as a process, which may be killed and started again."""

    name: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "stack", self.name),
                cwd=PROJECT,
                env=os.environ | self.environment | {ready.VARIABLE: str(self.ready)},
                stdout=sink,
                stderr=sink,
            )

    @property
    def ready(self) -> Path:
        return self.log.with_suffix(".ready")

    async def serves(self) -> None:
        """Wait until it says that it serves."""
        async with asyncio.timeout(PATIENCE_S):
            while ready.announced(self.ready) is None:
                assert self.process is not None
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, self.log.read_text()


@contextmanager
def child(name: str, environment: dict[str, str], folder: Path) -> Iterator[Child]:
    made = Child(name, environment, folder / f"{name}.log")
    made.start()
    try:
        yield made
        made.stop()
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


@contextmanager
def in_thread(
    run: Callable[[Settings, threading.Event], None], settings: Settings
) -> Iterator[None]:
    """Run a service in a thread; what it raises fails the test."""
    stop, failures = threading.Event(), []

    def act() -> None:
        try:
            run(settings, stop)
        except BaseException as error:  # noqa: BLE001 - judged below
            failures.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert not failures


@dataclass
class Stage:
    """A running system with its simulated fleet."""

    url: str
    fleet: Fleet
    link: psycopg.Connection[dict[str, Any]]
    ingest: Child
    scoring: Child
    _placed: bool = field(default=False)

    @property
    def hour(self) -> float:
        """Simulated hours since the start."""
        return (self.fleet.world.now_ms - START_MS) / 3_600_000

    async def live(self, hours: int) -> None:
        """Let so many hours pass, all that was said be acted on, and the crew do its work."""
        await self.say(hours)
        await self.settle()
        await self.fleet.work()

    async def say(self, hours: int) -> None:
        """Let so many hours pass, and what devices say lie safely in their outboxes."""
        await self.fleet.tick(hours * STEPS_PER_HOUR)
        await asyncio.gather(*(source.stored() for source in self.fleet.sources.values()))

    async def settle(self) -> None:
        """Wait until everything said is acknowledged, scored, alerted and acted on."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(agent.drained() for agent in self.fleet.agents.values()))
        if not self._placed:
            self._place()
        deadline = time.monotonic() + PATIENCE_S
        while self.ask(SQL["lag"])[0]["lag"]:
            assert time.monotonic() < deadline, self.scoring.log.read_text()[-2000:]
            await asyncio.sleep(0.02)

    def ask(self, query: Any, parameters: Any = None) -> list[dict[str, Any]]:
        """Read from the database as the services do."""
        with transaction(self.link, tenant=EVERY_TENANT):
            return self.link.execute(query, parameters).fetchall()

    def orders(self) -> list[dict[str, Any]]:
        """Give every work order with its device's name, oldest first."""
        return self.ask(
            "SELECT w.*, d.name AS device FROM work_order w JOIN device d ON d.id = w.device_id"
            " ORDER BY w.number"
        )

    def moves(self, number: int) -> list[str]:
        """Give what was done to an order, in order."""
        rows = self.ask(
            "SELECT e.action FROM work_order_event e JOIN work_order w ON w.id = e.work_order_id"
            " WHERE w.number = %s ORDER BY e.id",
            (number,),
        )
        return [row["action"] for row in rows]

    def _place(self) -> None:
        """Put every device where a kit can be sent to."""
        with transaction(self.link, tenant=TENANT):
            for row in self.link.execute("SELECT id FROM device").fetchall():
                place(
                    self.link,
                    device_id=row["id"],
                    region="north_america",
                    org_node="na-lakeside",
                    at=to_datetime(START_MS),
                )
        self._placed = True


@asynccontextmanager
async def stage(
    folder: Path, url: str, model: TrainedModel, world: World, *, wrong_box: str = ""
) -> AsyncIterator[Stage]:
    """Bring everything up around a migrated database."""
    passwords = {name: secrets.token_urlsafe(16) for name in (*PRINTERS, *MACHINES)}
    async with AsyncExitStack() as stack:
        home = stack.enter_context(open_data_dir(folder / "var"))
        broker = stack.enter_context(serving(EmbeddedBroker(home, devices=passwords)))
        key = signing.local_key(home.path / "keys", home.path / "keys" / "trusted")
        link = stack.enter_context(psycopg.connect(url, autocommit=True, row_factory=dict_row))
        _prepare(url, link, sealed(model, key, {"simulated": 70}), world)
        told = _environment(home.path, broker, url)
        ingest, scoring = (
            stack.enter_context(child(name, told, folder)) for name in ("ingest", "scoring")
        )
        settings = Settings(database_url=url, allow_private_destinations=True, verify_hours=4.0)
        console = stack.enter_context(_rest(url, settings))
        config = FleetConfig(
            folder=home.folder("fleet"),
            tenant=TENANT,
            timeline=TIMELINE,
            broker=BrokerConfig(host=broker.host, port=broker.port),
            passwords=passwords,
            api_url=console,
            crew_token=_token(url),
            scale=120.0,
        )
        world.keep(config.folder / "world.msgpack")
        # What is said to a broker before ingest has ever subscribed is said again 30 s later.
        await ingest.serves()
        fleet = await composed(config, stack)
        if wrong_box:
            fleet.desk = WrongBox(fleet.desk.client, TIMELINE, wrong_box)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name, agent in fleet.agents.items():
                group.create_task(agent.run(stop), name=name)
            yield Stage(url, fleet, link, ingest, scoring)
            stop.set()


def _prepare(url: str, link: psycopg.Connection[Any], record: Record, world: World) -> None:
    with connect(url, name="train") as connection:
        put_in_force(connection, record)
    with transaction(link, tenant=TENANT):
        seed_network(link, TENANT, at=to_datetime(world.now_ms))


def _environment(data_dir: Path, broker: EmbeddedBroker, url: str) -> dict[str, str]:
    return {
        "FOREMEND_DATA_DIR": str(data_dir),
        "FOREMEND_TENANT": TENANT,
        "FOREMEND_DATABASE_URL": url,
        "FOREMEND_BROKER_HOST": broker.host,
        "FOREMEND_BROKER_PORT": str(broker.port),
        "FOREMEND_BROKER_USER": broker.services.user,
        "FOREMEND_BROKER_PASSWORD": broker.services.password,
    }


@contextmanager
def _rest(url: str, settings: Settings) -> Iterator[str]:
    """Run alerting, field service and the API beside the test; gives the API's address."""
    with ExitStack() as stack:
        stack.enter_context(in_thread(alerting.service.run, settings))
        stack.enter_context(in_thread(field_service.service.run, settings))
        yield stack.enter_context(running(url)).url


def _token(url: str) -> str:
    with connect(url, name="test") as connection, transaction(connection, tenant=TENANT):
        return ensure_token(connection, TENANT, "crew", Role.DISPATCHER)
