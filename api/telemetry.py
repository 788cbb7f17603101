"""Telemetry of one device: downsampled frames, and the marks that a chart shows beside them.

Frames carry no tenant of their own (design, section 6): `devices.identify` stands before every
query here.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel

from api import export, levels, scopes, series, slots
from api.access import Reader, ServerDep
from api.devices import Channel, DictConnection, Name, identify, phase_name
from api.export import Format
from api.levels import Choice, Known, Level, Plan
from api.problems import BadRequest
from api.scopes import Scope, WantedDep
from api.series import Slot
from foremend.clock import to_datetime, to_ms
from foremend.db import Queries

_SQL: Final = Queries.load("api", "telemetry.sql")
router: Final = APIRouter(prefix="/devices", tags=["telemetry"])

WINDOW: Final = timedelta(hours=48)
LONGEST: Final = timedelta(days=400)
SAID: Final = timedelta(days=30)
"""How far back a device's page looks for what it said."""

From = Annotated[AwareDatetime | None, Query(alias="from", description="default: 48 h before `to`")]
To = Annotated[AwareDatetime | None, Query(description="default: the timeline's present")]
Points = Annotated[int, Query(ge=10, le=2000, description="at most so many points a channel")]


class ChannelSeries(Channel):
    """One channel's values, one per entry of the times; null where nothing was read."""

    lo: list[float | None]
    mid: list[float | None]
    hi: list[float | None]


class FrameSeries(BaseModel):
    """Downsampled frames of one device."""

    device: str
    timeline: str
    from_ms: int
    to_ms: int
    now_ms: int
    """The timeline's present."""
    level: str
    """What the points are made of: raw, minute or hour."""
    slot_ms: int
    """The length of time that a point stands for; readings in between are in its band."""
    t_ms: list[int]
    frames: list[int]
    """How many frames stand behind each point; 0 marks a hole."""
    phase: list[str]
    channels: list[ChannelSeries]


class EventMark(BaseModel):
    """Something that the device told of."""

    ts: datetime
    code: str
    severity: str
    component: str | None
    details: dict[str, Any]


class AnomalyMark(BaseModel):
    """An alarm began, was cleared, or a slow drift was found."""

    kind: str
    ts: datetime
    score: float
    top_channel: str | None


class OrderMark(BaseModel):
    """A work order was opened."""

    number: int
    component: str
    opened_at: datetime
    state: str


class HealthSeries(BaseModel):
    """The largest calibrated anomaly score per point."""

    t_ms: list[int]
    score: list[float]
    anomalous: list[bool]


class Marks(BaseModel):
    """What a chart shows beside the readings."""

    events: list[EventMark]
    anomalies: list[AnomalyMark]
    orders: list[OrderMark]
    health: HealthSeries


def window_of(scope: Scope, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    """Give the window's parameters, the same for every block of SQL here.

    Raises:
        BadRequest: it ends before it begins, or is longer than 400 days.
    """
    # The newest frame stands at the timeline's present, and a window ends before its end.
    to = end or scope.now + timedelta(milliseconds=1)
    begin = start or to - WINDOW
    if not begin < to <= begin + LONGEST:
        raise BadRequest("`from` must come before `to`, and by at most 400 days")
    return {"from": begin, "to": to, "from_s": begin.timestamp(), "to_s": to.timestamp()}


@router.get("/{name}/frames")
def show_frames(
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    name: Name,
    start: From = None,
    to: To = None,
    points: Points = 400,
) -> FrameSeries:
    """Give a device's readings, each point the least, mean and greatest value of its slot."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        return read_frames(connection, scope, name, window_of(scope, start, to), points)


@router.get("/{name}/export", response_class=StreamingResponse)
def export_frames(
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    name: Name,
    start: Annotated[AwareDatetime | None, Query(alias="from", description="default: all")] = None,
    to: Annotated[AwareDatetime | None, Query(description="default: all")] = None,
    form: Annotated[Format, Query(alias="format")] = Format.CSV,
) -> StreamingResponse:
    """Give a device's frames as they are, as CSV or Parquet; the headings name the units."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        device_id = identify(connection, scope, name)
    parts = export.export(lambda: server.work(user), device_id, since=start, until=to, form=form)
    return StreamingResponse(
        parts,
        media_type=form.media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{form.value}"'},
    )


@router.get("/{name}/marks")
def show_marks(
    server: ServerDep,
    user: Reader,
    wanted: WantedDep,
    name: Name,
    start: From = None,
    to: To = None,
    points: Points = 400,
) -> Marks:
    """Give a device's events, anomalies, work orders and anomaly score within a window."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        return read_marks(connection, scope, name, window_of(scope, start, to), points)


def read_frames(
    connection: DictConnection, scope: Scope, name: str, window: dict[str, Any], points: int
) -> FrameSeries:
    """Give the readings of one window.

    Raises:
        NotFound: there is no such device.
    """
    device_id = identify(connection, scope, name)
    choice, plan = choose(connection, device_id, window, points)
    found = read_slots(connection, device_id, plan)
    ids = list({slot.schema_id for slot in found})
    schemas = {
        row["id"]: row["channels"] for row in connection.execute(_SQL["schemas"], {"ids": ids})
    }
    spaced, lines = series.aligned(found, schemas)
    return FrameSeries(
        device=name,
        timeline=scope.timeline,
        from_ms=to_ms(window["from"]),
        to_ms=to_ms(window["to"]),
        now_ms=to_ms(scope.now),
        level=choice.level.value,
        slot_ms=plan.slot_ms,
        t_ms=series.times_of(spaced),
        frames=[slot.frames if slot else 0 for slot in spaced],
        phase=[phase_name(slot.phase) if slot else "unknown" for slot in spaced],
        channels=[ChannelSeries(**s.channel, lo=s.lo, mid=s.mid, hi=s.hi) for s in lines],
    )


def choose(
    connection: DictConnection,
    device_id: int,
    window: dict[str, Any],
    points: int,
    level: Level | None = None,
) -> tuple[Choice, Plan]:
    """Choose from what a window is read, and how; a given `level` is taken as it is."""
    start, end = to_ms(window["from"]), to_ms(window["to"])
    key = {"device_id": device_id, **window, "limit": levels.MOST_ROWS + 1}
    row = connection.execute(_SQL["known"], key).fetchone()
    assert row is not None  # noqa: S101 - it counts
    known = Known(
        frames=row.pop("frames"),
        **{name: None if moment is None else to_ms(moment) for name, moment in row.items()},
    )
    choice = levels.choose_level(start, end, known)
    return choice, levels.plan(start, end, points, level or choice.level, known)


def read_slots(connection: DictConnection, device_id: int, plan: Plan) -> list[Slot]:
    """Give the readings of a plan's slots, oldest first; slots without any are left out."""
    key = {
        "device_id": device_id,
        "start": to_datetime(plan.start),
        "end": to_datetime(plan.end),
        "hours_to": to_datetime(plan.hours_to),
        "minutes_to": to_datetime(plan.minutes_to),
    }
    rollups = slots.of_rollups(connection.execute(_SQL["rollups"], key, binary=True))
    raw = slots.of_frames(connection.execute(_SQL["frames"], key, binary=True))
    return slots.combined([*rollups, *raw], plan)


def read_marks(
    connection: DictConnection, scope: Scope, name: str, window: dict[str, Any], points: int
) -> Marks:
    """Give the marks of one window.

    Raises:
        NotFound: there is no such device.
    """
    key = {"device_id": identify(connection, scope, name), **window, "points": points}
    health = connection.execute(_SQL["health"], key).fetchall()
    return Marks(
        events=[EventMark(**row) for row in connection.execute(_SQL["events"], key)],
        anomalies=[AnomalyMark(**row) for row in connection.execute(_SQL["anomalies"], key)],
        orders=[OrderMark(**row) for row in connection.execute(_SQL["orders"], key)],
        health=HealthSeries(
            t_ms=[row["t_ms"] for row in health],
            score=[row["score"] for row in health],
            anomalous=[row["anomalous"] for row in health],
        ),
    )


def read_said(
    connection: DictConnection, scope: Scope, name: str, *, limit: int
) -> list[EventMark]:
    """Give what a device has said of late, the newest first; of the last thirty days.

    Raises:
        NotFound: there is no such device.
    """
    key = {"device_id": identify(connection, scope, name), "limit": limit}
    window = window_of(scope, scope.now - SAID, None)
    return [EventMark(**row) for row in connection.execute(_SQL["newest_events"], key | window)]
