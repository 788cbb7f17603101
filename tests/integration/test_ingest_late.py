"""Late rows travel apart: whatever holds them up, live ones do not wait."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from foremend import wire
from foremend.db import Connection, connect
from ingest import late
from ingest.aside import LateLane
from ingest.intake import Arrival, Outcome, read
from ingest.late import Lane
from ingest.store import PostgresStore
from ingest.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = (wire.Channel(name="temp", unit="Cel"),)
SCHEMA = wire.schema_hash(CHANNELS)
WEEK_MS = late.SECTION_MS
NOW_MS = late.SECTION_ORIGIN_MS + 2950 * WEEK_MS + 3 * 86_400_000
"""A Thursday; the fleet has been up for ten weeks."""
ADDRESS = wire.Address(tenant="demo", device="printer-01")


def birth() -> Outcome:
    message = wire.Birth(
        boot="b1",
        boot_ms=NOW_MS - 10 * WEEK_MS,
        schema=SCHEMA,
        channels=CHANNELS,
        family="f",
        model="m",
    )
    return read(Arrival(topic=ADDRESS.up(wire.Up.BIRTH), payload=wire.encode(message)))


def data(seq: int, *, weeks_ago: int = 0) -> Outcome:
    frames = wire.Frames(
        t0_ms=NOW_MS - weeks_ago * WEEK_MS + seq,
        offset_ms=[0],
        phase=[3],
        quality=[0],
        values=[[1.0]],
    )
    message = wire.Data(boot="b1", seq=seq, schema=SCHEMA, frames=frames)
    return read(Arrival(topic=ADDRESS.up(wire.Up.DATA), payload=wire.encode(message)))


class Ear:
    """Hears acknowledgements, and lets a test wait for what they say."""

    def __init__(self) -> None:
        self.settled: set[int] = set()
        self._changed = threading.Condition()

    def puback(self, arrivals) -> None:
        pass

    def tell(self, told) -> None:
        with self._changed:
            for one in told:
                self.settled |= set(range(one.ack.upto + 1))
                for first, last in one.ack.ranges:
                    self.settled |= set(range(first, last + 1))
            self._changed.notify_all()

    def hears(self, *seqs: int, within_s: float = 10.0) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: set(seqs) <= self.settled, within_s)


@pytest.fixture
def owner(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.owner, name="test") as link:
        yield link


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def worker(migrated_urls, ear: Ear) -> Iterator[Worker]:
    """Both lanes at work, on threads of their own."""
    links: list[Connection] = []

    def store(lane: Lane) -> PostgresStore:
        links.append(connect(migrated_urls.app, name="test"))
        return PostgresStore(links[-1], lane)

    stop = threading.Event()
    lane = LateLane(lambda: store(Lane.LATE), ear, lambda: NOW_MS)
    worker = Worker(lambda: store(Lane.LIVE), ear, lambda: NOW_MS, aside=lane)
    threads = [threading.Thread(target=run, args=(stop,)) for run in (worker.run, lane.run)]
    for thread in threads:
        thread.start()
    yield worker
    stop.set()
    for thread in threads:
        thread.join()
    for link in links:
        link.close()


@contextmanager
def held(owner: Connection, table: str) -> Iterator[None]:
    with owner.transaction():
        owner.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def section_of(owner: Connection, seq: int) -> str:
    row = owner.execute("SELECT tableoid::regclass::text FROM frame WHERE seq = %s", [seq])
    return str(row.fetchone()[0])


def test_live_rows_pass_while_an_old_section_is_held(worker, owner, ear) -> None:
    worker.inbox.put([birth(), data(0, weeks_ago=5), data(1)])
    assert ear.hears(0, 1)
    with held(owner, section_of(owner, 0)):
        worker.inbox.put([data(2, weeks_ago=5), data(3)])
        assert ear.hears(3)
        for seq in range(4, 20):
            worker.inbox.put([data(seq)])
            assert ear.hears(seq, within_s=1.0), f"{seq} waited behind a late row"
        assert 2 not in ear.settled
    assert ear.hears(*range(20))


def test_one_held_section_holds_up_no_other_late_rows(worker, owner, ear) -> None:
    worker.inbox.put([birth(), data(0, weeks_ago=5), data(1)])
    assert ear.hears(0, 1)
    with held(owner, section_of(owner, 0)):
        worker.inbox.put([data(2, weeks_ago=5), data(3, weeks_ago=7)])
        assert ear.hears(3)
        assert 2 not in ear.settled
    assert ear.hears(2)


def test_a_late_row_that_comes_again_while_it_waits_is_stored_once(worker, owner, ear) -> None:
    worker.inbox.put([birth(), data(0, weeks_ago=5), data(1)])
    assert ear.hears(0, 1)
    with held(owner, section_of(owner, 0)):
        for _ in range(3):
            worker.inbox.put([data(2, weeks_ago=5)])
        worker.inbox.put([data(3)])
        assert ear.hears(3)
    assert ear.hears(2)
    assert owner.execute("SELECT count(*) FROM frame WHERE seq = 2").fetchone() == (1,)


def test_late_rows_keep_the_order_of_the_log_and_its_positions_without_holes(
    worker, owner, ear
) -> None:
    worker.inbox.put([birth()])
    for seq in range(12):
        worker.inbox.put([data(seq, weeks_ago=(seq % 3) * 2)])
    assert ear.hears(*range(12))
    log = owner.execute("SELECT pos, kind FROM input_log ORDER BY pos").fetchall()
    assert [pos for pos, _ in log] == list(range(1, len(log) + 1))
    assert log[0] == (1, "birth")
    assert owner.execute("SELECT got::text FROM receipt").fetchone() == ("{[0,12)}",)
    # Each frame's batch stands in the log once.
    missing = """
        SELECT count(*) FROM frame f
        WHERE NOT EXISTS (SELECT FROM input_log l WHERE l.batch_id = f.batch_id)
    """
    assert owner.execute(missing.encode()).fetchone() == (0,)


def test_without_a_lane_of_their_own_late_rows_do_hold_up_live_ones(
    migrated_urls, owner, ear
) -> None:
    """The control: it is the lane that keeps them apart, not luck."""
    stop = threading.Event()
    with connect(migrated_urls.app, name="test") as link:
        worker = Worker(lambda: PostgresStore(link, Lane.ALL), ear, lambda: NOW_MS)
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        worker.inbox.put([birth(), data(0, weeks_ago=5), data(1)])
        assert ear.hears(0, 1)
        with held(owner, section_of(owner, 0)):
            worker.inbox.put([data(2, weeks_ago=5), data(3)])
            assert not ear.hears(3, within_s=0.5)
        assert ear.hears(2, 3)
        stop.set()
        thread.join()
