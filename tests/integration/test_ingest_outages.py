"""A hung, a full or a vanished database: acknowledgements stop, memory stays flat, all resumes."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import Connection, bootstrap, connect
from foremend.settings import Settings
from ingest import inbox as inboxes
from ingest import packets
from ingest.inbox import Inbox
from ingest.late import Lane
from ingest.line import dial
from ingest.mqtt import Subscriber
from ingest.store import PostgresStore, alive
from ingest.worker import Worker
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import Running, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.line import Line

CHANNELS = (wire.Channel(name="temp", unit="Cel"),)
SCHEMA = wire.schema_hash(CHANNELS)
ADDRESS = wire.Address(tenant="outages", device="unit-1")
START_MS = wall_ms()
PASSWORD = "for-tests-alone"
PADDING = ["x" * 250] * 15


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[EmbeddedPostgres, Running]]:
    """A server of this module's own, which may be stopped without harm to others."""
    with open_data_dir(tmp_path_factory.mktemp("outages") / "var") as home:
        postgres = EmbeddedPostgres(home, durable=False)
        running = start(postgres)
        yield postgres, running
        running.stop()
        postgres.close()


@pytest.fixture(scope="module")
def url(server) -> str:
    postgres = server[0]
    with connect(postgres.url(), name="test") as superuser:
        bootstrap.create_roles(superuser, owner_password=PASSWORD, app_password=PASSWORD)
        bootstrap.create_database(superuser, "outages")
    address = postgres.url("outages").rsplit("@", 1)[1]
    bootstrap.migrate(f"postgresql://{bootstrap.OWNER}:{PASSWORD}@{address}")
    return f"postgresql://{bootstrap.APP}:{PASSWORD}@{address}"


@pytest.fixture
def owner(url) -> Iterator[Connection]:
    with connect(url.replace(bootstrap.APP, bootstrap.OWNER), name="test") as link:
        yield link


@pytest.fixture
def settings(broker) -> Settings:
    return Settings(
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.user,
        broker_password=broker.password,
    )


@pytest.fixture
def inbox(settings, url) -> Iterator[Inbox]:
    """Ingest at work between the broker and the database."""
    stop, inbox, subscribed = threading.Event(), Inbox(), threading.Event()
    subscriber = Subscriber(
        settings,
        inbox,
        "outages-ingest",
        filters=["fm/1/+/outages/+/up/+"],
        welcome=subscribed.set,
    )
    worker = Worker(
        lambda: PostgresStore(connect(alive(url), name="ingest"), Lane.LIVE),
        subscriber,
        wall_ms,
        inbox,
    )
    subscriber.start()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    assert subscribed.wait(10)
    yield inbox
    stop.set()
    thread.join()
    subscriber.stop()


class Device:
    """Says things, and hears what of them is stored."""

    def __init__(self, line: Line, boot: str) -> None:
        self.upto = -1
        self._line, self._boot, self._mid = line, boot, 0
        message = wire.Birth(
            boot=boot, boot_ms=START_MS, schema=SCHEMA, channels=CHANNELS, family="f", model="m"
        )
        self._say(wire.Up.BIRTH, wire.encode(message))

    def data(self, seq: int) -> None:
        frames = wire.Frames(
            t0_ms=START_MS + seq, offset_ms=[0], phase=[3], quality=[0], values=[[1.0]]
        )
        message = wire.Data(boot=self._boot, seq=seq, schema=SCHEMA, frames=frames)
        self._say(wire.Up.DATA, wire.encode(message))

    def large(self, seq: int) -> None:
        details = {f"k{n}": text for n, text in enumerate(PADDING)}
        message = wire.Event(boot=self._boot, seq=seq, ts_ms=START_MS, code="e", details=details)
        self._say(wire.Up.EVENT, wire.encode(message))

    def hears(self, upto: int, within_s: float) -> bool:
        until = time.monotonic() + within_s
        while self.upto < upto and time.monotonic() < until:
            self.listen(0.05)
        return self.upto >= upto

    def listen(self, patience_s: float) -> None:
        for message in self._line.turn(patience_s, reading=True)[0]:
            ack = wire.decode_ack(message.payload)
            if ack.boot == self._boot:
                self.upto = max(self.upto, ack.upto)

    def _say(self, kind: wire.Up, payload: bytes) -> None:
        self._mid = self._mid % 65_535 + 1
        self._line.send(packets.publish(ADDRESS.up(kind).encode(), payload, self._mid))


@pytest.fixture
def device(settings, inbox, request) -> Iterator[Device]:
    line = dial(settings, "outages-device", keepalive_s=60, clean=True)
    line.send(packets.subscribe(1, [ADDRESS.down(wire.Down.ACK)], qos=0))
    yield Device(line, f"b{abs(hash(request.node.name)) % 10**9}")
    line.close()


@contextmanager
def stopped(running: Running) -> Iterator[None]:
    """Hold every process of the server still, as a machine that hangs does."""
    leash = psutil.Process(running.pid)
    processes = [leash, *leash.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGCONT)


def stored(owner: Connection) -> int:
    row = owner.execute("SELECT count(*) FROM frame").fetchone()
    assert row is not None
    return int(row[0])


def test_a_hung_database_stops_acknowledgements_and_fills_no_memory(
    device, inbox, server, owner
) -> None:
    device.data(0)
    assert device.hears(0, within_s=10)
    before, rss = stored(owner), psutil.Process().memory_info().rss
    with stopped(server[1]):
        for seq in range(1, 12_001):
            device.large(seq)
            if seq % 500 == 0:
                device.listen(0)
        assert not device.hears(1, within_s=3.0)
        assert inbox.size < inboxes.MOST_BYTES + (1 << 20)
        assert psutil.Process().memory_info().rss - rss < 150 * 1024**2
    assert device.hears(12_000, within_s=60)
    assert stored(owner) == before
    row = owner.execute("SELECT count(*), count(DISTINCT seq) FROM event").fetchone()
    assert row == (12_000, 12_000)


def test_a_connection_that_is_cut_is_made_again(device, server) -> None:
    device.data(0)
    assert device.hears(0, within_s=10)
    with connect(server[0].url(), name="test") as superuser:
        cut = superuser.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'foremend-ingest'"
        )
        assert cut.fetchone() == (1,)
    device.data(1)
    assert device.hears(1, within_s=10)


def test_a_database_that_takes_nothing_refuses_no_message(device, owner, url) -> None:
    """Read-only, as after a failover or with a full disk: it is waited out, and nothing is lost."""
    device.data(0)
    assert device.hears(0, within_s=10)
    name = bootstrap.APP
    owner.execute(f"REVOKE INSERT ON frame FROM {name}".encode())
    device.data(1)
    assert not device.hears(1, within_s=1.5)
    owner.execute(f"GRANT INSERT ON frame TO {name}".encode())
    assert device.hears(1, within_s=10)
    assert owner.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
