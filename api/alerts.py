"""Alerts: the list, one with its history, acknowledging, and silences."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field, StringConstraints

from alerting import application
from api import audit, paging, scopes
from api.access import ApiWrite, Reader, ServerDep, may
from api.accounts import User
from api.devices import DictConnection
from api.paging import CursorText, Limit, Page
from api.roles import Permission
from api.scopes import Scope, WantedDep
from foremend.db import Queries
from foremend.errors import Conflict, NotFound

_SQL: Final = Queries.load("api", "alerts.sql")
router: Final = APIRouter(tags=["alerts"])

State = Literal["pending", "firing", "acknowledged", "resolved"]
OPEN: Final[tuple[State, ...]] = ("firing", "acknowledged")
Handler = Annotated[User, Depends(may(Permission.HANDLE_ALERTS))]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Alert(BaseModel):
    """One alert as the list shows it; times on the timeline."""

    id: int
    device: str
    kind: str
    """failure: foreseen, may lead to a work order; inspection: something is unusual, no more;
    fault: the device itself told a critical fault."""
    component: str
    failure_mode: str
    """Of a fault: the device's own code."""
    state: State
    inhibited_by: str | None
    region: str
    opened_at: datetime
    fired_at: datetime | None
    updated_at: datetime
    resolved_at: datetime | None
    probability: float | None
    horizon_h: float | None
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    model_version: str | None
    evidence: list[dict[str, Any]]
    order_number: int | None


class AlertEvent(BaseModel):
    """One step of an alert's life."""

    at: datetime
    wall_at: datetime
    actor: str
    action: str
    reason: str
    params: dict[str, Any]


class AlertDetail(Alert):
    """One alert with its history."""

    events: list[AlertEvent]


class Silence(BaseModel):
    """A promise to stay quiet about what matches; times on the timeline."""

    id: int
    matcher: dict[str, str]
    author: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    weekly: bool


class Matcher(BaseModel, extra="forbid"):
    """What is silenced; every value that is given must match."""

    device: Short | None = None
    component: Short | None = None
    failure_mode: Short | None = None
    region: Short | None = None


class NewSilence(BaseModel, extra="forbid"):
    """What to be quiet about, why, and for how long from the timeline's present."""

    matcher: Matcher
    reason: Short
    hours: Annotated[float, Field(gt=0, le=24 * 90)]
    weekly: bool = False


@router.get("/alerts")
def list_alerts(
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    state: Annotated[list[State] | None, Query(description="default: every state")] = None,
    device: Annotated[str | None, Query(max_length=64)] = None,
    cursor: CursorText = None,
    limit: Limit = paging.LIMIT,
) -> Page[Alert]:
    """List alerts, newest first."""
    before = paging.decode("alerts", cursor, int)
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        found = read_list(
            connection, scope, states=state, device=device, before=before, limit=limit + 1
        )
    return paging.page("alerts", found, [a.id for a in found], limit)


@router.get("/alerts/{alert_id}")
def show_alert(server: ServerDep, user: Reader, alert_id: Id) -> AlertDetail:
    """Show one alert with its history."""
    with server.work(user) as connection:
        return read_detail(connection, scope_of(connection, user, alert_id), alert_id)


@router.post("/alerts/{alert_id}/acknowledge", dependencies=[ApiWrite])
def acknowledge_alert(server: ServerDep, user: Handler, alert_id: Id) -> AlertDetail:
    """Say that somebody has seen a firing alert."""
    with server.work(user) as connection:
        scope = scope_of(connection, user, alert_id)
        acknowledge(connection, user, alert_id)
        return read_detail(connection, scope, alert_id)


@router.get("/silences")
def list_silences(server: ServerDep, user: Reader, wanted: WantedDep) -> list[Silence]:
    """List the silences that hold or are to come."""
    with server.work(user) as connection:
        return read_silences(connection, scopes.resolve(connection, user, wanted))


@router.post("/silences", dependencies=[ApiWrite], status_code=201)
def add_silence(server: ServerDep, user: Handler, wanted: WantedDep, body: NewSilence) -> Silence:
    """Be quiet about what matches, until a fixed end."""
    with server.work(user) as connection:
        return silence(connection, scopes.resolve(connection, user, wanted), user, body)


@router.post("/silences/{silence_id}/end", dependencies=[ApiWrite], status_code=204)
def stop_silence(server: ServerDep, user: Handler, wanted: WantedDep, silence_id: Id) -> None:
    """End a silence now."""
    with server.work(user) as connection:
        end_silence(connection, scopes.resolve(connection, user, wanted), user, silence_id)


def read_list(
    connection: DictConnection,
    scope: Scope,
    *,
    states: list[State] | None = None,
    kind: str | None = None,
    device: str | None = None,
    alert_id: int | None = None,
    before: int | None = None,
    limit: int = paging.MOST,
) -> list[Alert]:
    """Give alerts, newest first."""
    rows = connection.execute(
        _SQL["list"],
        {
            **scope.params,
            "states": states,
            "kind": kind,
            "device": device,
            "id": alert_id,
            "before": before,
            "limit": limit,
        },
    )
    return [Alert.model_validate(row) for row in rows]


def scope_of(connection: DictConnection, user: User, alert_id: int) -> Scope:
    """Give the scope of an alert's own timeline.

    Raises:
        NotFound: there is no such alert in the user's region.
    """
    row = connection.execute(
        _SQL["timeline_of"], {"id": alert_id, "region": user.region}
    ).fetchone()
    if row is None:
        raise NotFound(f"no alert {alert_id}")
    return scopes.resolve(connection, user, (row["timeline"], True))


def read_detail(connection: DictConnection, scope: Scope, alert_id: int) -> AlertDetail:
    """Give one alert with its history.

    Raises:
        NotFound: there is no such alert.
    """
    found = read_list(connection, scope, alert_id=alert_id, limit=1)
    if not found:
        raise NotFound(f"no alert {alert_id}")
    events = connection.execute(_SQL["events"], {"id": alert_id})
    return AlertDetail(
        **found[0].model_dump(), events=[AlertEvent.model_validate(row) for row in events]
    )


def acknowledge(connection: DictConnection, user: User, alert_id: int, *, note: str = "") -> None:
    """Mark a firing alert as looked after, in its own history and in the audit log.

    Raises:
        Conflict: it is resolved, or acknowledged already.
    """
    application.acknowledge(connection, alert_id, actor=user.login, note=note)
    _audit(connection, user, "alert.acknowledge", f"alert/{alert_id}")


def read_silences(
    connection: DictConnection, scope: Scope, silence_id: int | None = None
) -> list[Silence]:
    """Give the silences that hold or are to come."""
    rows = connection.execute(
        _SQL["silences"], {"now": scope.now, "region": scope.region, "id": silence_id}
    )
    return [Silence.model_validate(row) for row in rows]


def silence(connection: DictConnection, scope: Scope, user: User, new: NewSilence) -> Silence:
    """Add a silence from the timeline's present on.

    Raises:
        Conflict: another region than the user's own.
        SilenceRefused: nothing to match.
    """
    matcher = new.matcher.model_dump(exclude_none=True)
    if user.region is not None and matcher.setdefault("region", user.region) != user.region:
        raise Conflict(f"this account may silence the region {user.region} alone")
    silence_id = application.add_silence(
        connection,
        tenant=user.tenant,
        matcher=matcher,
        author=user.login,
        reason=new.reason,
        starts_at=scope.now,
        ends_at=scope.now + timedelta(hours=new.hours),
        weekly=new.weekly,
    )
    _audit(connection, user, "silence.add", f"silence/{silence_id}", matcher)
    return read_silences(connection, scope, silence_id)[0]


def end_silence(connection: DictConnection, scope: Scope, user: User, silence_id: int) -> None:
    """End a silence at the timeline's present.

    Raises:
        NotFound: none of this number holds where the user may look.
    """
    if not read_silences(connection, scope, silence_id):
        raise NotFound(f"no silence {silence_id} holds")
    application.end_silence(connection, silence_id, at=scope.now)
    _audit(connection, user, "silence.end", f"silence/{silence_id}")


def _audit(
    connection: DictConnection,
    user: User,
    action: str,
    subject: str,
    details: dict[str, Any] | None = None,
) -> None:
    audit.note(
        connection,
        tenant=user.tenant,
        actor=user.login,
        action=action,
        subject=subject,
        details=details,
    )
