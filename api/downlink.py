"""Asking for commands and configurations: what the routes and the command line share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from api import audit
from foremend.db import Queries
from foremend.errors import NotFound

if TYPE_CHECKING:
    import psycopg

    DictConnection = psycopg.Connection[dict[str, Any]]

_SQL: Final = Queries.load("api", "commands.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a device shall do, once."""

    kind: str
    args: dict[str, Any] = field(default_factory=dict)
    interlock: tuple[int, ...] = ()
    """Phases in which it may run; none means any that the device itself allows."""
    expires_s: float
    """On the device's timeline."""


def send(
    connection: DictConnection, *, tenant: str, device_id: int, order: Order, asked_by: str
) -> dict[str, Any]:
    """Queue a command, note who asked, and give it as it stands."""
    target = _target(connection, tenant, device_id, asked_by)
    row = connection.execute(
        _SQL["add_command"],
        {
            **target,
            "id": f"c{secrets.token_hex(8)}",
            "kind": order.kind,
            "args": Jsonb(order.args),
            "interlock": list(order.interlock),
            "expires_s": order.expires_s,
        },
    ).fetchone()
    assert row is not None  # noqa: S101 - an insert that returns gives one row
    connection.execute(_SQL["tell_courier"])
    told = {"id": row["id"], "kind": order.kind, "args": order.args}
    _note(connection, target, "device.command", told)
    return row


def desire(
    connection: DictConnection,
    *,
    tenant: str,
    device_id: int,
    desired: dict[str, Any],
    asked_by: str,
) -> dict[str, Any]:
    """Set how a device should be set, whole, note who asked, and give the twin as it stands."""
    target = _target(connection, tenant, device_id, asked_by)
    connection.execute(_SQL["desire"], {**target, "desired": Jsonb(desired)})
    connection.execute(_SQL["tell_courier"])
    _note(connection, target, "device.configure", desired)
    return twin(connection, device_id=device_id)


def command(connection: DictConnection, *, device_id: int, command_id: str) -> dict[str, Any]:
    """Give one command.

    Raises:
        NotFound: there is none of this id for the device.
    """
    wanted = {"device_id": device_id, "id": command_id}
    row = connection.execute(_SQL["command"], wanted).fetchone()
    if row is None:
        raise NotFound(f"no command {command_id!r} for this device")
    return row


def commands(connection: DictConnection, *, device_id: int, limit: int) -> list[dict[str, Any]]:
    """Give a device's commands, the newest first."""
    wanted = {"device_id": device_id, "limit": limit}
    return connection.execute(_SQL["commands"], wanted).fetchall()


def twin(connection: DictConnection, *, device_id: int) -> dict[str, Any]:
    """Give what is desired of a device, and what it reported.

    Raises:
        NotFound: nothing was ever desired.
    """
    row = connection.execute(_SQL["twin"], {"device_id": device_id}).fetchone()
    if row is None:
        raise NotFound("nothing was ever desired of this device")
    return row


def _target(
    connection: DictConnection, tenant: str, device_id: int, asked_by: str
) -> dict[str, Any]:
    row = connection.execute(_SQL["target"], {"device_id": device_id}).fetchone()
    if row is None:
        raise NotFound("no such device")
    whose = {"tenant": tenant, "device": row["name"]}
    numbered = connection.execute(_SQL["next_number"], whose).fetchone()
    assert numbered is not None  # noqa: S101 - an upsert that returns gives one row
    return {
        **whose,
        "device_id": device_id,
        "timeline": row["timeline"],
        "now": row["now"],
        "counter": numbered["counter"],
        "asked_by": asked_by,
    }


def _note(
    connection: DictConnection, target: dict[str, Any], action: str, details: dict[str, Any]
) -> None:
    audit.note(
        connection,
        tenant=target["tenant"],
        actor=target["asked_by"],
        action=action,
        subject=target["device"],
        details=details,
    )
