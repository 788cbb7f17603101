"""Replays a recorded fleet through the whole path, and judges the orders that it opened."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row

from edge_agent.config import BrokerConfig
from foremend.clock import to_ms
from foremend.db import EVERY_TENANT, Queries, connect, transaction
from foremend.errors import ForemendError
from models import backtest_azure, signing
from models.azure import read_history
from models.fitting import TrainingPlan
from models.history import rows_of
from models.orders import Order
from models.training import train
from stack import site
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.promotion import put_in_force
from stack.recording import Player
from stack.services import foremend_service, servers, service_environment
from stack.story import SQL as STORY
from stack.supervise import Supervisor
from stack.training import sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from models.failure import FailureModel
    from models.history import History
    from stack.recording import Delivery

SERVICES: Final = ("ingest", "scoring", "alerting", "field-service")
HORIZON_H: Final = 24.0
LONGEST_S: Final = 900.0
"""How long judging may lag behind the last frame before the replay is given up."""
_SQL: Final = Queries.load("stack", "replay.sql")


class ReplayStuck(ForemendError):
    """The services did not finish with the recording; their logs say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is replayed, and how."""

    data: Path
    data_dir: Path
    train_until: datetime
    since: datetime | None = None
    until: datetime | None = None
    out: Path | None = None
    seed: int = 7
    tenant: str = "replay"


def replay(options: Options, tell: Callable[[str], None]) -> dict[str, Any]:
    """Train on what was known, play the recording, and judge the orders; gives the figures.

    Raises:
        InputError: a recorded file is at fault; names file and line.
        ReplayStuck: a service did not finish.
    """
    begun = time.monotonic()
    history = _cut(read_history(options.data), options)
    tell(f"recording: {len(history.devices)} machines, {len(history.frames.ts_ms):,} frames")
    with _running(options, tell) as system:
        model = _train(system, history, options, tell)
        delivery = _play(system, history, options, tell)
        system.wait_until_judged()
        orders, duplicates, stored = system.outcome()
    figures = backtest_azure.judged(
        model, rows_of(history), history, orders, until_ms=to_ms(options.train_until)
    )
    if options.out is not None:
        backtest_azure.write_orders(options.out, orders)
    return figures | {
        "duplicate_orders": duplicates,
        "frames_sent": delivery.frames_sent,
        "frames_stored": stored,
        "frames_acked": delivery.frames_acked,
        "frames_lost": delivery.frames_sent - stored,
        "seconds": round(time.monotonic() - begun, 1),
    }


def _cut(history: History, options: Options) -> History:
    """Leave out what lies before and after the dates that are asked for."""
    cut = history if options.until is None else history.known_at(to_ms(options.until))
    return cut if options.since is None else cut.since(to_ms(options.since))


@dataclass(slots=True)
class _System:
    """The servers and services that a replay goes through."""

    supervisor: Supervisor
    site: site.Site
    broker: EmbeddedBroker
    keys: Path
    folder: Path
    timeline: str
    tenant: str

    def wait_until_judged(self) -> None:
        """Return once everything that was stored is scored, alerted and acted on."""
        until = time.monotonic() + LONGEST_S
        with self._reading() as connection:
            while True:
                with transaction(connection, tenant=EVERY_TENANT):
                    row = connection.execute(STORY["lag"]).fetchone()
                if row is None or not row["lag"]:
                    return
                if time.monotonic() > until or self.supervisor.stop_asked:
                    raise ReplayStuck
                self.supervisor.step(0.1)

    def outcome(self) -> tuple[list[Order], int, int]:
        """Give the orders that were opened, how many twice, and the frames that are stored."""
        asked = {"timeline": self.timeline}
        with self._reading() as connection, transaction(connection, tenant=EVERY_TENANT):
            rows = connection.execute(_SQL["orders"], asked).fetchall()
            twice = connection.execute(_SQL["duplicates"], asked).fetchone() or {}
            stored = connection.execute(_SQL["stored"], asked).fetchone() or {}
        return [_order(row) for row in rows], twice["duplicates"], stored["frames"]

    @contextmanager
    def _reading(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        with psycopg.connect(self.site.app_url, autocommit=True, row_factory=dict_row) as link:
            yield link


@contextmanager
def _running(options: Options, tell: Callable[[str], None]) -> Iterator[_System]:
    with ExitStack() as stack:
        home = stack.enter_context(open_data_dir(options.data_dir))
        postgres, broker = EmbeddedPostgres(home), EmbeddedBroker(home)
        supervisor = stack.enter_context(Supervisor(home.folder("log")))
        supervisor.start(servers(postgres, broker))
        ready = site.prepare_database(home, postgres, options.tenant)
        site.seed_network(ready.app_url, options.tenant)
        tell(f"storage: {ready.storage}")
        environment = service_environment(home, ready, broker, tenant=options.tenant)
        supervisor.start([foremend_service(name, environment) for name in SERVICES])
        yield _System(
            supervisor=supervisor,
            site=ready,
            broker=broker,
            keys=home.path / "keys",
            folder=home.folder("replay"),
            timeline=f"replay:azure-{secrets.token_hex(4)}",
            tenant=options.tenant,
        )


def _train(
    system: _System, history: History, options: Options, tell: Callable[[str], None]
) -> FailureModel:
    plan = TrainingPlan(seed=options.seed, order_horizon_h=HORIZON_H)
    trained = train(history.known_at(to_ms(options.train_until)), plan)
    key = signing.local_key(system.keys, system.keys / "trusted")
    record = sealed(trained, key, {"recording": "azure-pdm"})
    with connect(system.site.app_url, name="train") as connection:
        put_in_force(connection, record)
    tell(
        f"model {record.version}: trained on what was known at {options.train_until:%Y-%m-%d}, "
        f"{sum(trained.failures.values())} failures"
    )
    return trained.model


def _play(
    system: _System, history: History, options: Options, tell: Callable[[str], None]
) -> Delivery:
    login = system.broker.fleet
    broker = BrokerConfig(
        host=system.broker.host,
        port=system.broker.port,
        username=login.user,
        password=login.password,
    )

    def progress(done: int, total: int) -> None:
        system.supervisor.step(0)
        if done % 10 == 0 or done == total:
            tell(f"played {done} of {total} days")

    player = Player(history, options.tenant, system.timeline, broker, system.folder, progress)
    return asyncio.run(player.play())


def _order(row: dict[str, Any]) -> Order:
    return Order(
        device=row["device"],
        component=row["component"],
        opened_ms=to_ms(row["opened_at"]),
        probability=float(row["probability"]),
        top_reasons=tuple(_short(reason) for reason in row["evidence"][:3]),
    )


def _short(reason: dict[str, Any]) -> str:
    return f"{reason['kind']}:{reason['subject']}"
