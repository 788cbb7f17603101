"""Training as a command: histories in, signed models in force."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from foremend.db import EVERY_TENANT, connect, transaction
from foremend.errors import ConfigurationError
from models import proposals, registry, signing
from models.fitting import TrainingPlan
from models.slices import HeldOut
from models.training import train
from models.trials import store as trials
from simulators.histories import histories as simulate
from stack import day_one
from stack.fleet.world import STEP_S
from stack.histories import as_history, failure_modes
from stack.parallel import Workers, working
from stack.promotion import put_in_force
from stack.running import app_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from foremend.db import Connection
    from foremend.settings import Settings
    from models.history import History
    from models.registry import Record
    from models.signing import SigningKey
    from models.training import TrainedModel
    from simulators.histories import History as Simulated

FAMILIES: Final = ("fdm_printer", "rotating_machine", "hydraulic_excavator")
MACHINE_SHARE: Final = 0.25
RIGHT_WITHIN_H: Final = 72.0
"""A simulated fault grows for one to three days: an order at any time in it is no false one."""
KIND: Final = "failure"


RECALL_WEIGHT: Final = 2.0
"""A failure that nobody foresaw costs more than a kit that was not needed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is to be trained on."""

    histories: int
    seed: int
    workers: Workers
    excavators: int = 0

    @property
    def devices(self) -> dict[str, int]:
        """How many histories there are of each family; none of what nobody asked for."""
        machines = round(self.histories * MACHINE_SHARE)
        counts = zip(FAMILIES, (self.histories - machines, machines, self.excavators), strict=True)
        return {family: count for family, count in counts if count}


def train_simulated(
    settings: Settings,
    *,
    histories: int,
    seed: int,
    workers: Workers,
    only_missing: bool,
    excavators: int = 0,
) -> None:
    """Train each family on simulated histories, sign the models and put them into force.

    Raises:
        ConfigurationError: no database is named.
        TooFewFailures: the histories hold too few failures.
    """
    url = database_of(settings)
    console = console_of()
    course = Course(histories=histories, seed=seed, workers=workers, excavators=excavators)
    missing = _without_model(url, course.devices)
    if only_missing and not missing:
        console.print("model: already trained, in force since an earlier start")
        return
    key = signing.local_key(settings.data_dir / "keys", settings.trusted_keys_dir)
    wanted = missing if only_missing else list(course.devices)
    begun = time.monotonic()
    for record, prior in _trained(course, wanted, key, console):
        # A connection of its own: training takes minutes, in which a database may come and go.
        with connect(url, name="train") as connection:
            placed = admit(connection, record, prior)
        if not placed.in_force:
            console.print(f"model: {record.version} of {record.cohort} {placed}")
    console.print(
        f"model: trained on {histories} simulated histories in {time.monotonic() - begun:.0f} s, "
        f"signed with the local key {key.kid}"
    )


def database_of(settings: Settings) -> str:
    """Give the URL of the database that a training registers its models in.

    Raises:
        ConfigurationError: none is named.
    """
    url = settings.database_url.get_secret_value() or app_url(settings.data_dir)
    if not url:
        raise ConfigurationError("training needs FOREMEND_DATABASE_URL, to register the models")
    return url


def console_of() -> Console:
    """Give where a training tells how far it is."""
    return Console(stderr=True, soft_wrap=True)


def champion_of(connection: Connection, family: str) -> str | None:
    """Give the version of a family's failure model that is in force."""
    return registry.PostgresShelf(connection).champion(KIND, family)


def _without_model(url: str, families: Iterable[str]) -> list[str]:
    with connect(url, name="train") as connection:
        return [f for f in families if champion_of(connection, f) is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a new model was put."""

    in_force: bool
    version: str

    def __str__(self) -> str:
        if self.in_force:
            return "is in force: its family had none"
        return f"is tried as a shadow until `foremend models promote {self.version}`"


def admit(connection: Connection, record: Record, prior: Record | None = None) -> Placed:
    """Register a new model: in force where its family has none, else as a shadow to be tried.

    The prior that was learnt beside it goes into force when it does.
    """
    with transaction(connection, tenant=EVERY_TENANT):
        shelf = registry.PostgresShelf(connection)
        if prior is not None:
            shelf.put(prior)
        proposals.settle(connection, record.cohort, by=record.version)
        if shelf.champion(record.kind, record.cohort) in {None, record.version}:
            put_in_force(connection, record)
            return Placed(in_force=True, version=record.version)
        shelf.put(record)
        trials.begin(connection, record.version, record.cohort)
    return Placed(in_force=False, version=record.version)


def sealed(
    trained: TrainedModel,
    key: SigningKey,
    source: dict[str, Any],
    lineage: dict[str, Any] | None = None,
) -> Record:
    """Sign a trained model together with what it was trained on and how it did."""
    meta = (lineage or {}) | {
        "since_ms": trained.since_ms,
        "until_ms": trained.until_ms,
        "failures": dict(trained.failures),
        "metrics": dict(trained.metrics),
        "source": source,
    }
    cohort = trained.model.spec.family
    return registry.seal(trained.model.dumps(), kind=KIND, cohort=cohort, meta=meta, key=key)


def _trained(
    course: Course, wanted: list[str], key: SigningKey, console: Console
) -> Iterator[tuple[Record, Record | None]]:
    devices = {f: count for f, count in course.devices.items() if f in wanted}
    with bars(console) as progress:
        for simulated in simulate(
            course.seed,
            printers=devices.get("fdm_printer", 0),
            machines=devices.get("rotating_machine", 0),
            excavators=devices.get("hydraulic_excavator", 0),
            step_s=STEP_S,
            progress=reporter(progress, "simulating"),
        ):
            source = {"simulated": len(simulated.names), "seed": course.seed}
            history = as_history(simulated)
            trained = _train(simulated, history, course, progress)
            learnt = day_one.of_simulated(simulated, history)
            prior = day_one.sealed(learnt, simulated.family, source, key)
            yield sealed(trained, key, source, with_prior(prior)), prior


def with_prior(prior: Record | None) -> dict[str, Any]:
    """Say in a model's lineage which prior goes with it."""
    return {} if prior is None else {"prior": prior.version}


def _train(
    simulated: Simulated, history: History, course: Course, progress: Progress
) -> TrainedModel:
    plan = TrainingPlan(
        failure_modes=failure_modes(simulated),
        jobs=course.workers.jobs,
        seed=course.seed,
        held_out=HeldOut.DEVICES,
    )
    report = reporter(progress, f"training {simulated.family}")
    with working(course.workers):
        return train(history, plan, progress=report)


def bars(console: Console) -> Progress:
    """Give bars that go once they are done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def reporter(progress: Progress, title: str) -> Callable[[str, int, int], None]:
    """Give what a stage tells its progress to; each stage is a bar."""
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = progress.add_task(f"{title}: {stage}", total=total)
        progress.update(tasks[stage], completed=done, total=total)

    return report
