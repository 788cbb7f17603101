"""What the API asks of field service; each call runs inside the request's own transaction."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from api.problems import VersionPassed
from field_service import application
from field_service.catalogue import load
from field_service.orders import TABLE, Action
from field_service.postgres import postgres_desk
from field_service.values import State, Subject
from foremend.errors import Conflict

if TYPE_CHECKING:
    import psycopg

    from field_service.catalogue import Resolution


class Move(Enum):
    """The moves that a person or a program may ask for, in the order in which pages show them."""

    ACCEPT = "accept"
    SHIP = "ship"
    START = "start"
    FIT = "fit"
    RESUME = "resume"
    CHOOSE = "choose"
    HOLD = "hold"
    CANNOT_COMPLETE = "cannot_complete"
    CANCEL = "cancel"


def allowed(state: str, as_found: str | None) -> tuple[Move, ...]:
    """Give the moves that an order's state allows; what was found once is not found anew.

    >>> [move.value for move in allowed("on_hold", None)]
    ['resume', 'cancel']
    """
    found = State(state) is State.VERIFYING and as_found is not None
    return tuple(
        move
        for move in Move
        if State(state) in TABLE[Action(move.value)][0] and not (found and move is Move.FIT)
    )


def move(
    connection: psycopg.Connection[Any],
    *,
    tenant: str,
    number: int,
    action: Move,
    actor: str,
    expected_version: int,
    ask: dict[str, Any],
    verify_hours: float,
) -> None:
    """Move one order.

    Raises:
        NotFound: no such order of this tenant.
        VersionPassed: it stands at another version.
        MoveRefused: its state, or what came with the move, does not allow it.
        InvalidAsk: what came with the move cannot be understood.
    """
    try:
        application.move(
            postgres_desk(connection, verify_hours),
            tenant=tenant,
            number=number,
            action=action.value,
            actor=actor,
            ask=ask,
            expected_version=expected_version,
        )
    except Conflict as error:
        raise VersionPassed(str(error)) from error


def open_reactive(
    connection: psycopg.Connection[Any],
    *,
    timeline: str,
    device_id: int,
    component: str,
    failure_mode: str,
    actor: str,
    note: str,
) -> int:
    """Open an order by hand, or join one that is open on the component; gives its number."""
    subject = Subject(
        timeline=timeline, device_id=device_id, component=component, failure_mode=failure_mode
    )
    desk = postgres_desk(connection)
    return application.open_reactive(desk, subject=subject, actor=actor, note=note).number


def resolution(kit: str) -> Resolution | None:
    """Give what the catalogue knows of a kit: its contents, tools and steps."""
    return load().by_kit(kit)
