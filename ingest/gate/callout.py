"""What nats-server asks of its authorization service, and the answers; pure.

The request's `client_info` carries the MQTT client id, by which one client throws another off.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from foremend.errors import MalformedMessage
from foremend.wire import Address
from ingest.gate.decide import Asked
from ingest.gate.nkey import claims_of

if TYPE_CHECKING:
    from ingest.gate.decide import Credential
    from ingest.gate.nkey import Issuer

SUBJECT: Final = "$SYS.REQ.USER.AUTH"
ACCOUNT: Final = "$G"
"""The account in which all MQTT users live: nats-server's own default."""
PATIENCE_S: Final = 5.0
"""How long the broker waits for an answer; its configuration says the same."""
LONGEST_SESSION_S: Final = 24 * 3600
"""After this a device is let in anew: a net, should nobody be there to cut it off."""


class _Client(Struct, frozen=True):
    type: str = ""
    mqtt_id: str = ""


class _Options(Struct, frozen=True):
    user: str = ""
    password: str = msgspec.field(name="pass", default="")


class _Server(Struct, frozen=True):
    id: str


class _Request(Struct, frozen=True):
    server_id: _Server
    user_nkey: str
    client_info: _Client
    connect_opts: _Options


class _Claims(Struct, frozen=True):
    nats: _Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One client at the broker's door."""

    asked: Asked
    server: str
    user_key: str
    """A key that the broker made for this connection; the answer must be about it."""


def read_request(token: bytes) -> Request:
    """Read what the broker asks.

    Raises:
        MalformedMessage: it is no request for an MQTT client.
    """
    try:
        told = msgspec.json.decode(claims_of(token), type=_Claims).nats
    except msgspec.DecodeError as error:
        raise MalformedMessage("no_request", str(error)) from error
    asked = Asked(
        login=told.connect_opts.user,
        secret_hash=hashlib.sha256(told.connect_opts.password.encode()).digest(),
        client_id=told.client_info.mqtt_id if told.client_info.type == "mqtt" else "",
    )
    return Request(asked=asked, server=told.server_id.id, user_key=told.user_nkey)


def admit(request: Request, credential: Credential, issuer: Issuer, *, now_s: int) -> bytes:
    """Answer that a device may come in, and what it may say and hear."""
    user = issuer.token(
        subject=request.user_key,
        audience=ACCOUNT,
        now_s=now_s,
        exp=now_s + LONGEST_SESSION_S,
        name=credential.login,
        nats=user_claims(Address(tenant=credential.tenant, device=credential.device)),
    )
    return _response(request, issuer, now_s, {"jwt": user})


def refuse(request: Request, reason: str, issuer: Issuer, *, now_s: int) -> bytes:
    """Answer that somebody may not come in; the reason stands in the broker's log."""
    return _response(request, issuer, now_s, {"error": reason})


def user_claims(address: Address) -> dict[str, Any]:
    """Let a device speak under its own `up/` and hear its own `down/`, by MQTT alone."""
    prefix = address.prefix.replace("/", ".")
    return {
        "type": "user",
        "version": 2,
        "pub": {"allow": [f"{prefix}.up.*"]},
        "sub": {"allow": [f"{prefix}.down", f"{prefix}.down.>"]},
        "subs": -1,
        "data": -1,
        "payload": -1,
        "allowed_connection_types": ["MQTT"],
    }


def _response(request: Request, issuer: Issuer, now_s: int, told: dict[str, Any]) -> bytes:
    token = issuer.token(
        subject=request.user_key,
        audience=request.server,
        now_s=now_s,
        nats={"type": "authorization_response", "version": 2, **told},
    )
    return token.encode()
