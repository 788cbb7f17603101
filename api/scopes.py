"""Which timeline and region a request looks at, and what time it is there."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from api.access import OrderReader, ServerDep
from api.accounts import User
from foremend.db import Queries
from foremend.errors import NotFound
from foremend.values import TimelineKind

LIVE: Final = TimelineKind.LIVE.value
COOKIE: Final = "foremend_timeline"

_SQL: Final = Queries.load("api", "scopes.sql")
router: Final = APIRouter(tags=["timelines"])


class TimelineRow(BaseModel):
    """A world with its own clock."""

    name: str
    kind: str
    now_at: datetime
    """What time it is there."""
    devices: int
    last_seen_at: datetime | None
    """When a device of it was last heard of, on the wall clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a query is narrowed to, beside the tenant that the database itself holds to."""

    timeline: str
    region: str | None
    now: datetime
    timelines: tuple[TimelineRow, ...] = ()

    @property
    def params(self) -> dict[str, Any]:
        """The values that every named block with a scope takes."""
        return {"timeline": self.timeline, "region": self.region}

    @property
    def simulated(self) -> bool:
        """Whether the clock is not the wall's."""
        return self.timeline != LIVE


def wanted_timeline(
    request: Request,
    timeline: Annotated[
        str | None,
        Query(max_length=80, description="default: the newest simulation or replay, else live"),
    ] = None,
) -> tuple[str | None, bool]:
    """Give the timeline that was asked for, and whether in this very request."""
    return (timeline, True) if timeline else (request.cookies.get(COOKIE), False)


WantedDep = Annotated[tuple[str | None, bool], Depends(wanted_timeline)]


def timelines_of(connection: psycopg.Connection[dict[str, Any]]) -> tuple[TimelineRow, ...]:
    """Give the timelines on which the tenant has devices, the default one first."""
    rows = connection.execute(_SQL["timelines"]).fetchall()
    return tuple(TimelineRow.model_validate(row) for row in rows)


def choose(rows: tuple[TimelineRow, ...], wanted: str | None, *, insist: bool) -> str:
    """Give the wanted timeline where there is one, else the first, else live.

    Raises:
        NotFound: `insist`, and there is no such timeline.
    """
    names = [row.name for row in rows]
    if wanted in names or wanted == LIVE:
        return wanted or LIVE
    if insist:
        raise NotFound(f"no timeline {wanted!r} with devices of yours")
    return names[0] if names else LIVE


def resolve(
    connection: psycopg.Connection[dict[str, Any]], user: User, wanted: tuple[str | None, bool]
) -> Scope:
    """Give the scope of a request."""
    rows = timelines_of(connection)
    name = choose(rows, wanted[0], insist=wanted[1])
    now = next((row.now_at for row in rows if row.name == name), datetime.now(UTC))
    return Scope(timeline=name, region=user.region, now=now, timelines=rows)


@router.get("/timelines")
def list_timelines(server: ServerDep, user: OrderReader) -> list[TimelineRow]:
    """List the timelines, the one that is shown by default first."""
    with server.work(user) as connection:
        return list(timelines_of(connection))
