"""Several ingest processes share the partitions; one is killed, and nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import connect
from foremend.settings import Settings
from foremend.values import PARTITIONS
from ingest import packets
from ingest.intake import Accepted, Arrival, read
from ingest.late import Lane
from ingest.leases import LeaseLost
from ingest.line import dial
from ingest.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foremend.db import Connection
    from ingest.line import Line

CHANNELS = (wire.Channel(name="temp", unit="Cel"),)
SCHEMA = wire.schema_hash(CHANNELS)
DEVICES = [wire.Address(tenant="leased", device=f"unit-{n:03d}") for n in range(48)]
MESSAGES = 40
START_MS = wall_ms()


def birth(address: wire.Address) -> bytes:
    message = wire.Birth(
        boot="b1", boot_ms=START_MS, schema=SCHEMA, channels=CHANNELS, family="f", model="m"
    )
    return packets.publish(address.up(wire.Up.BIRTH).encode(), wire.encode(message), 1)


def payload(seq: int) -> bytes:
    frames = wire.Frames(
        t0_ms=START_MS + seq, offset_ms=[0], phase=[3], quality=[0], values=[[1.0]]
    )
    return wire.encode(wire.Data(boot="b1", seq=seq, schema=SCHEMA, frames=frames))


class Agents:
    """Devices that send in order, keep what is not acknowledged, and send it again."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._acked: dict[str, set[int]] = {a.device: set() for a in DEVICES}
        self._born: set[str] = set()
        self._sent_at: dict[tuple[str, int], float] = {}

    def round(self) -> bool:
        """Send what is due, hear what comes; whether everything is acknowledged."""
        now = time.monotonic()
        for address in DEVICES:
            if address.device not in self._born:
                self._send(address, -1, now)
                continue
            open_seqs = [s for s in range(MESSAGES) if s not in self._acked[address.device]]
            for seq in open_seqs[:8]:
                self._send(address, seq, now)
        messages, _ = self._line.turn(0.05, reading=True)
        for message in messages:
            self._hear(message)
        return all(len(acked) == MESSAGES for acked in self._acked.values())

    def _send(self, address: wire.Address, seq: int, now: float) -> None:
        if now - self._sent_at.get((address.device, seq), float("-inf")) < 2.0:
            return
        self._sent_at[address.device, seq] = now
        if seq < 0:
            self._line.send(birth(address))
        else:
            topic = address.up(wire.Up.DATA).encode()
            self._line.send(packets.publish(topic, payload(seq), seq % 65_535 + 1))

    def _hear(self, message: packets.Publish) -> None:
        device = message.topic.decode().split("/")[4]
        ack = wire.decode_ack(message.payload)
        if device not in self._acked or ack.birth_wanted:
            return
        self._born.add(device)
        self._acked[device] |= set(range(ack.upto + 1))
        for first, last in ack.ranges:
            self._acked[device] |= set(range(first, last + 1))


@pytest.fixture
def settings(broker, migrated_urls) -> Settings:
    return Settings(
        database_url=migrated_urls.app,
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.user,
        broker_password=broker.password,
        ingest_leased=True,
    )


@pytest.fixture
def workers(settings, broker, migrated_urls, tmp_path) -> Iterator[list[subprocess.Popen]]:
    """Two ingest processes, both serving."""
    env = os.environ | {
        "FOREMEND_DATABASE_URL": migrated_urls.app,
        "FOREMEND_BROKER_HOST": broker.host,
        "FOREMEND_BROKER_PORT": str(broker.port),
        "FOREMEND_BROKER_USER": broker.user,
        "FOREMEND_BROKER_PASSWORD": broker.password,
        "FOREMEND_INGEST_LEASED": "true",
    }
    with (tmp_path / "log").open("wb") as log:
        processes = [
            subprocess.Popen([sys.executable, "-m", "stack", "ingest"], env=env, stderr=log)
            for _ in range(2)
        ]
    yield processes
    for process in processes:
        process.terminate()
        process.wait(20)


@pytest.fixture
def owner(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.owner, name="test") as link:
        yield link


@pytest.fixture
def agents(settings) -> Iterator[Agents]:
    line = dial(settings, "leased-agents", keepalive_s=60, clean=True)
    line.send(packets.subscribe(1, ["fm/1/+/leased/+/down/ack"], qos=0))
    yield Agents(line)
    line.close()


def shares(owner: Connection) -> list[int]:
    query = (
        "SELECT count(*) FROM partition_lease WHERE holder <> '' AND expires_at > now()"
        " GROUP BY holder ORDER BY 1"
    )
    return [count for (count,) in owner.execute(query.encode())]


def wait_for(owner: Connection, wanted: list[int], within_s: float) -> float:
    began = time.monotonic()
    while shares(owner) != wanted:
        assert time.monotonic() - began < within_s, f"{shares(owner)}, not {wanted}"
        time.sleep(0.1)
    return time.monotonic() - began


def test_one_of_two_workers_is_killed_and_its_ranges_move_with_nothing_lost_or_doubled(
    workers, owner, agents
) -> None:
    wait_for(owner, [PARTITIONS // 2, PARTITIONS // 2], within_s=30)
    for _ in range(10):
        agents.round()
    workers[0].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    moved_s = None
    while not agents.round():
        if moved_s is None and shares(owner) == [PARTITIONS]:
            moved_s = time.monotonic() - killed
        assert time.monotonic() - killed < 60
    if moved_s is None:
        moved_s = time.monotonic() - killed
        wait_for(owner, [PARTITIONS], within_s=10)
    assert moved_s < 10
    counts = owner.execute("SELECT count(*), count(DISTINCT (device_id, seq)) FROM frame")
    assert counts.fetchone() == (len(DEVICES) * MESSAGES,) * 2
    holes = """
        SELECT count(*) FROM partition_head h
        WHERE pos <> (SELECT count(*) FROM input_log l WHERE l.partition = h.partition)
    """
    assert owner.execute(holes.encode()).fetchone() == (0,)


def test_a_worker_that_stops_hands_over_at_once(workers, owner) -> None:
    wait_for(owner, [PARTITIONS // 2, PARTITIONS // 2], within_s=30)
    workers[0].terminate()
    workers[0].wait(20)
    assert wait_for(owner, [PARTITIONS], within_s=10) < 4


def accepted(kind: wire.Up, encoded: bytes) -> Accepted:
    outcome = read(Arrival(topic=DEVICES[0].up(kind), payload=encoded))
    assert isinstance(outcome, Accepted)
    return outcome


def test_a_worker_whose_lease_has_passed_on_cannot_commit(migrated_urls, owner) -> None:
    fences = {DEVICES[0].partition: 0}
    introduction = wire.Birth(
        boot="b1", boot_ms=START_MS, schema=SCHEMA, channels=CHANNELS, family="f", model="m"
    )
    with connect(migrated_urls.app, name="test") as link:
        store = PostgresStore(link, Lane.LIVE, lambda: fences)
        store.commit([accepted(wire.Up.BIRTH, wire.encode(introduction))], (), wall_ms())
        owner.execute("UPDATE partition_head SET fence = fence + 1")
        with pytest.raises(LeaseLost):
            store.commit([accepted(wire.Up.DATA, payload(0))], (), wall_ms())
        assert owner.execute("SELECT count(*) FROM frame").fetchone() == (0,)
        fences[DEVICES[0].partition] = 1
        assert store.commit([accepted(wire.Up.DATA, payload(0))], (), wall_ms()).messages == 1


def test_a_commit_that_waits_for_the_take_over_meets_the_moved_fence(migrated_urls, owner) -> None:
    """The other worker's update of the heads is under way when the old one comes to it."""
    introduction = wire.Birth(
        boot="b1", boot_ms=START_MS, schema=SCHEMA, channels=CHANNELS, family="f", model="m"
    )
    outcomes: list[BaseException | None] = []
    with connect(migrated_urls.app, name="test") as link:
        store = PostgresStore(link, Lane.LIVE, lambda: {DEVICES[0].partition: 0})
        store.commit([accepted(wire.Up.BIRTH, wire.encode(introduction))], (), wall_ms())

        def commit() -> None:
            try:
                store.commit([accepted(wire.Up.DATA, payload(0))], (), wall_ms())
                outcomes.append(None)
            except (LeaseLost, psycopg.Error) as error:
                outcomes.append(error)

        with owner.transaction():
            owner.execute("UPDATE partition_head SET fence = fence + 1")
            thread = threading.Thread(target=commit)
            thread.start()
            waiting = b"SELECT count(*) FROM pg_locks WHERE NOT granted"
            while owner.execute(waiting).fetchone() == (0,):
                assert thread.is_alive()
        thread.join()
    assert isinstance(outcomes[0], LeaseLost)
