"""Devices: the list, and one with its components, hazards and health."""

from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import psycopg
from fastapi import APIRouter, Path
from pydantic import BaseModel

from api import paging, scopes
from api.access import Reader, ServerDep
from api.paging import CursorText, Limit, Page
from api.scopes import Scope, WantedDep
from foremend.db import Queries
from foremend.errors import NotFound
from foremend.values import Phase, Quality

_SQL: Final = Queries.load("api", "devices.sql")
router: Final = APIRouter(prefix="/devices", tags=["devices"])

Name = Annotated[str, Path(max_length=64, description="the device's name on the timeline")]
Block = TypeVar("Block", bound=BaseModel)
DictConnection = psycopg.Connection[dict[str, Any]]
SPARKPLUG: Final = "sparkplug-b"
"""What the births of Sparkplug edge nodes name as their agent."""


class Risk(BaseModel):
    """The likeliest failure of a device."""

    component: str
    failure_mode: str
    probability: float
    """Of failing within `horizon_h` hours."""
    horizon_h: float
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None


class OpenOrder(BaseModel):
    """The newest order that is open on a device."""

    number: int
    state: str
    component: str


class Device(BaseModel):
    """One device as the list shows it."""

    name: str
    family: str
    model: str
    firmware: str
    state: str
    """unknown, online or offline."""
    phase: str
    """What it was doing at its last frame."""
    unread: bool
    """Whether its agent is there but could not read it at its last frame: unplugged, or silent."""
    region: str
    site: str
    country: str
    last_frame_at: datetime | None
    """On the device's timeline."""
    last_seen_at: datetime | None
    """On the wall clock."""
    health_at: datetime | None
    score: float | None
    """Calibrated anomaly score."""
    anomalous: bool
    top_channel: str | None
    alerts: int
    """Alerts of failures and faults that fire or are acknowledged."""
    notices: int
    """Inspection notices likewise: something is unusual, no more."""
    risk: Risk | None
    order: OpenOrder | None


class Component(BaseModel):
    """One replaceable part."""

    instance: str
    kind: str
    serial: str | None
    installed_at: datetime | None
    replaced_at: datetime | None
    """The last replacement that the device told of."""
    age_h: float | None
    """Hours since the later of the two, on the device's timeline."""


class Hazard(BaseModel):
    """The latest word on one failure mode of one component."""

    component: str
    failure_mode: str
    ts: datetime
    probability: float | None
    """Null where the model abstains."""
    horizon_h: float
    p10_h: float | None
    p50_h: float | None
    p90_h: float | None
    model_version: str
    abstained: str | None
    """Why the model says nothing, where it knows too little."""


class Channel(BaseModel):
    """One measured quantity."""

    name: str
    unit: str
    """UCUM code."""
    kind: str = "gauge"
    low: float | None = None
    high: float | None = None
    statistic: str = "sample"
    component: str | None = None


class DeviceDetail(Device):
    """One device with all that is known of its parts."""

    components: list[Component]
    hazards: list[Hazard]
    channels: list[Channel]
    acknowledged: bool
    """Whether it keeps readings until they are committed; a Sparkplug B edge node does not."""


@router.get("")
def list_devices(
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    cursor: CursorText = None,
    limit: Limit = paging.LIMIT,
) -> Page[Device]:
    """List the devices of a timeline by name."""
    after = paging.decode("devices", cursor, str)
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        found = read_list(connection, scope, after=after, limit=limit + 1)
    return paging.page("devices", found, [d.name for d in found], limit)


@router.get("/{name}")
def show_device(server: ServerDep, user: Reader, wanted: WantedDep, name: Name) -> DeviceDetail:
    """Show one device with its components, hazards and channels."""
    with server.work(user) as connection:
        return read_detail(connection, scopes.resolve(connection, user, wanted), name)


def read_list(
    connection: DictConnection,
    scope: Scope,
    *,
    name: str | None = None,
    after: str | None = None,
    limit: int = paging.MOST,
) -> list[Device]:
    """Give devices by name, those after `after` or the one named `name`."""
    rows = connection.execute(
        _SQL["list"], {**scope.params, "name": name, "after": after, "limit": limit}
    )
    return [_device(row) for row in rows]


def identify(connection: DictConnection, scope: Scope, name: str) -> int:
    """Give the id of a device that the caller may see; telemetry is reached through this alone.

    Raises:
        NotFound: there is none of this name on the timeline.
    """
    row = connection.execute(_SQL["identify"], {**scope.params, "name": name}).fetchone()
    if row is None:
        raise NotFound(f"no device {name!r} on the timeline {scope.timeline}")
    return int(row["id"])


def read_detail(connection: DictConnection, scope: Scope, name: str) -> DeviceDetail:
    """Give one device with its parts.

    Raises:
        NotFound: there is none of this name on the timeline.
    """
    key = {"device_id": identify(connection, scope, name)}
    device = read_list(connection, scope, name=name)[0]
    components = connection.execute(_SQL["components"], key).fetchall()
    hazards = connection.execute(_SQL["hazards"], key).fetchall()
    return DeviceDetail(
        **device.model_dump(),
        components=[Component(**row, age_h=_age_h(row, scope.now)) for row in components],
        hazards=[Hazard.model_validate(row) for row in hazards],
        channels=read_channels(connection, key["device_id"]),
        acknowledged=_agent(connection, key) != SPARKPLUG,
    )


def read_channels(connection: DictConnection, device_id: int) -> list[Channel]:
    """Give the channels of a device's last boot; none before its first birth."""
    row = connection.execute(_SQL["channels"], {"device_id": device_id}).fetchone()
    return [Channel.model_validate(c) for c in row["channels"]] if row else []


def _agent(connection: DictConnection, key: dict[str, int]) -> str:
    row = connection.execute(_SQL["agent"], key).fetchone()
    return row["agent"] if row else ""


def read_sparks(
    connection: DictConnection, scope: Scope, *, since: datetime, points: int
) -> dict[str, list[tuple[int, float, bool]]]:
    """Give per device its (slot, largest score, anomalous) since then, oldest first."""
    rows = connection.execute(
        _SQL["sparks"],
        {
            "timeline": scope.timeline,
            "from": since,
            "to": scope.now,
            "from_s": since.timestamp(),
            "to_s": scope.now.timestamp(),
            "points": points,
        },
    )
    sparks: dict[str, list[tuple[int, float, bool]]] = {}
    for row in rows:
        point = (row["slot"], row["score"], row["anomalous"])
        sparks.setdefault(row["name"], []).append(point)
    return sparks


def phase_name(number: int | None) -> str:
    """Name a phase of the wire; an unheard-of number is unknown."""
    try:
        return Phase(number or 0).name.lower()
    except ValueError:
        return "unknown"


def _device(row: dict[str, Any]) -> Device:
    plain = {name: row[name] for name in Device.model_fields if name in row and name != "phase"}
    return Device(
        **plain,
        phase=phase_name(row["phase"]),
        unread=row["quality"] == Quality.STALE and not row["phase"],
        risk=_prefixed(Risk, row, "risk_") if row["risk_component"] else None,
        order=_prefixed(OpenOrder, row, "order_") if row["order_number"] else None,
    )


def _prefixed(model: type[Block], row: dict[str, Any], prefix: str) -> Block:
    return model.model_validate({name: row[prefix + name] for name in model.model_fields})


def _age_h(row: dict[str, Any], now: datetime) -> float | None:
    since = [moment for moment in (row["installed_at"], row["replaced_at"]) if moment]
    return (now - max(since)).total_seconds() / 3600 if since else None
