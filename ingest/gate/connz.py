"""What nats-server tells of its connections; pure."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from typing import Final

import msgspec
from msgspec import Struct

from ingest.gate.decide import Session, is_device

PING: Final = "$SYS.REQ.SERVER.PING.CONNZ"
"""Asks every server of a cluster."""
PAGE: Final = 512
"""Connections in one answer: some 230 kB of the 1 MiB that a message may have."""


class _Connection(Struct, frozen=True):
    cid: int
    start: datetime
    authorized_user: str = ""


class _Data(Struct, frozen=True):
    server_id: str
    connections: tuple[_Connection, ...] = ()


class _Reply(Struct, frozen=True):
    data: _Data | None = None


def sessions(payload: bytes) -> list[Session]:
    """Read one server's answer: every connection in it, devices or not."""
    data = msgspec.json.decode(payload, type=_Reply).data
    if data is None:
        return []
    return [
        Session(server=data.server_id, number=c.cid, login=c.authorized_user, began_at=c.start)
        for c in data.connections
    ]


def devices_of(found: list[Session]) -> list[Session]:
    """Keep the sessions of devices."""
    return [session for session in found if is_device(session.login)]


def of_client(client_id: str) -> bytes:
    """Ask for the connection of one MQTT client."""
    return msgspec.json.encode({"auth": True, "mqtt_client": client_id})


def of_page(number: int) -> bytes:
    """Ask for one page of all connections."""
    return msgspec.json.encode({"auth": True, "offset": number * PAGE, "limit": PAGE})


def kick(session: Session) -> tuple[str, bytes]:
    """Give subject and payload that end a connection."""
    return f"$SYS.REQ.SERVER.{session.server}.KICK", msgspec.json.encode({"cid": session.number})
