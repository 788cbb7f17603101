"""What ingest is measured against: a pipe without any check, and one that inserts row by row.

Both receive with paho and acknowledge by hand after the commit; both write the table `frame` as it
stands, with its indexes. Neither knows a duplicate, a gap, a quarantine or a position in a log.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from foremend import ready, wire
from foremend.clock import to_datetime, wall_ms
from foremend.db import EVERY_TENANT, Connection, Queries, connect, storage, transaction
from foremend.settings import load
from ingest import frames
from stack.bench.load import STORED_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from foremend.settings import Settings

PIPE: Final = "bench-pipe"
"""The broker's session of a pipe."""
BATCH: Final = 4000
GATHER_S: Final = 0.02
_SQL: Final = Queries.load("stack.bench", "bench.sql")
_DATA: Final = msgspec.json.Decoder(wire.Data)


class Write(Protocol):
    """Stores messages and commits; ids are read from the topics."""

    def __call__(self, link: Connection, messages: Sequence[paho.MQTTMessage]) -> None:
        """Store them all."""


def bare(link: Connection, messages: Sequence[paho.MQTTMessage]) -> None:
    """Decode, and one binary COPY."""
    stored = [
        frames.StoredMessage(
            device_id=_number(m.topic), boot_id=1, schema_id=1, data=_DATA.decode(m.payload)
        )
        for m in messages
    ]
    with transaction(link, tenant=EVERY_TENANT):
        storage.copy_frames(link, frames.encode(stored, 1))


def naive(link: Connection, messages: Sequence[paho.MQTTMessage]) -> None:
    """Decode, and one INSERT and one commit for each."""
    for m in messages:
        told = _DATA.decode(m.payload)
        row = {
            "device_id": _number(m.topic),
            "ts": to_datetime(told.frames.t0_ms),
            "seq": told.seq,
            "phase": told.frames.phase[0],
            "quality": told.frames.quality[0],
            "vals": [column[0] for column in told.frames.values],
        }
        link.execute(_SQL["insert_frame"], row)


def _number(topic: str) -> int:
    return int(topic.split("/", 5)[4][7:])


def _subscribe(client: paho.Client, *_: object) -> None:
    client.subscribe(wire.up_filter(), qos=1)


@dataclass(slots=True)
class Pipe:
    """Receive, write, acknowledge to the broker, and say how much is stored."""

    settings: Settings
    write: Write
    batch: int
    inbox: queue.SimpleQueue[paho.MQTTMessage] = field(default_factory=queue.SimpleQueue)

    def run(self, stop: Callable[[], bool]) -> None:
        """Serve until told to stop."""
        client, stored = self._connect(), 0
        with connect(self.settings.database_url.get_secret_value(), name="bench") as link:
            now = to_datetime(wall_ms())
            storage.ensure_room(link, now - timedelta(days=1), now + timedelta(days=1))
            while not stop():
                messages = self._gather()
                if not messages:
                    continue
                self.write(link, messages)
                for message in messages:
                    client.ack(message.mid, message.qos)
                stored += len(messages)
                client.publish(STORED_TOPIC, str(stored))
        client.loop_stop()

    def _connect(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=PIPE,
            clean_session=False,
            manual_ack=True,
        )
        secret = self.settings.broker_password
        client.username_pw_set(
            self.settings.broker_user, secret.get_secret_value() if secret else None
        )
        client.max_inflight_messages_set(0)
        client.on_message = lambda _client, _data, message: self.inbox.put(message)
        client.on_subscribe = lambda *_: ready.announce()
        client.on_connect = _subscribe
        client.connect(self.settings.broker_host, self.settings.broker_port)
        client.loop_start()
        return client

    def _gather(self) -> list[paho.MQTTMessage]:
        messages: list[paho.MQTTMessage] = []
        until = time.monotonic() + GATHER_S
        try:
            messages.append(self.inbox.get(timeout=0.25))
            while len(messages) < self.batch:
                left = until - time.monotonic()
                messages.append(self.inbox.get(timeout=left) if left > 0 else self.inbox.get(False))
        except queue.Empty:
            return messages
        return messages


def main() -> None:
    """Run the pipe that the first argument names."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    write, batch = {"bare": (bare, BATCH), "naive": (naive, 100)}[sys.argv[1]]
    Pipe(load(), write, batch).run(stopped.is_set)


if __name__ == "__main__":
    main()
