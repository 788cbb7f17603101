"""Training as a command: histories in, signed models in force."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from foremend.db import EVERY_TENANT, connect, transaction
from foremend.errors import ConfigurationError
from models import registry, signing
from models.fitting import TrainingPlan
from models.scoring.store import announce
from models.slices import HeldOut
from models.training import train
from simulators.histories import histories as simulate
from stack.fleet.world import STEP_S
from stack.histories import as_history, failure_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from foremend.db import Connection
    from foremend.settings import Settings
    from models.registry import Record
    from models.signing import SigningKey
    from models.training import TrainedModel
    from simulators.histories import History as Simulated

FAMILIES: Final = ("fdm_printer", "rotating_machine", "hydraulic_excavator")
MACHINE_SHARE: Final = 0.25
RIGHT_WITHIN_H: Final = 72.0
"""A simulated fault grows for one to three days: an order at any time in it is no false one."""
KIND: Final = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is to be trained on."""

    histories: int
    seed: int
    jobs: int
    excavators: int = 0

    @property
    def devices(self) -> dict[str, int]:
        """How many histories there are of each family; none of what nobody asked for."""
        machines = round(self.histories * MACHINE_SHARE)
        counts = zip(FAMILIES, (self.histories - machines, machines, self.excavators), strict=True)
        return {family: count for family, count in counts if count}


RECALL_WEIGHT: Final = 2.0
"""A failure that nobody foresaw costs more than a kit that was not needed yet."""


def train_simulated(
    settings: Settings,
    *,
    histories: int,
    seed: int,
    jobs: int,
    only_missing: bool,
    excavators: int = 0,
) -> None:
    """Train each family on simulated histories, sign the models and put them into force.

    Raises:
        ConfigurationError: no database is named.
        TooFewFailures: the histories hold too few failures.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("training needs FOREMEND_DATABASE_URL, to register the models")
    console = Console(stderr=True, soft_wrap=True)
    # Told to end, it ends as at Ctrl-C: the processes that train with it end too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    course = Course(histories=histories, seed=seed, jobs=jobs, excavators=excavators)
    missing = _without_model(url, course.devices)
    if only_missing and not missing:
        console.print("model: already trained, in force since an earlier start")
        return
    key = signing.local_key(settings.data_dir / "keys", settings.trusted_keys_dir)
    wanted = missing if only_missing else list(course.devices)
    begun = time.monotonic()
    for record in _trained(course, wanted, key, console):
        # A connection of its own: training takes minutes, in which a database may come and go.
        with connect(url, name="train") as connection:
            put_in_force(connection, record)
    console.print(
        f"model: trained on {histories} simulated histories in {time.monotonic() - begun:.0f} s, "
        f"signed with the local key {key.kid}"
    )


def _without_model(url: str, families: Iterable[str]) -> list[str]:
    with connect(url, name="train") as connection:
        shelf = registry.PostgresShelf(connection)
        return [f for f in families if shelf.champion(KIND, f) is None]


def put_in_force(connection: Connection, record: Record) -> None:
    """Register a model, make it champion and log its adoption, all or nothing."""
    shelf = registry.PostgresShelf(connection)
    with transaction(connection, tenant=EVERY_TENANT):
        shelf.put(record)
        registry.promote(shelf, record.version)
        announce(connection, kind="model", cohort=record.cohort, version=record.version)


def sealed(trained: TrainedModel, key: SigningKey, source: dict[str, Any]) -> Record:
    """Sign a trained model together with what it was trained on and how it did."""
    meta = {
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
) -> Iterator[Record]:
    devices = {f: count for f, count in course.devices.items() if f in wanted}
    with _progress(console) as progress:
        for simulated in simulate(
            course.seed,
            printers=devices.get("fdm_printer", 0),
            machines=devices.get("rotating_machine", 0),
            excavators=devices.get("hydraulic_excavator", 0),
            step_s=STEP_S,
            progress=_reporter(progress, "simulating"),
        ):
            source = {"simulated": len(simulated.names), "seed": course.seed}
            yield sealed(_train(simulated, course, progress), key, source)


def _train(simulated: Simulated, course: Course, progress: Progress) -> TrainedModel:
    plan = TrainingPlan(
        failure_modes=failure_modes(simulated),
        jobs=course.jobs,
        seed=course.seed,
        held_out=HeldOut.DEVICES,
    )
    report = _reporter(progress, f"training {simulated.family}")
    return train(as_history(simulated), plan, progress=report)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _reporter(progress: Progress, title: str) -> Callable[[str, int, int], None]:
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = progress.add_task(f"{title}: {stage}", total=total)
        progress.update(tasks[stage], completed=done, total=total)

    return report
