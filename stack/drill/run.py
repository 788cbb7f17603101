"""Runs one scenario: break, mend, wait for recovery, again and again; then judge."""

from __future__ import annotations

import random
import statistics
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stack.drill import verdict
from stack.drill.faults import DEVICES, Scene
from stack.drill.ground import INGEST
from stack.drill.parts import POLL_S, PartFailed
from stack.drill.small_disk import NoMount, mounted, mounted_for
from stack.drill.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.drill.ground import Ground
    from stack.drill.scenarios import Scenario
    from stack.drill.small_disk import SmallDisk
    from stack.drill.verdict import Verdict

RSS_LIMIT_MB: Final = 32.0
"""What ingest or the agents may grow by, above what they took before the first fault."""
SMALL_OUTBOX_BYTES: Final = 4 * 1024**2
SAMPLE_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a scenario is run."""

    loops: int = 5
    seed: int = 1
    patience_s: float = 90.0
    """A recovery that takes longer has failed."""
    before_s: tuple[float, float] = (0.2, 1.0)
    """Load without a fault before each one: between these."""
    tell: Callable[[str], None] = lambda _line: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scenario came to; memory in MiB, times in seconds."""

    scenario: str
    loops: int
    """Those that were finished."""
    verdict: Verdict
    recovery_s: tuple[float, ...]
    flowing_s: tuple[float, ...]
    """Until new readings of every device were acknowledged, whatever else was still to come."""
    rss_growth_mb: float
    complaints: tuple[str, ...]
    means: str = ""
    """How a disk was made small, where one was."""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.complaints

    def figures(self) -> dict[str, Any]:
        """Give the report as one JSON object's fields."""
        counts = asdict(self.verdict)
        recovery = self.recovery_s
        return {
            "scenario": self.scenario,
            "loops": self.loops,
            **{name: counts.pop(name) for name in ("acked", "stored", "lost", "duplicates")},
            "gaps_recorded": counts.pop("gaps_recorded"),
            "recovery_s_p50": round(statistics.median(recovery), 3) if recovery else None,
            "recovery_s_max": round(max(recovery), 3) if recovery else None,
            "rss_growth_mb": round(self.rss_growth_mb, 1),
            "passed": self.passed,
            "means": self.means,
            "flowing_s_max": round(max(self.flowing_s), 3) if self.flowing_s else None,
            **counts,
            "complaints": list(self.complaints),
        }


@dataclass(slots=True)
class Memory:
    """How far ingest and the devices' process have grown."""

    scene: Scene
    growth_mb: float = 0.0
    _first: dict[str, float] = field(default_factory=dict)
    _at: float = 0.0

    def look(self) -> None:
        """Take a sample, where the last one is old enough."""
        if time.monotonic() - self._at < SAMPLE_S:
            return
        self._at = time.monotonic()
        for name in (INGEST, DEVICES):
            now = self.scene.part(name).rss_mb()
            first = self._first.setdefault(name, now)
            self.growth_mb = max(self.growth_mb, now - first)


@dataclass(slots=True)
class Rehearsal:
    """One scenario on its way."""

    scenario: Scenario
    ground: Ground
    trial: Trial
    course: Course
    disk: SmallDisk | None = None
    recovery_s: list[float] = field(default_factory=list)
    flowing_s: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _memory: Memory | None = None

    def run(self) -> Report:
        """Run every loop that can be run, then judge."""
        try:
            self._loops()
            self.trial.silence(self.course.patience_s)
        except PartFailed as failure:
            self.complaints.append(str(failure))
        found = self.trial.verdict()
        self.complaints += wrong_with(found, self.scenario)
        growth = self._memory.growth_mb if self._memory else 0.0
        if growth > RSS_LIMIT_MB:
            self.complaints.append(f"memory grew by {growth:.0f} MiB")
        return Report(
            scenario=self.scenario.name,
            loops=len(self.recovery_s),
            verdict=found,
            recovery_s=tuple(self.recovery_s),
            flowing_s=tuple(self.flowing_s),
            rss_growth_mb=growth,
            complaints=tuple(self.complaints),
            means=self.disk.means if self.disk else "",
        )

    def _loops(self) -> None:
        chance = random.Random(f"{self.scenario.name} {self.course.seed}")  # noqa: S311 - seeded
        for loop in range(self.course.loops):
            scene = Scene(
                ground=self.ground, trial=self.trial, chance=chance, loop=loop, disk=self.disk
            )
            if self._memory is None:
                self._begin(scene)
            self._break_and_mend(scene)
            complaint = self.scenario.check(scene)
            if complaint:
                self.complaints.append(complaint)
            took = self.recovery_s[-1]
            name = self.scenario.name
            done = f"{name} {loop + 1}/{self.course.loops}"
            self.course.tell(f"{done}: recovered in {took:.2f} s")

    def _begin(self, scene: Scene) -> None:
        """Wait until every device's readings are acknowledged, and weigh everybody."""
        self._memory = Memory(scene)
        self._until_recovered(scene, verdict.Mark(newest={}, owed=frozenset()))

    def _break_and_mend(self, scene: Scene) -> None:
        self._let_pass(scene.chance.uniform(*self.course.before_s))
        with self.scenario.fault(scene):
            self._let_pass(scene.chance.uniform(*self.scenario.hold_s))
        ended = time.monotonic()
        self.trial.ledger.read()
        flowed = self._until_recovered(scene, verdict.mark(self.trial.ledger))
        self.recovery_s.append(time.monotonic() - ended)
        self.flowing_s.append(flowed - ended)
        if flowed - ended > self.scenario.flows_within_s:
            self.complaints.append(
                f"new readings were acknowledged after {flowed - ended:.1f} s, "
                f"not within {self.scenario.flows_within_s:.0f} s"
            )

    def _let_pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()
            time.sleep(POLL_S)

    def _until_recovered(self, scene: Scene, since: verdict.Mark) -> float:
        """Wait; give when new readings of every device were acknowledged."""
        deadline, flowed = time.monotonic() + self.course.patience_s, 0.0
        while not (flowed and self._recovered(scene, since)):
            self._look_after(scene, deadline)
            self.trial.ledger.read()
            if not flowed and verdict.flows(self.trial.ledger, since, self.ground.passwords):
                flowed = time.monotonic()
        return flowed

    def _look_after(self, scene: Scene, deadline: float) -> None:
        if not scene.trial.devices.alive():
            raise PartFailed(f"the devices ended: {scene.trial.devices.last_words()}")
        if time.monotonic() > deadline:
            raise PartFailed(f"no recovery within {self.course.patience_s:.0f} s")
        self.ground.tend()
        self._look()
        time.sleep(POLL_S)

    def _recovered(self, scene: Scene, since: verdict.Mark) -> bool:
        drained = verdict.recovered(self.trial.ledger, since, self.ground.passwords)
        serve = drained and all(scene.part(name).serves() for name in self.scenario.waits_for)
        return serve and self.scenario.caught_up(scene)

    def _look(self) -> None:
        if self._memory is not None:
            self._memory.look()


def wrong_with(found: Verdict, scenario: Scenario) -> list[str]:
    """Give what is wrong with a verdict, in words."""
    complaints = []
    if found.lost:
        complaints.append(f"{found.lost} readings were lost without a recorded gap")
    if found.duplicates:
        complaints.append(f"{found.duplicates} readings are stored more than once")
    if found.altered:
        complaints.append(f"{found.altered} readings are stored as they never were")
    if found.unkept and not scenario.kills_devices:
        complaints.append(f"{found.unkept} readings never reached the agent's disk")
    if not found.acked:
        complaints.append("nothing was acknowledged, so nothing was proven")
    return complaints


def rehearse(scenario: Scenario, ground: Ground, course: Course) -> Report:
    """Run a scenario on a ground.

    Raises:
        NotHere: the ground does not offer what the scenario harms.
    """
    ground.dismiss(scenario.waits_for)
    folder = ground.folder / "trials" / scenario.name
    trial = Trial(ground, scenario.name, folder, scenario.habits)
    with ExitStack() as stack:
        if scenario.small_outbox:
            trial.disk = _small_outbox(trial, stack)
        stack.enter_context(trial)
        disk = trial.disk or ground.database_disk
        return Rehearsal(scenario, ground, trial, course, disk).run()


def _small_outbox(trial: Trial, stack: ExitStack) -> SmallDisk:
    """Put the outbox on a small disk, by whatever means are allowed here; raises NoMount."""
    try:
        return stack.enter_context(mounted(trial.small_folder, SMALL_OUTBOX_BYTES))
    except NoMount:
        return mounted_for(trial.small_folder, SMALL_OUTBOX_BYTES, lambda: trial.devices.pid)
