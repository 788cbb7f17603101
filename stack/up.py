"""The whole system on one machine: servers, services, a simulated fleet, and what it tells."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.demo import MACHINES, PRINTERS
from stack import readiness, site, summary
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.ports import claim_port
from stack.embedded.postgres import EmbeddedPostgres
from stack.footprint import own_mb
from stack.service import Event, Kind
from stack.services import RUN, servers
from stack.supervise import StopAsked, Supervisor
from stack.system import Course, System

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `foremend up` is told."""

    data_dir: Path = Path("var")
    api_port: int = 8420
    postgres_port: int = 0
    broker_port: int = 0
    tenant: str = "demo"
    scale: float = 7200.0
    seed: int = 7
    histories: int = 400
    for_s: float | None = None
    """Wall seconds from the first frame; None runs until it is stopped."""
    fleet: bool = True

    @property
    def course(self) -> Course:
        """What is done once the servers are up."""
        return Course(
            tenant=self.tenant,
            scale=self.scale,
            seed=self.seed,
            histories=self.histories,
            for_s=self.for_s,
            fleet=self.fleet,
        )


def up(options: Options, tell: Callable[[str], None]) -> Summary:
    """Run everything until it is stopped or its time is over, and give the totals.

    Raises:
        ForemendError: something stands in the way; its message says what to do.
    """
    with ExitStack() as stack:
        home = stack.enter_context(open_data_dir(options.data_dir))
        readiness.see_off(home.folder(RUN))
        postgres = EmbeddedPostgres(home, port=options.postgres_port)
        stack.callback(postgres.close)
        passwords = {name: home.secret(f"device-{name}") for name in (*PRINTERS, *MACHINES)}
        broker = EmbeddedBroker(home, port=options.broker_port, devices=passwords)
        api_port = claim_port(options.api_port, purpose="the console", option="--api-port")
        notes = _Notes(tell)
        supervisor = stack.enter_context(Supervisor(home.folder("log"), on_event=notes.note))
        try:
            supervisor.start(servers(postgres, broker))
        except StopAsked:
            kind, rss = broker.program.kind.value, {"up": own_mb()}
            return summary.nothing(storage="", broker=kind, rss_mb=rss)
        ready = site.prepare_database(home, postgres, options.tenant)
        site.seed_network(ready.app_url, options.tenant)
        tell(f"storage: {ready.storage}")
        if ready.password:
            # At once: a stop before the console is up must not swallow it.
            tell(f"console: sign in as admin with the password {ready.password} (shown this once)")
        tell(f"broker: {broker.program.kind.value} on {broker.host}:{broker.port}")
        system = System(
            course=options.course,
            home=home,
            broker=broker,
            supervisor=supervisor,
            tell=tell,
            site=ready,
            api_port=api_port,
        )
        return system.live()


@dataclass(slots=True)
class _Notes:
    """Tells of services only what a person should know: deaths and returns."""

    tell: Callable[[str], None]

    def note(self, event: Event) -> None:
        if event.kind is Kind.DIED:
            self.tell(f"{event.service} ended unexpectedly (status {event.status}); restarting it")
        elif event.kind is Kind.RESTARTED:
            self.tell(f"{event.service} is started again")
