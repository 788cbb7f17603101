"""Runs a soak: everything real and throw-away, a print under way, and cables pulled at random."""

from __future__ import annotations

import random
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, Queries, connect, transaction
from foremend.errors import ConfigurationError, Unavailable
from stack.command import Command
from stack.drill.ground import ThrowAway
from stack.drill.octoprint import API_KEY, OctoPrint, find
from stack.drill.parts import PartFailed, ProcessPart, wait
from stack.drill.relay import Mode, Relay
from stack.embedded.ports import LOOPBACK
from stack.service import Service
from stack.soak.report import NAME, Report, wrong_with
from stack.soak.verdict import Found, Pulled, Row, Verdict, judge
from stack.soak.witness import BrokerWitness, OctoPrintWitness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TENANT: Final = f"drill-{NAME}"
STALE_AFTER_S: Final = 10.0
SILENCE_S: Final = 6.0
SETTLED: Final = 0.2
"""Share of the soak after which the agent has met all that it will meet."""
SWALLOWED_MS: Final = 3_000
"""In a shorter time nothing may have been said, so that nothing was swallowed."""
PATIENCE_S: Final = 90.0
LOOK_S: Final = 1.0
_SQL: Final = Queries.load("stack.soak", "soak.sql")
_AGENT: Final = """\
outbox = "outbox.sqlite3"
log_level = "WARNING"
[agent]
tenant = "{tenant}"
device = "{device}"
max_frame_age_s = 0.5
[agent.broker]
host = "{host}"
port = {broker_port}
username = "{device}"
password = "{password}"
keepalive_s = 2
timeout_s = 2.0
[source]
kind = "octoprint"
url = "http://{host}:{octoprint_port}"
api_key = "{api_key}"
stale_after_s = {stale_after_s}
silence_s = {silence_s}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a soak is run."""

    minutes: float = 60.0
    seed: int = 1
    program: Path | None = None
    """OctoPrint's executable; None looks for one."""
    rest_s: tuple[float, float] = (4.0, 20.0)
    """Between two pulled cables: between these."""
    hold_s: tuple[float, float] = (1.0, 15.0)
    """How long one is pulled: between these."""
    tell: Callable[[str], None] = lambda _line: None


@dataclass(slots=True)
class Soak:
    """One soak on its way."""

    ground: ThrowAway
    server: OctoPrint
    link: Relay
    broker: BrokerWitness
    octoprint: OctoPrintWitness
    agent: ProcessPart
    course: Course
    chance: random.Random
    pulled: list[Pulled] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    recovery_s: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _rss_mb: list[float] = field(default_factory=list)

    def run(self) -> Report:
        """Pull cables until the time is over, then judge."""
        try:
            self._loops()
            self._settle()
        except (PartFailed, Unavailable) as failure:
            self.complaints.append(str(failure))
        found = self._verdict()
        growth_mb = self._growth_mb()
        self.complaints += wrong_with(found, growth_mb)
        if self.octoprint.failed:
            self.complaints.append(self.octoprint.failed)
        return Report(
            verdict=found,
            pulled=self.counts,
            recovery_s=tuple(self.recovery_s),
            rss_mb=max(self._rss_mb, default=0.0),
            rss_growth_mb=growth_mb,
            complaints=tuple(self.complaints),
        )

    def _loops(self) -> None:
        self._print()
        self._recover(wall_ms())
        over = time.monotonic() + 60 * self.course.minutes
        cables = self._cables()
        while time.monotonic() < over:
            self._let_pass(self.chance.uniform(*self.course.rest_s))
            name = self.chance.choice(sorted(cables))
            self.counts[name] = self.counts.get(name, 0) + 1
            began_ms = wall_ms()
            with cables[name]():
                self._let_pass(self.chance.uniform(*self.course.hold_s))
            ended_ms = wall_ms()
            noticed = name == "cut" or (name == "swallowed" and ended_ms - began_ms > SWALLOWED_MS)
            self.pulled.append(Pulled(began_ms=began_ms, ended_ms=ended_ms, noticed=noticed))
            self._recover(ended_ms)
            took = f"{self.recovery_s[-1]:.1f} s"
            self.course.tell(f"{NAME}: {name} {len(self.pulled)}: read again after {took}")

    def _cables(self) -> dict[str, Callable[[], Any]]:
        return {
            "cut": lambda: _pulled(self.link, Mode.CUT),
            "swallowed": lambda: _pulled(self.link, Mode.BLACK_HOLE),
            "broker": lambda: _pulled(self.ground.relay, Mode.CUT),
            "printer": self._printer_pulled,
        }

    @contextmanager
    def _printer_pulled(self) -> Iterator[None]:
        self.server.tell("/api/connection", {"command": "disconnect"})
        yield
        self.server.connect()
        self._print()

    def _print(self) -> None:
        self.server.print_file(gcode(60 * self.course.minutes + PATIENCE_S))

    def _recover(self, since_ms: int) -> None:
        """Wait until a reading that is newer is acknowledged.

        Raises:
            PartFailed: none is.
        """
        began = time.monotonic()

        def recovered() -> bool:
            return self.broker.newest_acked_ms > since_ms or not self.agent.alive()

        if not wait(recovered, PATIENCE_S) or not self.agent.alive():
            raise PartFailed(f"the printer is not read again: {self.agent.last_words()}")
        self.recovery_s.append(time.monotonic() - began)

    def _let_pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not self.agent.alive():
                raise PartFailed(f"the agent ended: {self.agent.last_words()}")
            self._rss_mb.append(self.agent.rss_mb())
            time.sleep(min(left, LOOK_S))

    def _settle(self) -> None:
        """End the agent, and let everything that was sent be acknowledged first."""
        self._let_pass(LOOK_S)
        status = self.agent.stop()
        if status != 0:
            raise PartFailed(f"the agent ended with status {status}: {self.agent.last_words()}")

    def _growth_mb(self) -> float:
        settled = self._rss_mb[int(SETTLED * len(self._rss_mb)) :]
        return max(settled, default=0.0) - (settled[0] if settled else 0.0)

    def _verdict(self) -> Verdict:
        return judge(
            read_found(self.ground.app_url, self.broker.places),
            self.broker.acked,
            self.octoprint.told,
            self.pulled,
            stale_after_ms=round(1000 * STALE_AFTER_S),
        )


@contextmanager
def _pulled(relay: Relay, mode: Mode) -> Iterator[None]:
    relay.set(mode)
    try:
        yield
    finally:
        relay.set(Mode.CLEAR)


def gcode(seconds: float) -> str:
    """Give a print that lasts at least so long, and whose temperatures change now and then."""
    lines = ["M140 S60", "M109 S200", "M190 S60", "G28", "M83"]
    for layer in range(int(seconds / 8) + 1):
        lines += [f"M104 S{195 + 5 * (layer % 5)}", f"M140 S{58 + 2 * (layer % 3)}"]
        lines += ["G1 X100 Y100 E4 F3000", "G4 P2000", "G1 X10 Y10 E4 F3000", "G4 P2000"] * 2
    return "\n".join((*lines, "M104 S0", "M140 S0", ""))


def read_found(url: str, places: tuple[int, ...]) -> Found:
    """Read what the database holds; raises Unavailable."""
    told = {"tenant": TENANT}
    with connect(url, name="soak") as link, transaction(link, tenant=EVERY_TENANT):
        rows = tuple(
            Row(boot=boot, seq=seq, ts_ms=ts_ms, values=tuple(vals[place] for place in places))
            for boot, seq, ts_ms, vals in link.execute(_SQL["frames"], told)
        )
        happened = tuple((code, ts_ms) for code, ts_ms in link.execute(_SQL["events"], told))
    return Found(rows=rows, happened=happened)


def soak(course: Course) -> Report:
    """Run a soak on servers of its own.

    Raises:
        NotHere: OctoPrint is not installed.
        ConfigurationError: it would end before it began.
    """
    if course.minutes <= 0:
        raise ConfigurationError("a soak lasts longer than 0 minutes")
    program = find(course.program)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="foremend-soak-")))
        course.tell("starting throw-away servers and OctoPrint")
        ground = stack.enter_context(ThrowAway(folder / "ground", devices=1, seed=course.seed))
        server = stack.enter_context(OctoPrint(program, folder / "octoprint"))
        link = stack.enter_context(Relay(LOOPBACK, server.port, plain=True))
        broker = stack.enter_context(BrokerWitness(ground.broker, TENANT))
        octoprint = stack.enter_context(OctoPrintWitness(server))
        agent = _agent(ground, link, folder)
        stack.callback(agent.kill)
        agent.start()
        chance = random.Random(f"{NAME} {course.seed}")  # noqa: S311 - seeded
        return Soak(ground, server, link, broker, octoprint, agent, course, chance).run()


def _agent(ground: ThrowAway, link: Relay, folder: Path) -> ProcessPart:
    ((device, password),) = ground.passwords.items()
    config = folder / "agent.toml"
    told = _AGENT.format(
        tenant=TENANT,
        device=device,
        host=LOOPBACK,
        broker_port=ground.relay.port,
        password=password,
        octoprint_port=link.port,
        api_key=API_KEY,
        stale_after_s=STALE_AFTER_S,
        silence_s=SILENCE_S,
    )
    config.write_text(told, encoding="utf-8")
    argv = (sys.executable, "-m", "stack", "agent", str(config))
    service = Service(name="agent", command=lambda: Command(argv=argv))
    return ProcessPart(service, folder / "agent.log")
