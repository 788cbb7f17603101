"""A broker with its gate over a real database, for tests: both brokers, the same doors."""

from __future__ import annotations

import os
import queue
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from psycopg.rows import dict_row

from api import credentials
from foremend import ready
from foremend.db import connect, transaction
from foremend.settings import Settings
from ingest.gate import app
from stack.embedded.broker import EmbeddedBroker, Program
from stack.embedded.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from api.credentials import Enrolled
    from stack.embedded.datadir import DataDir
    from stack.embedded.mqtt_probe import Login

PATIENCE = 30.0
TENANT = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A broker, the database behind its gate, and what is done to both."""

    broker: EmbeddedBroker
    url: str

    def enrol(self, device: str, tenant: str = TENANT) -> Enrolled:
        """Give a device credentials of its own, as a claim does."""
        token = self.work(
            tenant,
            lambda c: credentials.make_claim(
                c, tenant=tenant, device=device, seconds=60, made_by="test"
            ),
        )
        return self.work(
            tenant,
            lambda c: credentials.enrol(c, tenant=tenant, token=token, device=device, secret=None),
        )

    def revoke(self, device: str) -> None:
        self.work(TENANT, lambda c: credentials.revoke(c, tenant=TENANT, device=device))

    def work(self, tenant: str, what: Callable[[Any], Any]) -> Any:
        """Do something in one transaction of a tenant."""
        with connect(self.url, name="test") as connection:
            connection.row_factory = dict_row
            with transaction(connection, tenant=tenant):
                return what(connection)


@contextmanager
def site(home: DataDir, url: str, program: Program | None = None) -> Iterator[Site]:
    """Run a broker and its gate."""
    with serving(EmbeddedBroker(home, program=program)) as broker, gate(home, broker, url):
        yield Site(broker=broker, url=url)


@contextmanager
def gate(home: DataDir, broker: EmbeddedBroker, url: str) -> Iterator[None]:
    """Run the gate of a broker in a thread, from when it serves; its death fails the test."""
    terms = {k.removeprefix("FOREMEND_").lower(): v for k, v in broker.gate_terms.items()}
    with service(home, broker, url, app.run, **terms):
        yield


@contextmanager
def service(
    home: DataDir,
    broker: EmbeddedBroker,
    url: str,
    work: Callable[[Settings, threading.Event], None],
    **terms: Any,
) -> Iterator[None]:
    """Run a service in a thread, from when it serves; its death fails the test."""
    settings = Settings(
        data_dir=home.path,
        database_url=url,
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.services.user,
        broker_password=broker.services.password,
        **terms,
    )
    stop, deaths = threading.Event(), []

    def run() -> None:
        try:
            work(settings, stop)
        except BaseException as error:
            deaths.append(error)
            raise

    thread = threading.Thread(target=run, name="service")
    with _announced(home.path) as announced:
        thread.start()
        assert announced.wait(PATIENCE)
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not deaths


@contextmanager
def _announced(folder: Path) -> Iterator[threading.Event]:
    """Hear when a service in this process says that it serves."""
    file, heard, over = folder / "service.ready", threading.Event(), threading.Event()
    file.unlink(missing_ok=True)

    def watch() -> None:
        while not over.wait(0.01):
            if ready.announced(file):
                heard.set()
                return

    os.environ[ready.VARIABLE] = str(file)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield heard
    finally:
        over.set()
        watcher.join()
        del os.environ[ready.VARIABLE]


class Device:
    """An MQTT client of one device, that does not come back by itself."""

    def __init__(self, broker: EmbeddedBroker, login: Login, client_id: str) -> None:
        self.inbox: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.left = threading.Event()
        self._answers: queue.Queue[bool] = queue.Queue()
        self._granted: queue.Queue[None] = queue.Queue()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, reconnect_on_failure=False)
        client.username_pw_set(login.user, login.password)
        client.on_connect = lambda _c, _u, _f, code, _p: self._answers.put(not code.is_failure)
        client.on_disconnect = lambda *_: self.left.set()
        client.on_subscribe = lambda *_: self._granted.put(None)
        client.on_message = lambda _c, _u, m: self.inbox.put((m.topic, bytes(m.payload)))
        self._client = client
        self._address = (broker.host, broker.device_port)

    def come_in(self) -> bool:
        """Connect; tells whether the broker let it in."""
        self._client.connect(*self._address)
        self._client.loop_start()
        return self._answers.get(timeout=PATIENCE)

    def hear(self, topic_filter: str) -> None:
        self._client.subscribe(topic_filter)
        self._granted.get(timeout=PATIENCE)

    def say(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
