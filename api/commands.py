"""Commands to one device and how it should be set: the routes."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field, field_validator

from api import devices, downlink, paging, scopes
from api.access import ApiWrite, Reader, ServerDep, may
from api.accounts import User
from api.devices import Name
from api.downlink import Order
from api.paging import Limit
from api.roles import Permission
from api.scopes import WantedDep
from foremend.values import Phase

router: Final = APIRouter(prefix="/devices/{name}", tags=["commands"])
Commander = Annotated[User, Depends(may(Permission.COMMAND_DEVICES))]
CommandId = Annotated[str, Path(max_length=64)]
Scalar = str | int | float | bool | None
Short = Annotated[str, Field(max_length=256)]
MOST: Final = 64


class CommandBody(BaseModel):
    """What the device shall do, once."""

    kind: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    args: dict[Short, Scalar] = Field(default_factory=dict, max_length=MOST)
    phases: list[str] = Field(default_factory=list, max_length=len(Phase))
    """Names of phases in which it may run; none means any that the device itself allows."""
    expires_s: float = Field(default=60, gt=0, le=30 * 86_400)
    """On the device's timeline."""

    @field_validator("phases")
    @classmethod
    def known(cls, phases: list[str]) -> list[str]:
        """Refuse what is no phase."""
        if unknown := set(phases) - {phase.name.lower() for phase in Phase}:
            raise ValueError(f"{min(unknown)} is no phase")
        return phases


class Command(BaseModel):
    """One command and what came of it."""

    id: str
    device: str
    kind: str
    args: dict[str, Any]
    interlock: list[int]
    state: str
    """queued, sent, accepted, refused, finished, failed or expired."""
    reason: str
    details: dict[str, Any]
    """What the device told of it."""
    asked_by: str
    asked_at: datetime
    issued_at: datetime
    """On the device's timeline."""
    expires_at: datetime
    sends: int
    settled_at: datetime | None


class TwinBody(BaseModel):
    """How the device should be set; what is left out is as its own file says."""

    desired: dict[Short, Scalar] = Field(max_length=MOST)


class Twin(BaseModel):
    """What is desired of a device, and what it reported."""

    device: str
    desired: dict[str, Any]
    version: int
    desired_at: datetime
    desired_by: str
    reported: dict[str, Any]
    """Setting -> `applied`, or why not."""
    reported_version: int
    reported_at: datetime | None


@router.post("/commands", status_code=201, dependencies=[ApiWrite])
def send_command(
    server: ServerDep, user: Commander, wanted: WantedDep, name: Name, body: CommandBody
) -> Command:
    """Have a device do something, once; it is sent until it answers or the command expires."""
    order = Order(
        kind=body.kind,
        args=body.args,
        interlock=tuple(Phase[phase.upper()].value for phase in body.phases),
        expires_s=body.expires_s,
    )
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        row = downlink.send(
            connection,
            tenant=user.tenant,
            device_id=devices.identify(connection, scope, name),
            order=order,
            asked_by=user.login,
        )
    return Command.model_validate(row)


@router.get("/commands")
def list_commands(
    server: ServerDep, user: Reader, wanted: WantedDep, name: Name, limit: Limit = paging.LIMIT
) -> list[Command]:
    """List a device's commands, the newest first."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        device_id = devices.identify(connection, scope, name)
        rows = downlink.commands(connection, device_id=device_id, limit=limit)
    return [Command.model_validate(row) for row in rows]


@router.get("/commands/{command_id}")
def show_command(
    server: ServerDep, user: Reader, wanted: WantedDep, name: Name, command_id: CommandId
) -> Command:
    """Show one command and what came of it."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        device_id = devices.identify(connection, scope, name)
        row = downlink.command(connection, device_id=device_id, command_id=command_id)
    return Command.model_validate(row)


@router.put("/twin", dependencies=[ApiWrite])
def set_twin(
    server: ServerDep, user: Commander, wanted: WantedDep, name: Name, body: TwinBody
) -> Twin:
    """Set how a device should be set; it is sent until the device has reported."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        row = downlink.desire(
            connection,
            tenant=user.tenant,
            device_id=devices.identify(connection, scope, name),
            desired=body.desired,
            asked_by=user.login,
        )
    return Twin.model_validate(row)


@router.get("/twin")
def show_twin(server: ServerDep, user: Reader, wanted: WantedDep, name: Name) -> Twin:
    """Show what is desired of a device, and what it reported."""
    with server.work(user) as connection:
        scope = scopes.resolve(connection, user, wanted)
        device_id = devices.identify(connection, scope, name)
        return Twin.model_validate(downlink.twin(connection, device_id=device_id))
