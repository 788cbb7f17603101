"""Training on what the database holds: telemetry, and the findings of work orders as labels."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from field_service.labels import labels
from foremend.clock import to_ms
from foremend.db import connect, transaction
from models import signing, stored
from models.fitting import TrainingPlan
from models.history import NO_MARKS, Frames, History
from models.training import TooFewFailures, train_rows
from stack import day_one, findings
from stack.parallel import Workers, working
from stack.training import (
    RECALL_WEIGHT,
    RIGHT_WITHIN_H,
    admit,
    bars,
    champion_of,
    console_of,
    database_of,
    reporter,
    sealed,
    with_prior,
)

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console
    from rich.progress import Progress

    from foremend.settings import Settings
    from models.priors import Learnt
    from models.registry import Record
    from models.signing import SigningKey
    from models.stored import Cohort, Told, Window
    from stack.findings import Known

AT_LEAST: Final = 20
"""Labelled failures under which thresholds would be chosen by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be learnt from; `until` None is the timeline's present."""

    tenant: str
    timeline: str = "live"
    family: str | None = None
    until: datetime | None = None
    days: float = 180.0
    at_least: int = AT_LEAST
    seed: int = 7
    right_within_h: float = RIGHT_WITHIN_H
    workers: Workers = field(default_factory=Workers)
    only_missing: bool = False
    """Leave out families that have a model in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A cohort's rows with what is known of its parts."""

    cohort: Cohort
    told: Told
    known: Known
    priors: list[Learnt]

    @property
    def history(self) -> History:
        """Everything but the frames, which are rows already."""
        none = np.empty(0, dtype=np.int64)
        empty = np.empty((0, len(self.cohort.spec.channels)))
        return History(
            spec=self.cohort.spec,
            devices=self.cohort.names,
            frames=Frames(device=none, ts_ms=none, phase=none.astype(np.int16), values=empty),
            events=NO_MARKS,
            replacements=self.known.replacements,
            findings=self.known.findings,
            installs=NO_MARKS,
            until_ms=to_ms(self.cohort.window.until),
        )


def train_stored(settings: Settings, ask: Ask) -> list[Record]:
    """Train each family asked for, sign the models, and hand them to the registry.

    Raises:
        ConfigurationError: no database is named, or the workers cannot be had.
        NotFound: there is no such timeline, or no device of such a family.
        TooFewFailures: too little is labelled; says how much, and how much is wanted.
    """
    url = database_of(settings)
    console = console_of()
    key = signing.local_key(settings.data_dir / "keys", settings.trusted_keys_dir)
    begun = time.monotonic()
    made: list[Record] = []
    for window in _windows(url, ask):
        record, prior = _learnt(url, window, ask, key, console)
        with connect(url, name="train") as connection:
            placed = admit(connection, record, prior)
        console.print(f"model: {record.version} of {record.cohort} {placed}")
        made.append(record)
    console.print(
        f"model: trained on findings in {time.monotonic() - begun:.0f} s, "
        f"signed with the local key {key.kid}"
    )
    return made


def _windows(url: str, ask: Ask) -> list[Window]:
    with connect(url, name="train") as connection, transaction(connection, tenant=ask.tenant):
        present, live = stored.clock_of(connection, ask.timeline)
        wanted = [ask.family] if ask.family else stored.families(connection, ask.timeline)
        if ask.only_missing:
            wanted = [name for name in wanted if champion_of(connection, name) is None]
    until = present if ask.until is None else min(ask.until, present)
    return [
        stored.Window(
            timeline=ask.timeline,
            family=family,
            since=until - timedelta(days=ask.days),
            until=until,
            live=live,
        )
        for family in wanted
    ]


def _learnt(
    url: str, window: Window, ask: Ask, key: SigningKey, console: Console
) -> tuple[Record, Record | None]:
    with bars(console) as progress:
        lesson = read_lesson(url, window, ask, progress)
        plan = TrainingPlan(
            failure_modes=lesson.known.failure_modes,
            jobs=ask.workers.jobs,
            seed=ask.seed,
            right_within_h=ask.right_within_h,
            recall_weight=RECALL_WEIGHT,
        )
        report = reporter(progress, f"training {window.family}")
        with working(ask.workers):
            trained = train_rows(lesson.told.rows, lesson.history, plan, progress=report)
    prior = day_one.sealed(lesson.priors, window.family, _source(lesson), key)
    lineage = _lineage(url, lesson, ask) | with_prior(prior)
    return sealed(trained, key, _source(lesson), lineage), prior


def read_lesson(url: str, window: Window, ask: Ask, progress: Progress) -> Lesson:
    """Read a cohort's rows and labels; labels first, for reading takes long where they are few.

    Raises:
        NotFound: there is no device of such a family.
        TooFewFailures: too little is labelled.
    """
    with connect(url, name="train") as connection, transaction(connection, tenant=ask.tenant):
        cohort = stored.read_cohort(connection, window)
        found = [
            label
            for label in labels(connection, known_by=window.until, timeline=window.timeline)
            if label.family == window.family
        ]
        terms: dict[str, Any] = {
            "devices": cohort.ids,
            "components": cohort.spec.components,
            "since_ms": to_ms(window.since),
        }
        have = findings.known(found, NO_MARKS, **terms).failures
        if have < ask.at_least:
            raise TooFewFailures(_too_few(window, have, ask.at_least))
        report = reporter(progress, f"reading {window.family}")
        told = stored.read_rows(connection, cohort, progress=report)
        known = findings.known(found, told.replacements, **terms)
        learnt = day_one.of_stored(connection, cohort, known.findings, known.replacements)
    return Lesson(cohort=cohort, told=told, known=known, priors=learnt)


def _too_few(window: Window, have: int, wanted: int) -> str:
    return (
        f"{have} failures of {window.family} on {window.timeline} were known by "
        f"{window.until:%Y-%m-%d %H:%M}, and {wanted} are wanted: close more work orders with a "
        "finding, look further back with --days, or begin with --simulated 400"
    )


def _source(lesson: Lesson) -> dict[str, Any]:
    window = lesson.cohort.window
    return {
        "timeline": window.timeline,
        "devices": len(lesson.cohort.ids),
        "frames": lesson.told.frames,
        "rows": len(lesson.told.rows),
    }


def _lineage(url: str, lesson: Lesson, ask: Ask) -> dict[str, Any]:
    """What else must be known to tell how this model came to be, and to make it again."""
    with connect(url, name="train") as connection:
        parent = champion_of(connection, lesson.cohort.window.family)
    return {
        "known_by_ms": to_ms(lesson.cohort.window.until),
        "tenant": ask.tenant,
        "labels": dict(lesson.known.counts),
        "parent": parent,
    }
