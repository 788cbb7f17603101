"""Old sections are dropped or compressed, one at a time, by the timelines' clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg

from foremend.db import EVERY_TENANT, Queries, storage, transaction
from foremend.log import get_logger
from foremend.values import TimelineKind
from ingest.upkeep import retention
from ingest.upkeep.retention import Action, Decision, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from foremend.db import Connection
    from foremend.db.storage import Section

_SQL: Final = Queries.load("ingest.upkeep", "retention.sql")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One section, what was decided of it, and whether the database agreed."""

    section: Section
    decision: Decision
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """One kind of sections, and the rule for it."""

    holders: str
    sections: tuple[Section, ...]
    keep: timedelta | None
    compress: timedelta | None = None


def tidy(connection: Connection, rules: Rules, wall: datetime) -> list[Done]:
    """Look at every section once, and drop or compress what is old enough and no longer needed."""
    presents = presents_of(connection, wall)
    results = []
    for shelf in _shelves(connection, rules):
        for section in shelf.sections:
            decision = _decide(connection, shelf, section, presents)
            if decision.action is not Action.KEEP:
                results.append(_apply(connection, section, decision))
    return results


def presents_of(connection: Connection, wall: datetime) -> dict[str, datetime]:
    """Give the present of each timeline that has devices."""
    with transaction(connection, tenant=EVERY_TENANT):
        rows = connection.execute(_SQL["timelines"]).fetchall()
    told = {
        name: retention.present_of(TimelineKind(kind), now_at, seen_at, wall)
        for name, kind, now_at, seen_at in rows
    }
    return {name: present for name, present in told.items() if present is not None}


def _shelves(connection: Connection, rules: Rules) -> list[_Shelf]:
    """List what has a rule."""
    shelves = []
    compress = rules.compress if storage.in_use(connection).compresses else None
    if rules.hours:
        found = storage.rollup_sections(connection, storage.HOURS)
        shelves.append(_Shelf(holders="holders_of_hours", sections=found, keep=rules.hours))
    if rules.minutes:
        found = storage.rollup_sections(connection, storage.MINUTES)
        shelves.append(_Shelf(holders="holders_of_minutes", sections=found, keep=rules.minutes))
    if rules.frames or compress:
        found = storage.sections(connection)
        shelf = _Shelf(holders="holders", sections=found, keep=rules.frames, compress=compress)
        shelves.append(shelf)
    return shelves


def _decide(
    connection: Connection, shelf: _Shelf, section: Section, presents: Mapping[str, datetime]
) -> Decision:
    ages = [age for age in (shelf.keep, shelf.compress) if age is not None]
    told = {"since": section.since, "until": section.until}
    # The holders cost a look a device, so they are asked for only where somebody has passed.
    holders: frozenset[str] = frozenset()
    if any(retention.passed(section.until, presents, age) for age in ages):
        with transaction(connection, tenant=EVERY_TENANT):
            rows = connection.execute(_SQL[shelf.holders], told).fetchall()
        holders = frozenset(name for (name,) in rows)
    return retention.decide(
        section.until,
        holders,
        presents,
        keep=shelf.keep,
        compress=shelf.compress,
        compressed=section.compressed,
    )


def _apply(connection: Connection, section: Section, decision: Decision) -> Done:
    act = storage.drop if decision.action is Action.DROP else storage.compress
    try:
        done = act(connection, section.name)
    except psycopg.errors.LockNotAvailable:
        done = False
    _log.info(
        "an old section" if done else "an old section is still in use, and kept for now",
        section=section.name,
        action=decision.action.value,
        until=section.until.isoformat(),
        mb=section.size >> 20,
    )
    return Done(section=section, decision=decision, done=done)
