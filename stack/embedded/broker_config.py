"""What the embedded broker is told: who may come in, and what each may say and hear.

Pure text for both brokers; the rights are the same on either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from foremend.device_secrets import mosquitto_hash
from ingest.gate import callout, mosquitto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stack.embedded.mqtt_probe import Login

PACKET_IDS: Final = 65_535
"""All that one session can have unacknowledged, over all its subscriptions (MQTT 3.1.1, 2.3.1)."""
SERVER_NAME: Final = "foremend-broker"
STORE_LIMIT: Final = 4 * 1024**3
"""Bytes that undelivered messages may take; devices keep theirs until our own acknowledgement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A user and the MQTT filters it may publish to and subscribe to."""

    login: Login
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def services_right(login: Login) -> Right:
    """Let the services say and hear everything."""
    return Right(login=login, publish=("#",), subscribe=("#",))


def devices_right(login: Login, device: str = "+") -> Right:
    """Let a login speak up for one device and hear what is sent down to it; `+` for the fleet."""
    return Right(
        login=login,
        publish=(f"fm/1/+/+/{device}/up/+",),
        subscribe=(f"fm/1/+/+/{device}/down/#",),
    )


def max_ack_pending(filters: int) -> int:
    """Return what each of a session's filters may leave unacknowledged; a `#` counts for two."""
    return PACKET_IDS // filters


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Who answers for logins that the broker itself does not know."""

    port: int
    """Of NATS's own protocol, on loopback, where the gate comes in."""
    login: Login
    system: Login
    """Of the system account, by which sessions are looked over and ended."""
    issuer: str
    """The account key whose word the broker takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What MQTT is spoken behind, and its key: files, PEM."""

    certificate: str
    key: str


def nats_config(
    *,
    port: int,
    store: str,
    rights: Sequence[Right],
    filters: int,
    gate: Gate,
    tls: Certificate | None = None,
) -> str:
    """Return nats-server's configuration; its format takes JSON."""
    secured = {"tls": {"cert_file": tls.certificate, "key_file": tls.key}} if tls else {}
    config = {
        "server_name": SERVER_NAME,
        # Its own protocol cannot be switched off; nobody but the gate and MQTT users may log in.
        "listen": f"127.0.0.1:{gate.port}",
        "jetstream": {"store_dir": store, "max_file_store": STORE_LIMIT},
        "mqtt": {
            "listen": f"127.0.0.1:{port}",
            "ack_wait": "10s",
            "max_ack_pending": max_ack_pending(filters),
            **secured,
        },
        "accounts": {"SYS": {"users": [_plain(gate.system)]}},
        "system_account": "SYS",
        "authorization": {
            "timeout": callout.PATIENCE_S,
            "users": [*map(_nats_user, rights), _gate_user(gate)],
            "auth_callout": {
                "issuer": gate.issuer,
                # All others are asked of the gate.
                "auth_users": [
                    *(right.login.user for right in rights),
                    gate.login.user,
                    gate.system.user,
                ],
            },
        },
    }
    return json.dumps(config, indent=2)


def _plain(login: Login) -> dict[str, Any]:
    return {
        "user": login.user,
        "password": login.password,
        "allowed_connection_types": ["STANDARD"],
    }


def _gate_user(gate: Gate) -> dict[str, Any]:
    answers = {"max": 1, "ttl": "1m"}
    rights = {"subscribe": {"allow": [callout.SUBJECT]}, "allow_responses": answers}
    return {**_plain(gate.login), "permissions": rights}


def _nats_user(right: Right) -> dict[str, Any]:
    publish = [s for f in right.publish for s in nats_subjects(f)]
    # What reaches a QoS 1 subscriber comes by way of a subject that the server makes up.
    subscribe = [*(s for f in right.subscribe for s in nats_subjects(f)), "$MQTT.sub.>"]
    return {
        "user": right.login.user,
        "password": right.login.password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}},
    }


def nats_subjects(mqtt_filter: str) -> tuple[str, ...]:
    """Translate an MQTT filter; `a/#` covers `a` itself, which `a.>` does not."""
    levels = mqtt_filter.split("/")
    names = [{"+": "*", "#": ">"}.get(level, level) for level in levels]
    subject = ".".join(names)
    return (subject,) if names[-1] != ">" or len(names) == 1 else (".".join(names[:-1]), subject)


def mosquitto_config(
    *, port: int, device_port: int, store: str, filters: int, tls: Certificate | None = None
) -> str:
    """Return mosquitto's configuration; the password and access files stand in the store.

    Enrolled devices have a listener of their own, on which a login is the client id; the services
    share one login and could not be there.
    """
    secured = (f"certfile {tls.certificate}", f"keyfile {tls.key}") if tls else ()
    return "\n".join(
        (
            "per_listener_settings true",
            f"listener {port} 127.0.0.1",
            *secured,
            "allow_anonymous false",
            f"password_file {store}/passwords",
            f"acl_file {store}/access",
            f"listener {device_port} 127.0.0.1",
            "allow_anonymous false",
            "use_username_as_clientid true",
            f"password_file {store}/{mosquitto.PASSWORDS}",
            f"acl_file {store}/{mosquitto.ACCESS}",
            f"pid_file {store}/{mosquitto.PID}",
            "persistence true",
            f"persistence_location {store}/",
            "autosave_interval 30",
            f"max_inflight_messages {max_ack_pending(filters)}",
            "max_queued_messages 100000",
            "log_dest stdout",
            "connection_messages false",
            "",
        )
    )


def mosquitto_passwords(rights: Sequence[Right], salt: bytes) -> str:
    """Return mosquitto's password file: PBKDF2-SHA512, its format 7."""
    return "".join(f"{r.login.user}:{mosquitto_hash(r.login.password, salt)}\n" for r in rights)


def mosquitto_access(rights: Sequence[Right]) -> str:
    """Return mosquitto's access file."""
    return "\n".join(line for right in rights for line in _access_lines(right)) + "\n"


def _access_lines(right: Right) -> tuple[str, ...]:
    writes = (f"topic write {f}" for f in right.publish)
    reads = (f"topic read {f}" for f in right.subscribe)
    return (f"user {right.login.user}", *writes, *reads)
