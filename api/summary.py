"""Counts of a timeline, and its story: what happened last, newest first."""

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel

from api import scopes
from api.access import Reader, ServerDep
from api.devices import DictConnection
from api.scopes import Scope, WantedDep
from api.work_orders import OPEN_STATES, count_by_state
from foremend.db import Queries

_SQL: Final = Queries.load("api", "summary.sql")
router: Final = APIRouter(tags=["summary"])


class Summary(BaseModel):
    """Counts of one timeline."""

    timeline: str
    now: datetime
    """What time it is on the timeline."""
    devices: int
    online: int
    offline: int
    anomalous: int
    scored_at: datetime | None
    """Up to when scoring has spoken, on the timeline."""
    alerts_firing: int
    alerts_acknowledged: int
    orders_open: int
    orders_closed: int
    orders_by_state: dict[str, int]
    findings: int
    findings_confirmed: int
    """Findings where the part had failed or was degraded."""


class StoryEvent(BaseModel):
    """One step of an alert or a work order, with what it takes to tell it."""

    wall_at: datetime
    at: datetime
    source: str
    """alert or work_order."""
    actor: str
    action: str
    reason: str
    device: str
    component: str
    failure_mode: str
    kind: str
    number: int
    state: str
    probability: float | None
    horizon_h: float | None
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    evidence: list[dict[str, Any]]
    strategy: str | None
    kit: str | None
    cost: float | None
    currency: str | None
    region: str | None
    params: dict[str, Any]


@router.get("/summary")
def show_summary(server: ServerDep, user: Reader, wanted: WantedDep) -> Summary:
    """Give the counts of a timeline."""
    with server.work(user) as connection:
        return read_summary(connection, scopes.resolve(connection, user, wanted))


def read_summary(connection: DictConnection, scope: Scope) -> Summary:
    """Count devices, alerts, orders and findings."""
    devices, alerts, findings = (
        connection.execute(_SQL[block], scope.params).fetchone() or {}
        for block in ("devices", "alerts", "findings")
    )
    orders = count_by_state(connection, scope)
    return Summary(
        timeline=scope.timeline,
        now=scope.now,
        **devices,
        alerts_firing=alerts["firing"],
        alerts_acknowledged=alerts["acknowledged"],
        orders_open=sum(orders.get(state, 0) for state in OPEN_STATES),
        orders_closed=orders.get("closed", 0),
        orders_by_state=orders,
        findings=findings["findings"],
        findings_confirmed=findings["confirmed"],
    )


def read_story(connection: DictConnection, scope: Scope, *, limit: int = 40) -> list[StoryEvent]:
    """Give the latest steps of alerts and work orders together, newest first."""
    rows = [
        StoryEvent.model_validate(row)
        for block in ("story_alerts", "story_orders")
        for row in connection.execute(_SQL[block], {**scope.params, "limit": limit})
    ]
    return sorted(rows, key=lambda row: row.wall_at, reverse=True)[:limit]
