"""Proposals to learn anew: made by drift, settled by whoever learns or declines."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Queries, transaction
from models.drift import CAPACITY
from models.relearning import Foreseen, Outcome, Sign, residual_drift, tail_drift

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from foremend.db import Connection

_SQL: Final = Queries.load("models", "proposals.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One that is open."""

    id: int
    tenant: str
    timeline: str
    cohort: str
    kind: str
    """`score_tail` or `residual`."""
    reason: str
    version: str
    """The model that was in force."""
    drifted_at: datetime
    before: float
    now: float
    devices: int
    proposed_at: datetime

    def __str__(self) -> str:
        what = "the usual score" if self.kind == "score_tail" else "the share of surprises"
        return (
            f"{self.cohort} on {self.timeline} drifted by {self.drifted_at:%Y-%m-%d %H:%M}: {what} "
            f"went from {self.before:.2f} to {self.now:.2f}; learn anew with `foremend train "
            f"--family {self.cohort} --timeline {self.timeline}`"
        )


def look(connection: Connection) -> list[Sign]:
    """Look at every family in use, and propose where one has drifted; gives what was found new.

    Nothing is learnt here. A family with an open proposal is not looked at again before that is
    settled, and then only from the drift on.
    """
    found: list[Sign] = []
    with transaction(connection, tenant=EVERY_TENANT):
        for tenant, timeline, cohort, version, since in connection.execute(_SQL["cohorts"]):
            asked = {"tenant": tenant, "timeline": timeline, "cohort": cohort, "since": since}
            for sign in _signs(connection, asked):
                connection.execute(_SQL["propose"], asked | _row(sign, version))
                found.append(sign)
    return found


def settle(connection: Connection, cohort: str, *, by: str) -> None:
    """Close a family's proposals: a version was learnt since, or somebody declined."""
    with transaction(connection, tenant=EVERY_TENANT):
        connection.execute(_SQL["settle"], {"cohort": cohort, "by": by})


def listed(connection: Connection) -> list[Proposal]:
    """Give the open proposals, newest first."""
    with transaction(connection, tenant=EVERY_TENANT):
        return read_open(connection)


def read_open(connection: psycopg.Connection[Any]) -> list[Proposal]:
    """Do the same inside the caller's transaction, for its tenant."""
    rows = connection.cursor(row_factory=dict_row).execute(_SQL["open"])
    return [Proposal(**row) for row in rows]


def _signs(connection: Connection, asked: dict[str, Any]) -> list[Sign]:
    scores: defaultdict[int, list[float]] = defaultdict(list)
    for at_ms, score in connection.execute(_SQL["health"], asked | {"hours": CAPACITY}):
        scores[at_ms].append(score)
    outcomes = [
        Outcome(device=row[0], component=row[1], at_ms=row[2], failed=row[3])
        for row in connection.execute(_SQL["outcomes"], asked)
    ]
    foreseen = Foreseen(connection.execute(_SQL["foreseen"], asked) if outcomes else ())
    return [s for s in (tail_drift(scores), residual_drift(outcomes, foreseen)) if s is not None]


def _row(sign: Sign, version: str) -> dict[str, Any]:
    return {
        "kind": sign.kind.value,
        "reason": sign.reason.value,
        "version": version,
        "drifted_at": to_datetime(sign.at_ms),
        "before": sign.before,
        "now": sign.now,
        "devices": sign.devices,
    }
