"""The whole system over a year: telemetry to predictions to orders to findings to better models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend.clock import DAY_MS
from foremend.errors import NotFound
from models.scoring.engine import Engine
from models.scoring.entries import Adoption
from stack.year import learning
from stack.year.alerts import Alerts
from stack.year.judging import foreseeing
from stack.year.log import PARTITION, batch, introductions
from stack.year.record import Record, joined, watched
from stack.year.terms import STEP_MS
from stack.year.walk import account, ground, unheard, walk

if TYPE_CHECKING:
    from foremend.clock import Millis
    from models.failure import FailureModel
    from models.fitting import TrainingPlan
    from models.priors import PriorSet
    from models.scoring.entries import Batch
    from simulators.fleets import AnyFleet
    from simulators.steps import Step
    from stack.year.accounts import Account
    from stack.year.record import Known
    from stack.year.terms import Terms
    from stack.year.walk import Ground, Tell

LEARN_EVERY_MS: Final = 7 * DAY_MS
"""How often it is asked whether there is enough that is new."""


@dataclass(slots=True)
class Shelf:
    """Models by version, as the registry would give them."""

    by_version: dict[str, FailureModel] = field(default_factory=dict)

    def failure_model(self, version: str) -> FailureModel:
        """Give one."""
        return self.by_version[version]

    def priors(self, version: str) -> PriorSet:
        """Give none: nothing adopts any in a year."""
        raise NotFound(f"no priors {version}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One training of the year: when, by how many failures, and what came of it."""

    day: float
    failures: int
    adopted: bool
    reason: str


@dataclass(slots=True)
class Loop:
    """One fleet under the whole system; `each` is the policy of a window."""

    on: Ground
    how: TrainingPlan
    window_ms: Millis
    pilot: Known
    record: Record = field(init=False)
    alerts: Alerts = field(init=False)
    engine: Engine = field(init=False)
    lessons: list[Lesson] = field(default_factory=list)
    _shelf: Shelf = field(default_factory=Shelf)
    _champion: FailureModel | None = None
    _taught_by: int = 0
    _held: list[Batch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record, self.alerts = Record(self.on), Alerts(self.on.site)
        self.engine = Engine(self._shelf, digests=False)
        self.engine.take(introductions(self.on.fleet))
        self._taught_by = len(self.pilot.history.faults)
        first = learning.taught(self.pilot, self.how)
        if first is not None:
            self.adopt(first)

    def each(self, step: Step) -> None:
        """Take a window; judge once the first has come that ends past a boundary."""
        self.record.take(step)
        self._held.append(batch(step))
        if (step.ts_ms - self.window_ms) % STEP_MS == 0:
            self._judge(step.ts_ms)
        if step.ts_ms % LEARN_EVERY_MS == 0:
            self.learn(step.ts_ms)

    def adopt(self, model: FailureModel) -> None:
        """Put a model into force for every device."""
        version = f"year-{len(self._shelf.by_version) + 1}"
        self._shelf.by_version[version], self._champion = model, model
        family = self.on.fleet.family
        self.engine.take(
            [Adoption(partition=PARTITION, kind="model", cohort=family, version=version)]
        )

    def learn(self, now_ms: Millis) -> None:
        """Train on what is known if there is enough that is new, and adopt what is better."""
        known = len(self.pilot.history.faults) + self.record.faults
        if not learning.due(known, self._taught_by).yes:
            return
        everything = joined(self.pilot, self.record.known(now_ms))
        decision = learning.tried(everything, self.how, self._champion)
        model = learning.taught(everything, self.how) if decision.yes else None
        if model is not None:
            self.adopt(model)
        self._taught_by = known
        self.lessons.append(
            Lesson(
                day=(now_ms - self.on.since_ms) / DAY_MS,
                failures=known,
                adopted=model is not None,
                reason=decision.reason.value,
            )
        )

    def _judge(self, now_ms: Millis) -> None:
        out = self.engine.take(self._held)
        self._held = []
        self.on.sightings.scored(out)
        self.alerts.handle(out.predictions, now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """What the whole system made of a year of one family, and how it learnt."""

    account: Account
    lessons: tuple[Lesson, ...]


def with_foremend(terms: Terms, fleet: AnyFleet, pilot: AnyFleet, tell: Tell = unheard) -> Year:
    """Begin with what a pilot taught, foresee, repair ahead, and learn from what is found."""
    on = ground(fleet)
    how = learning.plan(failure_modes(on), terms.seed)
    loop = Loop(on, how, terms.window_ms, watched(terms, pilot, how.horizons_h[-1]))
    walk(on, terms, each=loop.each, tell=tell)
    orders = foreseeing(on.site.world.orders.values())
    return Year(account=account(on, orders), lessons=tuple(loop.lessons))


def failure_modes(on: Ground) -> dict[str, str]:
    """Name each component's failure as the catalogue does first."""
    family = on.site.desk.catalogue.family(on.site.family)
    return {r.component: r.failure_mode for r in reversed(family.resolution)}
