"""One run of the whole system: it comes up, tells its story, and is summed up at its end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row

from foremend.db import EVERY_TENANT, transaction
from foremend.errors import ForemendError
from stack import site, summary
from stack.counters import Tally
from stack.footprint import own_mb
from stack.readiness import answers
from stack.services import foremend_service, service_environment, training
from stack.story import SQL, Teller
from stack.supervise import ServiceFailed, StopAsked, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stack.embedded.broker import EmbeddedBroker
    from stack.embedded.datadir import DataDir
    from stack.summary import Summary

    Link = psycopg.Connection[dict[str, Any]]

TIMELINE: Final = "sim:demo"
SERVICES: Final = ("gate", "ingest", "scoring", "shadow", "alerting", "field-service", "upkeep")
SPARED: Final = frozenset({"shadow"})
"""Without these all goes on as it does with them."""
API: Final = "api"
FLEET: Final = "simulate"
NEWS_EVERY_S: Final = 0.5
SETTLE_S: Final = 3.0
"""How long the last frames of a bounded run may take to be acknowledged and judged."""


class TrainingFailed(ForemendError):
    """No model could be trained, so nothing would be foreseen; the lines above say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a run does once its servers are up."""

    tenant: str
    scale: float
    """Simulated seconds in one second."""
    seed: int
    histories: int
    """To train on where there is no model; 0 trains nothing."""
    for_s: float | None
    """Wall seconds from the first frame; None runs until it is stopped."""
    fleet: bool


@dataclass(slots=True, kw_only=True)
class System:
    """The parts of one run while it lasts."""

    course: Course
    home: DataDir
    broker: EmbeddedBroker
    supervisor: Supervisor
    tell: Callable[[str], None]
    site: site.Site
    api_port: int
    _tally: Tally = field(init=False)
    _link: Link | None = field(default=None, init=False)
    _teller: Teller | None = field(default=None, init=False)
    _first_frame_at: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._tally = Tally(self.home.folder("fleet") / "counters.json")

    def live(self) -> Summary:
        """Come up, go on until it is over or somebody asks for a stop, and sum it up."""
        with suppress(StopAsked):
            self._come_up()
            self._follow()
        return self._sum_up()

    def _come_up(self) -> None:
        told, supervisor = self._environment(), self.supervisor
        if self.course.histories:
            self._train(told)
        url = f"http://127.0.0.1:{self.api_port}"
        services = [foremend_service(name, told, vital=name not in SPARED) for name in SERVICES]
        api = foremend_service(API, told, ready=lambda: answers(f"{url}/readyz"))
        supervisor.start([*services, api])
        self.tell(f"console: {url}/")
        if self.course.fleet:
            self._start_fleet(told)

    def _train(self, told: Mapping[str, str]) -> None:
        """Have a model for each family, training in a process of its own where there is none."""
        try:
            self.supervisor.start([training(told, self.course.histories)])
        except ServiceFailed as failure:
            if failure.service == "train":
                raise TrainingFailed from failure
            raise

    def _start_fleet(self, told: Mapping[str, str]) -> None:
        """Let the simulated devices and people begin."""
        token = site.crew_token(self.site.app_url, self.course.tenant)
        argv = ("--scale", str(self.course.scale), "--seed", str(self.course.seed))
        service = foremend_service(FLEET, {**told, "FOREMEND_CREW_TOKEN": token}, *argv)
        self.supervisor.start([service])
        self.tell(f"fleet: {site.FLEET_WORDS}, simulated; one second is {_span(self.course.scale)}")

    def _environment(self) -> dict[str, str]:
        told = service_environment(self.home, self.site, self.broker, tenant=self.course.tenant)
        return told | {
            "FOREMEND_API_PORT": str(self.api_port),
            "FOREMEND_TRUTH_FILE": str(self.home.folder("fleet") / "truth.jsonl"),
            # A webhook of the demonstration goes to a program on this machine.
            "FOREMEND_ALLOW_PRIVATE_DESTINATIONS": "true",
        }

    def _follow(self) -> None:
        """Tell the story until it is over."""
        told_at = 0.0

        def over() -> bool:
            nonlocal told_at
            self._tally.look()
            if time.monotonic() - told_at >= NEWS_EVERY_S:
                told_at = time.monotonic()
                self._look_around()
            return self._over()

        self.supervisor.run(over, every=NEWS_EVERY_S)

    def _look_around(self) -> None:
        """Tell what is new; a database that is away is asked again the next time."""
        try:
            link = self._linked()
            site.place_devices(link, self.course.tenant)
            self._tell_news(link)
            self._look_for_first_frame(link)
        except psycopg.OperationalError:
            self._link = None

    def _linked(self) -> Link:
        if self._link is None:
            self._link = psycopg.connect(
                self.site.app_url, autocommit=True, row_factory=dict_row, connect_timeout=2
            )
        return self._link

    def _tell_news(self, link: Link) -> None:
        if self._teller is None:
            self._teller = Teller(link, TIMELINE)
        self._teller.go_on(link)
        for line in self._teller.news():
            self.tell(line)

    def _look_for_first_frame(self, link: Link) -> None:
        if self._first_frame_at is None and self._tally.boots:
            row = link.execute(SQL["first_frame"], {"boots": self._tally.boots}).fetchone()
            if row is not None and row["seen"]:
                self._first_frame_at = time.monotonic()

    def _over(self) -> bool:
        if self.course.for_s is None or self._first_frame_at is None:
            return False
        return time.monotonic() - self._first_frame_at >= self.course.for_s

    def _sum_up(self) -> Summary:
        """Stop the fleet, let what it said be stored and judged, and give what it came to."""
        rss = self.supervisor.rss_mb() | {"up": own_mb()}
        storage, broker = self.site.storage.layout.value, self.broker.program.kind.value
        self.supervisor.stop([FLEET])
        self._tally.look()
        try:
            link = self._linked()
            self._settle(link)
            if self._teller is not None:
                self._tell_news(link)
            return summary.summarise(
                link,
                timeline=TIMELINE,
                tally=self._tally,
                truth=self.home.folder("fleet") / "truth.jsonl",
                storage=storage,
                broker=broker,
                rss_mb=rss,
            )
        except psycopg.OperationalError:
            self.tell("the database is away, so the totals are not known; all data are kept")
            return summary.nothing(storage=storage, broker=broker, rss_mb=rss)

    def _settle(self, link: Link) -> None:
        if self._first_frame_at is None or self.supervisor.stop_asked:
            return
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until and not self.supervisor.stop_asked:
            with transaction(link, tenant=EVERY_TENANT):
                row = link.execute(SQL["lag"]).fetchone()
            if row is not None and not row["lag"]:
                return
            self.supervisor.step(0.1)


def _span(seconds: float) -> str:
    """Give simulated time in the unit that a person would choose.

    >>> _span(7200.0), _span(600.0), _span(1.0)
    ('2 h', '10 min', '1 s')
    """
    size, unit = next(
        (size, unit) for size, unit in ((3600, "h"), (60, "min"), (0, "s")) if seconds >= size
    )
    return f"{seconds / (size or 1):g} {unit}"
