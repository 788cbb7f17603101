"""Devices come in by a claim token and leave when they are revoked: the routes of both."""

from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from api import accounts, audit, credentials, paging, throttle
from api.access import ApiWrite, ServerDep, address_of, may
from api.accounts import User
from api.credentials import Enrolled, Named
from api.paging import CursorText, Limit, Page
from api.problems import ClaimRefused, SignInRequired, TooManyAttempts
from api.roles import Permission
from api.server import Server
from foremend.db import transaction
from foremend.device_secrets import SHORTEST
from foremend.errors import ForemendError
from foremend.settings import Settings

COUNTED: Final = "enrol"
"""The name under which failed attempts are counted; the token itself is kept nowhere."""
router: Final = APIRouter(tags=["enrolment"])
DictConnection = psycopg.Connection[dict[str, Any]]
Warden = Annotated[User, Depends(may(Permission.MANAGE_DEVICES))]
Name = Annotated[str, Path(max_length=64)]
Secret = Annotated[str, Field(min_length=SHORTEST, max_length=128, pattern="^[A-Za-z0-9_-]+$")]
Id = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class EnrolBody(BaseModel):
    """What a device brings."""

    token: str = Field(max_length=256)
    device: Id | None = None
    """Needed where the token is for several."""
    secret: Secret | None = None
    """At least 256 random bits of its own choice; then the request may be repeated."""


class BrokerAddress(BaseModel):
    """Where to speak."""

    host: str
    port: int
    tls: bool


class EnrolAnswer(BaseModel):
    """All that a device needs to speak and to be told."""

    tenant: str
    device: str
    login: str
    """Also the one MQTT client id that it may use."""
    secret: str
    broker: BrokerAddress
    command_keys: list[str]
    """PEM of each Ed25519 public key whose commands it shall obey."""


class RenewBody(BaseModel):
    """A device's present secret, and the one that takes its place."""

    login: str = Field(max_length=129)
    secret: str = Field(max_length=128)
    new_secret: Secret


class ClaimBody(BaseModel):
    """For whom a token is."""

    device: str = Field(max_length=65)
    """A device's name, or the beginning of names with `*` at its end."""
    expires_s: float = Field(default=86_400, gt=0, le=90 * 86_400)


class ClaimAnswer(BaseModel):
    """A token, told this once."""

    token: str


class Credential(BaseModel):
    """One device that may come in, or no longer."""

    device: str
    login: str
    made_at: datetime
    changed_at: datetime
    revoked_at: datetime | None


@router.post("/enrol", status_code=201)
def enrol(server: ServerDep, request: Request, body: EnrolBody) -> EnrolAnswer:
    """Make a device's own credentials against a claim token, once."""
    try:
        _within_limits(server, request)
        enrolled = _enrolled(server, _named(body.token, ClaimRefused), body)
    except ClaimRefused:
        _count(server, request)
        raise
    return _answer(server.settings, enrolled)


@router.post("/enrol/renew", status_code=204)
def renew(server: ServerDep, request: Request, body: RenewBody) -> Response:
    """Take a device's new secret; the present one no longer holds."""
    try:
        _within_limits(server, request)
        whose = _named(body.login, SignInRequired)
        with (
            server.pool.connection() as connection,
            transaction(connection, tenant=whose.tenant) as walled,
        ):
            credentials.renew(
                walled,
                tenant=whose.tenant,
                device=whose.rest,
                secret=body.secret,
                new=body.new_secret,
            )
    except SignInRequired:
        _count(server, request)
        raise
    return Response(status_code=204)


@router.get("/credentials")
def list_credentials(
    server: ServerDep, user: Warden, cursor: CursorText = None, limit: Limit = paging.LIMIT
) -> Page[Credential]:
    """List the devices that may come in, or no longer, by name."""
    after = paging.decode("credentials", cursor, str)
    with server.work(user) as connection:
        rows = credentials.listed(connection, tenant=user.tenant, after=after, limit=limit + 1)
    found = [Credential.model_validate(row) for row in rows]
    return paging.page("credentials", found, [c.device for c in found], limit)


@router.post("/credentials/claims", status_code=201, dependencies=[ApiWrite])
def make_claim(server: ServerDep, user: Warden, body: ClaimBody) -> ClaimAnswer:
    """Make a token by which one device can enrol."""
    with server.work(user) as connection:
        token = credentials.make_claim(
            connection,
            tenant=user.tenant,
            device=body.device,
            seconds=body.expires_s,
            made_by=user.login,
        )
        _note(connection, user, "device.claim", body.device)
    return ClaimAnswer(token=token)


@router.post("/credentials/{device}/revoke", status_code=204, dependencies=[ApiWrite])
def revoke(server: ServerDep, user: Warden, device: Name) -> Response:
    """Shut a device out."""
    with server.work(user) as connection:
        credentials.revoke(connection, tenant=user.tenant, device=device)
        _note(connection, user, "device.revoke", device)
    return Response(status_code=204)


def _named(text: str, otherwise: type[ForemendError]) -> Named:
    known = credentials.named(text)
    if known is None:
        raise otherwise
    return known


def _enrolled(server: Server, known: Named, body: EnrolBody) -> Enrolled:
    with (
        server.pool.connection() as connection,
        transaction(connection, tenant=known.tenant) as walled,
    ):
        enrolled = credentials.enrol(
            walled, tenant=known.tenant, token=body.token, device=body.device, secret=body.secret
        )
        if not enrolled.again:
            audit.note(
                walled,
                tenant=known.tenant,
                actor=enrolled.login,
                action="device.enrol",
                subject=enrolled.device,
            )
    return enrolled


def _answer(settings: Settings, enrolled: Enrolled) -> EnrolAnswer:
    host, _, port = settings.device_broker.rpartition(":")
    return EnrolAnswer(
        tenant=enrolled.tenant,
        device=enrolled.device,
        login=enrolled.login,
        secret=enrolled.secret,
        broker=BrokerAddress(
            host=host or settings.broker_host,
            port=int(port) if port else settings.broker_port,
            tls=settings.broker_tls,
        ),
        command_keys=_command_keys(settings.command_keys_dir),
    )


def _command_keys(folder: FilePath) -> list[str]:
    return [file.read_text(encoding="ascii") for file in sorted(folder.glob("*.pem"))]


def _within_limits(server: Server, request: Request) -> None:
    """Refuse an address that has failed too often; whom it named does not count.

    A limit by name would let strangers keep a device out.
    """
    with server.pool.connection() as connection:
        failures = accounts.failures_of(connection, COUNTED, address_of(request))
    if failures.address >= throttle.PER_ADDRESS:
        raise TooManyAttempts


def _count(server: Server, request: Request) -> None:
    with server.pool.connection() as connection:
        accounts.note_failure(connection, COUNTED, address_of(request))


def _note(connection: DictConnection, user: User, action: str, device: str) -> None:
    audit.note(connection, tenant=user.tenant, actor=user.login, action=action, subject=device)
