"""One suite for both layouts of frames: PostgreSQL's own partitions, and TimescaleDB's chunks.

The second runs where tests/layouts.py finds TimescaleDB.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from foremend import wire
from foremend.clock import to_datetime, wall_ms
from foremend.db import Connection, bootstrap, connect, storage
from foremend.db.storage import Layout, Storage
from ingest import frames
from ingest.intake import Accepted, Arrival, read
from ingest.late import Lane
from ingest.store import Committed, PostgresStore, merged
from ingest.upkeep.store import RollupStore
from stack.embedded import pg_install
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres, PostgresFailed
from stack.embedded.server import serving
from tests.layouts import empty, migrated, serving_layout, timescale_install, urls_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHANNELS = (wire.Channel(name="temp", unit="Cel"), wire.Channel(name="power", unit="1"))
SCHEMA = wire.schema_hash(CHANNELS)
START = datetime(2026, 1, 5, tzinfo=UTC)
START_MS = 1_767_571_200_000
WEEK_MS = 7 * 86_400_000
ADDRESS = wire.Address(tenant="demo", device="printer-01")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A fresh database with the whole schema, as its owner and as the services see it."""

    owner: Connection
    app: Connection


@pytest.fixture(scope="module", params=[Layout.NATIVE, Layout.TIMESCALEDB], ids=lambda x: x.value)
def layout(request) -> Layout:
    return request.param


@pytest.fixture(scope="module")
def server(request, layout: Layout, tmp_path_factory) -> Iterator[EmbeddedPostgres]:
    if layout is Layout.NATIVE:
        yield request.getfixturevalue("postgres_server")
        return
    with serving_layout(layout, tmp_path_factory.mktemp("timescaledb") / "var") as server:
        yield server


@pytest.fixture(scope="module")
def make_base(server: EmbeddedPostgres, layout: Layout) -> Iterator[Callable[[], Base]]:
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def make() -> Base:
            urls = migrated(server, layout, f"storage_{next(numbers)}")
            owner, app = (
                stack.enter_context(connect(url, name="test")) for url in (urls.owner, urls.app)
            )
            return Base(owner=owner, app=app)

        yield make


@pytest.fixture
def base(make_base: Callable[[], Base]) -> Base:
    return make_base()


@pytest.fixture
def store(base: Base) -> PostgresStore:
    return PostgresStore(base.app)


def arrival(kind: wire.Up, message: object) -> Accepted:
    outcome = read(Arrival(topic=ADDRESS.up(kind), payload=wire.encode(message)))
    assert isinstance(outcome, Accepted), outcome
    return outcome


def birth() -> Accepted:
    message = wire.Birth(
        boot="b1",
        boot_ms=START_MS,
        schema=SCHEMA,
        channels=CHANNELS,
        components=(),
        family="fdm_printer",
        model="P1",
        timeline="sim:test",
    )
    return arrival(wire.Up.BIRTH, message)


def data(seq: int, *, week: int = 0, values=((20.0, None), (0.5, 0.25))) -> Accepted:
    told = wire.Frames(
        t0_ms=START_MS + week * WEEK_MS + seq * 10_000,
        offset_ms=[0, 1000],
        phase=[3, 3],
        quality=[0, 0],
        values=[list(v) for v in values],
    )
    return arrival(wire.Up.DATA, wire.Data(boot="b1", seq=seq, schema=SCHEMA, frames=told))


def commit(store: PostgresStore, *accepted: Accepted) -> Committed:
    """Store messages; the late ones travel by themselves."""
    done = store.commit(accepted, (), wall_ms())
    late = PostgresStore(store.connection, lane=Lane.LATE)
    return merged((done, late.commit(done.late, (), wall_ms()))) if done.late else done


def stored(base: Base, columns: str = "seq, phase, vals", by: str = "ts") -> list[tuple]:
    return base.app.execute(f"SELECT {columns} FROM frame ORDER BY {by}".encode()).fetchall()


def test_the_database_says_what_it_keeps_its_frames_in(base: Base, layout: Layout) -> None:
    used = storage.in_use(base.app)

    assert used == storage.in_use(base.owner)
    assert used.layout is layout
    assert used.compresses is (used.licence == "timescale")
    if layout is Layout.NATIVE:
        assert str(used) == f"postgresql {used.postgresql} (TimescaleDB not found)"
    else:
        assert used.licence in {"timescale", "apache"}
        assert str(used).startswith(f"timescaledb {used.timescaledb} ({used.licence} licence, ")


def test_the_schema_comes_from_nothing_and_a_second_time_changes_nothing(
    server: EmbeddedPostgres, base: Base, layout: Layout
) -> None:
    assert (
        bootstrap.migrate(urls_of(server, base.owner.info.dbname).owner)
        == bootstrap.newest_revision()
    )
    assert bootstrap.present_revision(base.app) == bootstrap.newest_revision()
    assert storage.in_use(base.app).layout is layout
    assert storage.sections(base.app) == ()


def test_frames_come_back_as_they_were_sent(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), data(0))

    assert stored(base) == [(0, 3, [20.0, 0.5]), (0, 3, [None, 0.25])]


def test_a_message_that_comes_again_is_counted_and_not_stored(
    base: Base, store: PostgresStore
) -> None:
    commit(store, birth(), data(0))
    again = commit(store, data(0), data(0), data(1))

    assert (again.frames, again.duplicates) == (2, 2)
    assert stored(base, "seq") == [(0,), (0,), (1,), (1,)]


def test_the_unique_index_stands_behind_the_receipts(base: Base) -> None:
    at = to_datetime(START_MS)
    storage.ensure_room(base.app, at, at)
    storage.copy_frames(base.app, frames.encode([message(1, ((1.0, 2.0),))], 7))
    before = stored(base)

    with pytest.raises(psycopg.errors.UniqueViolation):
        storage.copy_frames(base.app, frames.encode([message(1, ((3.0, 4.0),))], 8))
    assert stored(base) == before


def test_a_batch_over_several_weeks_lies_in_a_section_for_each(
    base: Base, store: PostgresStore
) -> None:
    commit(store, birth(), data(0), data(1, week=2), data(2, week=5))
    sections = storage.sections(base.app)

    assert len(sections) >= 3
    assert all(s.since < s.until and s.size > 0 and not s.compressed for s in sections)
    assert all(a.until <= b.since for a, b in itertools.pairwise(sections))
    for week in (0, 2, 5):
        at = START + timedelta(weeks=week)
        assert any(s.since <= at < s.until for s in sections)


def test_room_is_made_once_however_often_it_is_asked_for(base: Base) -> None:
    until = START + timedelta(weeks=3)
    storage.ensure_room(base.app, START, until)
    first = storage.sections(base.app)
    storage.ensure_room(base.app, START, until)

    assert storage.sections(base.app) == first


def scored(base: Base) -> None:
    """Let scoring's snapshots and the rollups stand at the end of the log."""
    store = RollupStore(base.app)
    store.roll()
    store.roll_hours()
    base.app.execute("DELETE FROM scoring_cursor")
    base.app.execute(
        "INSERT INTO scoring_cursor (consumer, partition, output_pos, snapshot_pos)"
        " SELECT 'live', partition, pos, pos FROM partition_head"
    )


def drop_until(base: Base, until: datetime) -> list[str]:
    names = [s.name for s in storage.sections(base.app) if s.until <= until]
    return [name for name in names if storage.drop(base.app, name)]


def compress_until(base: Base, until: datetime) -> list[str]:
    found = [s.name for s in storage.sections(base.app) if s.until <= until and not s.compressed]
    return [name for name in found if storage.compress(base.app, name)]


def test_one_section_is_dropped_whole_and_the_others_stay(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), *(data(n, week=n) for n in range(4)))
    scored(base)
    sections = storage.sections(base.app)
    doomed = sections[1]

    assert storage.drop(base.app, doomed.name)
    assert [s.name for s in storage.sections(base.app)] == [
        s.name for s in sections if s is not doomed
    ]
    left = [ts for (ts,) in stored(base, "ts")]
    assert left
    assert not any(doomed.since <= ts < doomed.until for ts in left)
    assert storage.floors(base.app) == {storage.FRAMES: doomed.until}


def test_what_was_dropped_is_not_taken_in_again(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), data(0), data(1, week=3))
    scored(base)
    drop_until(base, START + timedelta(weeks=2))
    again = commit(store, data(0))

    assert again.duplicates == 1
    assert stored(base, "seq") == [(1,), (1,)]


def test_the_services_drop_through_the_door_alone(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), data(0))
    scored(base)
    (section,) = storage.sections(base.app)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        base.app.execute(f"DROP TABLE {section.name}")
    with pytest.raises(psycopg.errors.WrongObjectType):
        storage.drop(base.app, "device")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        base.app.execute("DELETE FROM dropped_section")
    assert storage.drop(base.app, section.name)


def test_what_scoring_would_read_again_is_neither_dropped_nor_compressed(
    base: Base, store: PostgresStore
) -> None:
    far = START + timedelta(weeks=99)
    commit(store, birth(), data(0))
    assert (drop_until(base, far), compress_until(base, far)) == ([], [])  # it never began
    scored(base)
    commit(store, data(1), data(2, week=5))
    RollupStore(base.app).roll()
    drop_until(base, far)
    assert len(stored(base)) == 6  # what is past the snapshot, and all that lies with it
    assert compress_until(base, far) == []
    scored(base)
    drop_until(base, far)

    assert stored(base) == []


def test_what_is_not_rolled_up_yet_is_not_dropped(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), data(0))
    scored(base)
    commit(store, data(1))
    base.app.execute(
        "UPDATE scoring_cursor c SET snapshot_pos = h.pos FROM partition_head h"
        " WHERE h.partition = c.partition"
    )
    assert drop_until(base, START + timedelta(weeks=9)) == []
    RollupStore(base.app).roll()

    assert len(drop_until(base, START + timedelta(weeks=9))) == 1


def test_a_late_reading_of_a_dropped_week_is_kept_until_that_week_is_dropped_again(
    base: Base, store: PostgresStore
) -> None:
    commit(store, birth(), data(0), data(1, week=3))
    scored(base)
    drop_until(base, START + timedelta(weeks=2))
    before = minutes(base)
    commit(store, data(2))
    scored(base)

    assert minutes(base) == before  # one reading of five does not stand for the minute
    assert len(drop_until(base, START + timedelta(weeks=2))) == 1
    assert minutes(base) == before


def minutes(base: Base) -> list[tuple]:
    return base.app.execute(
        "SELECT bucket, frames, lo, hi FROM rollup_minute ORDER BY 1"
    ).fetchall()


def test_compression_changes_no_answer(base: Base, store: PostgresStore, layout: Layout) -> None:
    commit(store, birth(), *(data(n) for n in range(20)), data(99, week=4))
    scored(base)
    before = stored(base)
    done = compress_until(base, START + timedelta(weeks=2))

    assert stored(base) == before
    compressed = [s.name for s in storage.sections(base.app) if s.compressed]
    assert compressed == done
    assert len(done) == (1 if storage.in_use(base.app).compresses else 0)
    assert compress_until(base, START + timedelta(weeks=2)) == []


def test_late_frames_reach_a_compressed_section_once(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), *(data(n) for n in range(0, 20, 2)))
    scored(base)
    compress_until(base, START + timedelta(weeks=2))
    late = commit(store, *(data(n) for n in range(20)))
    again = commit(store, *(data(n) for n in range(20)))

    assert (late.messages, late.duplicates) == (10, 10)
    assert (again.messages, again.duplicates) == (0, 20)
    assert stored(base, "seq") == [(n,) for n in range(20) for _ in range(2)]


def test_the_unique_index_holds_in_a_compressed_section(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), *(data(n) for n in range(10)))
    scored(base)
    compress_until(base, START + timedelta(weeks=2))
    told = data(3).message
    assert isinstance(told, wire.Data)
    ((device, boot, schema),) = stored(base, "DISTINCT device_id, boot_id, schema_id", by="1")
    again = frames.StoredMessage(device_id=device, boot_id=boot, schema_id=schema, data=told)

    with pytest.raises(psycopg.errors.UniqueViolation):
        storage.copy_frames(base.app, frames.encode([again], 99))
    assert len(stored(base)) == 20


def test_a_compressed_section_is_dropped_as_any_other(base: Base, store: PostgresStore) -> None:
    commit(store, birth(), data(0), data(1, week=4))
    scored(base)
    compress_until(base, START + timedelta(weeks=2))
    drop_until(base, START + timedelta(weeks=2))

    assert stored(base, "seq") == [(1,), (1,)]


def test_copied_rows_may_be_far_apart_in_width(base: Base) -> None:
    wide = tuple((float(n), None) for n in range(40))
    rows = frames.encode([message(1, wide), message(2, ((1.0, 2.0),))], 7)
    at = to_datetime(START_MS)
    storage.ensure_room(base.app, at, at + timedelta(days=1))
    storage.copy_frames(base.app, rows)

    assert stored(base, "cardinality(vals)") == [(40,), (40,), (1,), (1,)]


def message(seq: int, values: tuple[tuple[float | None, ...], ...]) -> frames.StoredMessage:
    told = data(seq, values=values).message
    assert isinstance(told, wire.Data)
    return frames.StoredMessage(device_id=1, boot_id=1, schema_id=1, data=told)


def test_natively_laid_out_frames_stay_so_when_timescaledb_comes(
    server: EmbeddedPostgres, layout: Layout
) -> None:
    if layout is Layout.NATIVE:
        pytest.skip("needs the extension: the other half of this suite asks it")
    urls = empty(server, "native_first")
    bootstrap.migrate(urls.owner)
    with connect(urls.superuser, name="test") as superuser:
        assert not bootstrap.enable_timescale(superuser)
        superuser.execute("CREATE EXTENSION timescaledb")
    with connect(urls.app, name="test") as link:
        commit(PostgresStore(link), birth(), data(0))
        used = storage.in_use(link)
        count = link.execute("SELECT count(*) FROM frame").fetchone()

    assert used.layout is Layout.NATIVE
    assert "laid out without it" in str(used)
    assert count == (2,)


def test_a_storage_without_a_columnstore_says_so() -> None:
    used = Storage(
        layout=Layout.TIMESCALEDB, postgresql="17.2", timescaledb="2.20.0", licence="apache"
    )
    assert not used.compresses
    assert str(used) == (
        "timescaledb 2.20.0 (apache licence, without columnstore) on postgresql 17.2"
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Path:
    """A data folder whose database has TimescaleDB, as a first start leaves it."""
    install = timescale_install()
    path = tmp_path_factory.mktemp("kept") / "var"
    with open_data_dir(path) as home:
        server = EmbeddedPostgres(home, install=install, durable=False)
        with serving(server), connect(server.url(), name="test") as superuser:
            assert bootstrap.enable_timescale(superuser)
            version = storage.in_use(superuser).timescaledb
            assert version is not None
            server.remember_timescaledb(version)
        server.close()
    return path


def plain_install() -> pg_install.Install:
    return pg_install.find_install({})


def test_a_server_without_timescaledb_never_opens_a_cluster_that_has_it(cluster: Path) -> None:
    with open_data_dir(cluster) as home:
        server = EmbeddedPostgres(home, install=plain_install(), durable=False)
        with pytest.raises(PostgresFailed, match=r"TimescaleDB \d.* FOREMEND_PG_BIN="):
            server.prepare()


def test_an_unmarked_cluster_is_found_out_by_the_database_itself(cluster: Path) -> None:
    with open_data_dir(cluster) as home:
        (cluster / "postgres" / "foremend-timescaledb.json").unlink()
        server = EmbeddedPostgres(home, install=plain_install(), durable=False)
        with (
            serving(server),
            connect(server.url(), name="test") as superuser,
            pytest.raises(storage.StorageUnusable, match="shared_preload_libraries"),
        ):
            storage.in_use(superuser)
        server.close()
