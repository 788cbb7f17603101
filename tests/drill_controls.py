"""Crippled programs for drills: each lacks one guard, so that the drill that guards it must fail.

python drill_controls.py early-ingest
python drill_controls.py hasty-devices PLAN LIFE
"""

from __future__ import annotations

import asyncio
import queue
import signal
import sys
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from edge_agent.link import Heard
from edge_agent.mqtt_link import MqttConnector
from foremend import settings, wire
from foremend.clock import wall_ms
from foremend.db import connect
from foremend.errors import Unavailable
from ingest.inbox import Inbox
from ingest.memory import MemoryStore
from ingest.mqtt import Subscriber
from ingest.store import PostgresStore
from ingest.worker import Worker
from stack.drill import host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from edge_agent.config import BrokerConfig
    from edge_agent.link import Link, Said
    from ingest.intake import Accepted, Refused
    from ingest.store import Committed

BEHIND_S = 0.4
Batch = tuple["Sequence[Accepted]", "Sequence[Refused]", int]


class EarlyStore:
    """Says that a batch is stored, and stores it a little later."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._says = MemoryStore()
        self._batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        threading.Thread(target=self._store, daemon=True).start()

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: int
    ) -> Committed:
        threading.Timer(BEHIND_S, self._batches.put, [(accepted, refused, now_ms)]).start()
        return self._says.commit(accepted, refused, now_ms)

    def rest(self) -> None:
        """Have nothing to do."""

    def _store(self) -> None:
        store = None
        while batch := self._batches.get():
            with suppress(Unavailable):
                store = store or PostgresStore(connect(self._url, name="ingest"))
                store.commit(*batch)
                continue
            store = None


def early_ingest() -> None:
    told, stop, inbox = settings.load(), threading.Event(), Inbox()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    subscriber = Subscriber(told, inbox, "foremend-ingest")
    url = told.database_url.get_secret_value()
    worker = Worker(
        open_store=lambda: EarlyStore(url), reply=subscriber, now_ms=wall_ms, inbox=inbox
    )
    subscriber.start()
    worker.run(stop)
    subscriber.stop()


class HastyLink:
    """Takes the broker's PUBACK for ours."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._inbox: asyncio.Queue[Heard | BaseException] = asyncio.Queue()

    async def publish(self, said: Said) -> None:
        await self._link.publish(said)
        address, kind = wire.parse_up(said.topic)
        message = wire.decode_up(kind, said.payload)
        if isinstance(message, wire.NUMBERED):
            ack = wire.Ack(boot=message.boot, ranges=((message.seq, message.seq),))
            topic = address.down(wire.Down.ACK)
            self._inbox.put_nowait(Heard(topic=topic, payload=wire.encode(ack)))

    async def subscribe(self, topic_filter: str) -> None:
        await self._link.subscribe(topic_filter)

    async def heard(self) -> AsyncIterator[Heard]:
        listening = asyncio.create_task(self._listen())
        try:
            while not isinstance(one := await self._inbox.get(), BaseException):
                yield one
            raise one
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        try:
            async for one in self._link.heard():
                self._inbox.put_nowait(one)
        except Unavailable as down:
            self._inbox.put_nowait(down)


class HastyConnector:
    """Makes such links."""

    def __init__(self, broker: BrokerConfig, device: str) -> None:
        self._real = MqttConnector(broker, device)

    @asynccontextmanager
    async def connect(self, will: Said) -> AsyncIterator[HastyLink]:
        async with self._real.connect(will) as link:
            yield HastyLink(link)


if __name__ == "__main__":
    if sys.argv[1] == "early-ingest":
        early_ingest()
    else:
        host.main(HastyConnector)
