"""The composition root of the gate: it lets devices in, shows them out, and carries commands."""

from __future__ import annotations

import secrets
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

import stamina

from foremend import keys
from foremend.db.listen import attend
from foremend.errors import ConfigurationError, Unavailable
from ingest.downlink.app import carrying
from ingest.gate import store
from ingest.gate.door import Door
from ingest.gate.mosquitto import MosquittoGate
from ingest.gate.nats_gate import NatsGate
from ingest.gate.nkey import Issuer
from ingest.gate.register import PostgresRegister
from ingest.gate.usher import Usher
from ingest.line import greet

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from foremend.db import Connection
    from foremend.settings import Settings

POLL_S: Final = 0.5
"""A lost notice of a revocation delays it by so much."""


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop` is set; the death of a part stops the whole.

    Raises:
        ConfigurationError: no database or no broker is named.
        Unavailable: the broker did not come up within a minute.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("the gate needs FOREMEND_DATABASE_URL")
    if not settings.gate_url.get_secret_value() and settings.gate_files is None:
        raise ConfigurationError("the gate needs FOREMEND_GATE_URL, or FOREMEND_GATE_FILES")
    if settings.gate_files is None:
        _at_nats(settings, url, stop)
    else:
        _at_mosquitto(settings, settings.gate_files, url, stop)


def _at_mosquitto(settings: Settings, folder: Path, url: str, stop: threading.Event) -> None:
    name = f"foremend-gate-{secrets.token_hex(4)}"
    gate = MosquittoGate(folder, answer=partial(greet, settings, name))
    _follow(settings, url, gate.keep, stop)


def _at_nats(settings: Settings, url: str, stop: threading.Event) -> None:
    register = PostgresRegister(url)
    gate = NatsGate(
        url=settings.gate_url.get_secret_value(),
        system_url=settings.gate_system_url.get_secret_value(),
        issuer=Issuer(keys.private_key(settings.data_dir / "keys" / keys.GATE)),
        register=register,
    )
    with closing(register), Door(gate, stop) as door:
        for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=60):
            with attempt:
                door.open()
        _follow(settings, url, Usher(gate, door.ask).look, stop)


def _follow(
    settings: Settings, url: str, work: Callable[[Connection], bool], stop: threading.Event
) -> None:
    with carrying(settings, stop):
        attend(url, name="gate", listen=store.LISTEN, work=work, stop=stop, poll_s=POLL_S)
