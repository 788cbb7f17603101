"""What a run came to: delivery, predictions and orders, held against the simulation's truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from api.judgement import FaultOutcome, OrderOutcome
from api.scopes import Scope
from api.truth import read_comparison
from foremend.db import EVERY_TENANT, transaction
from stack.story import SQL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import psycopg

    from stack.counters import Tally

_ORDER_FIELDS: Final = ("device", "component", "failure_mode", "probability", "strategy", "kit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The totals of a run; frames are those of this run, the rest those of its timeline."""

    frames_sent: int
    frames_stored: int
    frames_acked: int
    gaps: int
    predictions: int
    alerts: int
    work_orders: list[dict[str, Any]]
    true_failures: int
    """Faults that have failed, or would have had the part been left in, by now."""
    foreseen: int
    missed: int
    false_orders: int
    median_lead_h: float | None
    closed: int
    labels: int
    storage: str
    broker: str
    rss_mb: dict[str, float]

    def json(self) -> str:
        """Give it as one line."""
        return msgspec.json.encode(asdict(self)).decode()

    def line(self) -> str:
        """Give it as one sentence."""
        lead = "" if self.median_lead_h is None else f", {self.median_lead_h:.0f} h ahead"
        return (
            f"{self.frames_stored:,} frames stored of {self.frames_sent:,} sent, {self.gaps} gaps; "
            f"{self.foreseen} failures foreseen{lead}, {self.missed} missed; "
            f"{len(self.work_orders)} work orders, {self.false_orders} false, "
            f"{self.closed} closed, {self.labels} labels"
        )


def summarise(
    connection: psycopg.Connection[dict[str, Any]],
    *,
    timeline: str,
    tally: Tally,
    truth: Path,
    storage: str,
    broker: str,
    rss_mb: Mapping[str, float],
) -> Summary:
    """Gather the totals of a run."""
    asked = {"timeline": timeline, "boots": tally.boots}
    scope = Scope(timeline=timeline, region=None, now=datetime.now(UTC))
    with transaction(connection, tenant=EVERY_TENANT):
        counts = connection.execute(SQL["counts"], asked).fetchone() or {}
        stored = connection.execute(SQL["stored"], asked).fetchone() or {}
        orders = connection.execute(SQL["orders"], asked).fetchall()
        compared = read_comparison(connection, scope, truth)
    missed = compared.count(FaultOutcome.MISSED)
    foreseen = compared.count(FaultOutcome.FORESEEN)
    return Summary(
        # A fleet process that is killed has last told of itself a moment before its end.
        frames_sent=max(tally.frames_sent, stored["frames"] if tally.killed else 0),
        frames_stored=stored["frames"],
        frames_acked=tally.frames_acked,
        work_orders=[{k: row[k] for k in _ORDER_FIELDS} for row in orders if _predicted(row)],
        true_failures=missed + foreseen,
        foreseen=foreseen,
        missed=missed,
        false_orders=compared.count_orders(OrderOutcome.FALSE),
        median_lead_h=compared.median_lead_h,
        storage=storage,
        broker=broker,
        rss_mb={name: round(mb, 1) for name, mb in rss_mb.items()},
        **counts,
    )


def nothing(*, storage: str, broker: str, rss_mb: Mapping[str, float]) -> Summary:
    """Give the totals of a run that ended before there was a database to ask."""
    return Summary(
        frames_sent=0,
        frames_stored=0,
        frames_acked=0,
        gaps=0,
        predictions=0,
        alerts=0,
        work_orders=[],
        true_failures=0,
        foreseen=0,
        missed=0,
        false_orders=0,
        median_lead_h=None,
        closed=0,
        labels=0,
        storage=storage,
        broker=broker,
        rss_mb=dict(rss_mb),
    )


def _predicted(row: Mapping[str, Any]) -> bool:
    return bool(row["kind"] == "predictive")
