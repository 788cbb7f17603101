"""Work orders: the list, one with its ledger and evidence, moving it, and opening one by hand."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from api import desk, paging, scopes
from api.access import OrderReader, ServerDep
from api.accounts import User
from api.devices import DictConnection
from api.paging import CursorText, Limit, Page
from api.roles import permission_for_move
from api.scopes import Scope, WantedDep
from foremend.db import Queries
from foremend.errors import NotFound

_SQL: Final = Queries.load("api", "work_orders.sql")
router: Final = APIRouter(prefix="/work-orders", tags=["work orders"])

State = Literal[
    "proposed", "remote_fix", "qualified", "offered", "accepted", "parts_pending", "in_progress",
    "verifying", "closed", "on_hold", "cannot_complete", "merged", "cancelled",
]  # fmt: skip
OVER: Final[tuple[State, ...]] = ("closed", "merged", "cancelled")
OPEN_STATES: Final[tuple[State, ...]] = (
    "proposed", "remote_fix", "qualified", "offered", "accepted", "parts_pending", "in_progress",
    "verifying", "on_hold", "cannot_complete",
)  # fmt: skip

_CHECKS: Final = {"kinds": ["self_test", "diagnostics"], "over": list(OVER), "limit": 20}
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="7 for WO-7")]


class WorkOrder(BaseModel):
    """One order as the list shows it; times on the timeline."""

    number: int
    device: str
    family: str
    region: str
    component: str
    failure_mode: str
    kind: str
    state: State
    opened_at: datetime
    state_at: datetime
    verify_until: datetime | None
    strategy: str | None
    kit: str | None
    cost: float | None
    currency: str | None
    probability: float | None
    horizon_h: float | None
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    assignee: str | None
    as_found: str | None
    reopened: int
    version: int
    """Also the ETag; what a move is decided on."""


class LedgerEntry(BaseModel):
    """One move of an order."""

    at: datetime
    wall_at: datetime
    actor: str
    action: str
    from_state: str | None
    to_state: str
    reason: str
    params: dict[str, Any]


class Finding(BaseModel):
    """What was found in the part, and whether telemetry agreed afterwards."""

    attempt: int
    component: str
    failure_mode: str
    as_found: str
    kit: str | None
    replaced: bool
    note: str
    occurred_at: datetime
    known_at: datetime
    verified: str | None


class Check(BaseModel):
    """What the order's device was asked to tell of itself, and what it answered."""

    id: str
    kind: str
    state: str
    """queued, sent, accepted, refused, finished, failed or expired."""
    reason: str
    details: dict[str, Any]
    """Figures of a self-test, or what the device says of itself."""
    asked_by: str
    issued_at: datetime
    settled_at: datetime | None
    """By the wall's clock."""


class WorkOrderDetail(WorkOrder):
    """One order with all that stands behind it."""

    timeline: str
    kit_revision: int | None
    alert_id: int | None
    model_version: str | None
    evidence: list[dict[str, Any]]
    """Reasons for the prediction, strongest first."""
    options: list[dict[str, Any]]
    """Every strategy with its cost, or the reason it fell out; best first."""
    org_node: str | None
    site: str
    country: str
    ledger: list[LedgerEntry]
    findings: list[Finding]
    checks: list[Check] = []
    """Self-tests and diagnostics of its device while it is open, the newest first."""
    actions: list[str]
    """Moves that its state allows and the caller may make."""


@router.get("")
def list_orders(
    server: ServerDep,
    user: OrderReader,
    wanted: WantedDep,
    state: Annotated[list[State] | None, Query(description="default: every state")] = None,
    device: Annotated[str | None, Query(max_length=64)] = None,
    cursor: CursorText = None,
    limit: Limit = paging.LIMIT,
) -> Page[WorkOrder]:
    """List work orders, newest first."""
    before = paging.decode("work_orders", cursor, int)
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        found = read_list(
            connection, scope, states=state, device=device, before=before, limit=limit + 1
        )
    return paging.page("work_orders", found, [o.number for o in found], limit)


@router.get("/{number}")
def show_order(
    server: ServerDep, user: OrderReader, number: Number, response: Response
) -> WorkOrderDetail:
    """Show one order with its ledger, evidence and options; the ETag is its version."""
    with server.work(user) as connection:
        order = read_detail(connection, user, number)
    response.headers["ETag"] = etag(order.version)
    return order


def etag(version: int) -> str:
    """Give the ETag of a version."""
    return f'"{version}"'


def read_list(
    connection: DictConnection,
    scope: Scope,
    *,
    states: list[State] | None = None,
    device: str | None = None,
    before: int | None = None,
    limit: int = paging.MOST,
) -> list[WorkOrder]:
    """Give orders, newest first."""
    rows = connection.execute(
        _SQL["list"],
        {**scope.params, "states": states, "device": device, "before": before, "limit": limit},
    )
    return [WorkOrder.model_validate(row) for row in rows]


def count_by_state(connection: DictConnection, scope: Scope) -> dict[str, int]:
    """Count the timeline's orders by state; a state without orders is left out."""
    rows = connection.execute(_SQL["counts"], scope.params)
    return {row["state"]: row["orders"] for row in rows}


def read_one(connection: DictConnection, user: User, number: int) -> dict[str, Any]:
    """Give one order's row.

    Raises:
        NotFound: no such order where the user may look.
    """
    key = {"number": number, "region": user.region}
    row = connection.execute(_SQL["one"], key).fetchone()
    if row is None:
        raise NotFound(f"no work order WO-{number}")
    return row


def read_detail(connection: DictConnection, user: User, number: int) -> WorkOrderDetail:
    """Give one order with all that stands behind it.

    Raises:
        NotFound: no such order where the user may look.
    """
    row = read_one(connection, user, number)
    key = {"id": row["id"]}
    allowed = desk.allowed(row["state"], row["as_found"])
    return WorkOrderDetail.model_validate(
        {
            **row,
            "ledger": connection.execute(_SQL["ledger"], key).fetchall(),
            "findings": connection.execute(_SQL["findings"], key).fetchall(),
            "checks": connection.execute(_SQL["checks"], {**key, **_CHECKS}).fetchall(),
            "actions": [a.value for a in allowed if user.may(permission_for_move(a.value))],
        }
    )
