"""Trials in the database: which challenger is scored, what it said, and what both were worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import tuple_row

from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.values import PART_REPLACED
from models.backtest import Candidate, Failure
from models.trials.judging import WITHIN_H, Ground, judged

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from foremend.db import Connection
    from models.trials.promotion import Figures

_SQL: Final = Queries.load("models.trials", "trials.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One challenger's time as a shadow; instants on the wall clock."""

    version: str
    cohort: str
    begun_at: datetime
    ended_at: datetime | None
    fault: str | None


def consumer_of(version: str) -> str:
    """Name a challenger's place in the input log."""
    return f"shadow:{version}"


def begin(connection: Connection, version: str, cohort: str) -> None:
    """Let a shadow be scored on live data; an earlier challenger of its cohort is not any more."""
    with transaction(connection, tenant=EVERY_TENANT):
        asked = {"version": version, "cohort": cohort}
        for (other,) in connection.execute(_SQL["end_others"], asked).fetchall():
            _forget(connection, other)
        for block in ("forget_said", "forget_seen", "begin"):
            connection.execute(_SQL[block], asked)


def end(connection: Connection, version: str, *, fault: str | None = None) -> None:
    """Let a challenger be scored no longer; what it said is kept, its place in the log is not."""
    with transaction(connection, tenant=EVERY_TENANT):
        block = "end" if fault is None else "fail"
        connection.execute(_SQL[block], {"version": version, "fault": fault})
        _forget(connection, version)


def running(connection: Connection) -> list[tuple[str, str]]:
    """Give version and cohort of every challenger that is to be scored."""
    return connection.execute(_SQL["running"]).fetchall()


def trial_of(connection: psycopg.Connection[Any], version: str) -> Trial | None:
    """Give a version's trial, if it ever had one."""
    found = _rows(connection, "trial", {"version": version})
    if not found:
        return None
    (row,) = found
    return Trial(version=row[0], cohort=row[1], begun_at=row[2], ended_at=row[3], fault=row[4])


def figures(
    connection: Connection, version: str, *, timeline: str | None = None, within_h: float = WITHIN_H
) -> tuple[Figures, Figures]:
    """Give what was in force and what the challenger would have been worth, over the same time."""
    with transaction(connection, tenant=EVERY_TENANT):
        return read_figures(connection, version, timeline=timeline, within_h=within_h)


def read_figures(
    connection: psycopg.Connection[Any],
    version: str,
    *,
    timeline: str | None = None,
    within_h: float = WITHIN_H,
) -> tuple[Figures, Figures]:
    """Do the same inside the caller's transaction, on what its tenant may see."""
    asked = {"version": version, "timeline": timeline, "part_replaced": PART_REPLACED}
    ground = _ground(connection, asked)
    in_force, shadow = (
        [_candidate(row) for row in _rows(connection, block, asked)]
        for block in ("said_in_force", "said_by_shadow")
    )
    return judged(in_force, ground, within_h), judged(shadow, ground, within_h)


def _rows(
    connection: psycopg.Connection[Any], block: str, asked: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Ask for rows as tuples, however the connection gives them."""
    return connection.cursor(row_factory=tuple_row).execute(_SQL[block], asked).fetchall()


def _ground(connection: psycopg.Connection[Any], asked: dict[str, Any]) -> Ground:
    labels, swaps = (_rows(connection, block, asked) for block in ("found", "replaced"))
    found = [_failure(row) for row in labels if row[3]]
    mended = [_failure(row) for row in labels if row[3] or row[4]]
    return Ground(
        seen={device: (since, until) for device, since, until in _rows(connection, "seen", asked)},
        found=found,
        replaced=[*mended, *(_failure(row) for row in swaps)],
    )


def _failure(row: tuple[Any, ...]) -> Failure:
    return Failure(device=row[0], component=row[1], ts_ms=row[2])


def _candidate(row: tuple[Any, ...]) -> Candidate:
    return Candidate(device=row[0], component=row[1], ts_ms=row[2], probability=row[3])


def _forget(connection: Connection, version: str) -> None:
    asked = {"consumer": consumer_of(version)}
    connection.execute(_SQL["forget_cursors"], asked)
    connection.execute(_SQL["forget_snapshots"], asked)
