"""Changing work orders: a move, decided on one version, and an order opened by hand."""

import re
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, StringConstraints

from api import audit, desk, scopes
from api.access import ApiWrite, OrderReader, ServerDep, may
from api.accounts import User
from api.desk import Move
from api.devices import DictConnection, identify
from api.idempotency import Answer, once, request_hash
from api.problems import Forbidden, VersionRequired
from api.roles import Permission, permission_for_move
from api.scopes import Scope, WantedDep
from api.server import Server
from api.work_orders import Number, WorkOrderDetail, etag, read_detail, read_one
from foremend.db import Queries
from foremend.errors import NotFound

_SQL: Final = Queries.load("api", "work_orders.sql")
_ETAG: Final = re.compile(r'\A(?:W/)?"(\d{1,9})"\Z')
router: Final = APIRouter(prefix="/work-orders", tags=["work orders"])

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=128, description="the same request twice is done once"),
]
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class MoveRequest(BaseModel, extra="forbid"):
    """A move and what it needs: `fit` an `as_found`, `choose` a `strategy`, `hold` a `reason`."""

    action: Move
    as_found: Literal["failed", "degraded", "no_fault_found"] | None = None
    component: Short | None = None
    failure_mode: Short | None = None
    replaced: bool | None = None
    strategy: Short | None = None
    assignee: Short | None = None
    reason: Short | None = None
    note: Short | None = None

    def ask(self) -> dict[str, Any]:
        """Give what is passed on beside the action."""
        return self.model_dump(exclude={"action"}, exclude_none=True)


class NewOrder(BaseModel, extra="forbid"):
    """An order opened by hand, after a failure that nothing foresaw or on a person's word."""

    device: Short
    component: Short
    failure_mode: Short
    note: Short | None = None


Opener = Annotated[User, Depends(may(Permission.OPEN_ORDERS))]


@router.post("", dependencies=[ApiWrite], status_code=201)
def open_order(
    server: ServerDep,
    user: Opener,
    wanted: WantedDep,
    body: NewOrder,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> WorkOrderDetail:
    """Open an order by hand; where one is open on the component, the report joins its ledger."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        answer = once(
            connection,
            user,
            idempotency_key,
            request_hash("open", scope.timeline, body.model_dump()),
            lambda: open_by_hand(connection, user, scope, body),
        )
    return _told(answer, response)


@router.post("/{number}/moves", dependencies=[ApiWrite])
def move_order(
    server: ServerDep,
    user: OrderReader,
    number: Number,
    body: MoveRequest,
    response: Response,
    if_match: Annotated[str | None, Header(description="the ETag that was read")] = None,
    idempotency_key: IdempotencyKey = None,
) -> WorkOrderDetail:
    """Move an order, provided nobody has moved it since it was read."""
    version = version_of(if_match)
    with server.work(user) as connection:
        answer = once(
            connection,
            user,
            idempotency_key,
            request_hash("move", number, version, body.model_dump()),
            lambda: move(connection, server, user, number, version, body),
        )
    return _told(answer, response)


def version_of(if_match: str | None) -> int:
    """Read the version out of an If-Match header.

    Raises:
        VersionRequired: there is none, or not one of ours.

    >>> version_of('"3"')
    3
    """
    found = _ETAG.match(if_match or "")
    if found is None:
        raise VersionRequired
    return int(found[1])


def move(
    connection: DictConnection,
    server: Server,
    user: User,
    number: int,
    version: int,
    body: MoveRequest,
) -> Answer:
    """Have field service move an order, note it in the audit log, and tell the order as it stands.

    Raises:
        Forbidden: the role may not make this move.
        NotFound: no such order where the user may look.
        VersionPassed: it has been moved since.
        MoveRefused: its state does not allow the move.
    """
    needed = permission_for_move(body.action.value)
    if not user.may(needed):
        raise Forbidden(f"the role {user.role.value} does not have {needed.value}")
    read_one(connection, user, number)
    desk.move(
        connection,
        tenant=user.tenant,
        number=number,
        action=body.action,
        actor=user.login,
        expected_version=version,
        ask=body.ask(),
        verify_hours=server.settings.verify_hours,
    )
    audit.note(
        connection,
        tenant=user.tenant,
        actor=user.login,
        action=f"work_order.{body.action.value}",
        subject=f"work_order/{number}",
        details=body.ask(),
    )
    return _answer(200, read_detail(connection, user, number))


def open_by_hand(connection: DictConnection, user: User, scope: Scope, body: NewOrder) -> Answer:
    """Have field service open a reactive order; a component's open order is joined instead.

    Raises:
        NotFound: no such device or component.
    """
    device_id = identify(connection, scope, body.device)
    key = {"device_id": device_id, "component": body.component}
    if connection.execute(_SQL["component"], key).fetchone() is None:
        raise NotFound(f"{body.device} has no component {body.component!r}")
    number = desk.open_reactive(
        connection,
        timeline=scope.timeline,
        device_id=device_id,
        component=body.component,
        failure_mode=body.failure_mode,
        actor=user.login,
        note=body.note or "",
    )
    audit.note(
        connection,
        tenant=user.tenant,
        actor=user.login,
        action="work_order.open",
        subject=f"work_order/{number}",
        details=body.model_dump(exclude_none=True),
    )
    return _answer(201, read_detail(connection, user, number))


def _answer(status: int, order: WorkOrderDetail) -> Answer:
    return Answer(
        status=status, body=order.model_dump(mode="json"), headers={"ETag": etag(order.version)}
    )


def _told(answer: Answer, response: Response) -> WorkOrderDetail:
    response.status_code = answer.status
    response.headers.update(answer.headers)
    return WorkOrderDetail.model_validate(answer.body)
