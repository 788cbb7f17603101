"""Rollups against a plain reading of the same frames: late, shuffled, split, killed on the way."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from foremend.db import EVERY_TENANT, connect, transaction
from ingest.upkeep.store import RollupStore
from tests.kept_log import KeptLog, Reading, at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOUR = timedelta(hours=1)


@pytest.fixture
def log(migrated_urls) -> Iterator[KeptLog]:
    with connect(migrated_urls.app, name="test") as link:
        yield KeptLog(connection=link)


@pytest.fixture
def second(migrated_urls) -> Iterator[RollupStore]:
    """Another process's view of the same database."""
    with connect(migrated_urls.app, name="second") as link:
        yield RollupStore(link)


def roll(log: KeptLog) -> None:
    store = RollupStore(log.connection)
    while store.roll().more:
        pass
    store.roll_hours()


def stored(log: KeptLog, table: str) -> dict[tuple, tuple]:
    rows = log.run(
        f"SELECT device_id, schema_id, bucket, frames, phase, n, lo, mean, hi FROM {table}"
    )
    return {row[:3]: row[3:] for row in rows}


def expected(readings: Iterable[Reading], width: timedelta) -> dict[tuple, tuple]:
    """Work rollups out in the plainest way: the reference that SQL is held to."""
    groups: dict[tuple, list[Reading]] = defaultdict(list)
    for r in readings:
        seconds = math.floor(r.at.timestamp() / width.total_seconds()) * width.total_seconds()
        bucket = datetime.fromtimestamp(seconds, tz=r.at.tzinfo)
        groups[r.device, r.schema, bucket].append(r)
    return {key: summed(group) for key, group in groups.items()}


def summed(group: list[Reading]) -> tuple:
    channels = [
        [v for v in column if v is not None]
        for column in zip(*(r.values for r in group), strict=True)
    ]
    phases = Counter(r.phase for r in group)
    most = min(p for p in phases if phases[p] == max(phases.values()))
    return (
        len(group), most,
        [len(c) for c in channels],
        [min(c, default=None) for c in channels],
        [math.fsum(c) / len(c) if c else None for c in channels],
        [max(c, default=None) for c in channels],
    )  # fmt: skip


def assert_same(
    found: dict[tuple, tuple], wanted: dict[tuple, tuple], *, phase: bool = True
) -> None:
    assert found.keys() == wanted.keys()
    for key, (frames, usual, n, lo, mean, hi) in wanted.items():
        got = found[key]
        assert (got[0], got[2], got[3], got[5]) == (frames, n, lo, hi), key
        assert all(map(close, got[4], mean)), key
        assert not phase or got[1] == usual


def close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-7)


def test_minutes_and_hours_say_what_the_frames_say(log: KeptLog) -> None:
    one, two = log.device("printer-01"), log.device("printer-02", partition=7)
    readings = [
        Reading(device=d, at=at(17.5 * i), seq=i, values=(20 + i % 7, None if i % 3 else i / 3))
        for d in (one, two)
        for i in range(500)
    ]
    log.commit(readings)
    roll(log)

    assert_same(stored(log, "rollup_minute"), expected(readings, timedelta(minutes=1)))
    assert_same(stored(log, "rollup_hour"), expected(readings, HOUR))


def test_late_readings_change_the_minute_and_the_hour_they_belong_to(log: KeptLog) -> None:
    one = log.device("printer-01")
    early = [Reading(device=one, at=at(60 * i), seq=i, values=(1.0, 2.0)) for i in range(180)]
    log.commit(early)
    roll(log)
    late = [
        Reading(device=one, at=at(30 + 60 * i), seq=1000 + i, values=(99.0, None)) for i in range(5)
    ]
    log.commit(late)
    roll(log)

    assert_same(stored(log, "rollup_minute"), expected([*early, *late], timedelta(minutes=1)))
    assert_same(stored(log, "rollup_hour"), expected([*early, *late], HOUR))


READINGS = st.lists(
    st.tuples(
        st.integers(0, 3 * 3600),
        st.lists(st.none() | st.floats(-1e6, 1e6), min_size=2, max_size=2),
        st.integers(1, 4),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=READINGS)
@example(told=[(0, [5e-324, 1.7e308], 1, 0), (1, [-5e-324, -1.7e308], 1, 0)])
def test_however_readings_come_in_batches_the_rollups_are_the_same(
    log: KeptLog, told: list
) -> None:
    name = f"law-{log.run('SELECT count(*) FROM device')[0][0]}"
    device = log.device(name, partition=3)
    batches: dict[int, list[Reading]] = defaultdict(list)
    for i, (second, values, phase, batch) in enumerate(told):
        batches[batch].append(
            Reading(device=device, at=at(second), seq=i, values=values, phase=phase)
        )
    for readings in batches.values():
        log.commit(readings)
        if len(readings) % 2:
            roll(log)
    roll(log)
    all_of_it = [r for readings in batches.values() for r in readings]

    for table, width in (("rollup_minute", timedelta(minutes=1)), ("rollup_hour", HOUR)):
        found = {k: v for k, v in stored(log, table).items() if k[0] == device}
        assert_same(found, expected(all_of_it, width), phase=table == "rollup_minute")


def test_values_that_are_not_numbers_are_unknown(log: KeptLog) -> None:
    one = log.device("printer-01")
    told = enumerate([(math.nan, None), (3.0, None)])
    log.commit([Reading(device=one, at=at(i), seq=i, values=v) for i, v in told])
    roll(log)

    ((_, _, n, lo, mean, hi),) = stored(log, "rollup_minute").values()
    assert (n, lo, mean, hi) == ([1, 0], [3.0, None], [3.0, None], [3.0, None])


def test_the_largest_numbers_there_are_stop_nothing(log: KeptLog) -> None:
    one = log.device("printer-01")
    most = 1.7976931348623157e308
    log.commit([Reading(device=one, at=at(i), seq=i, values=(most, -most)) for i in range(100)])
    roll(log)

    for table in ("rollup_minute", "rollup_hour"):
        assert all(row[4] == [most, -most] for row in stored(log, table).values())


def test_a_changed_schema_has_rows_of_its_own(log: KeptLog) -> None:
    one = log.device("printer-01")
    wider = log.schema([{"name": n, "unit": "1"} for n in ("a", "b", "c")])
    readings = [
        Reading(device=one, at=at(0), seq=0, values=(1.0, 2.0)),
        Reading(device=one, at=at(1), seq=1, values=(1.0, 2.0, 3.0), schema=wider),
        Reading(device=one, at=at(2), seq=2, values=(), schema=log.schema([])),
    ]
    log.commit(readings)
    roll(log)

    found = stored(log, "rollup_minute")
    assert sorted(len(row[2]) for row in found.values()) == [0, 2, 3]
    assert found.keys() == expected(readings, timedelta(minutes=1)).keys()


def test_timelines_lie_side_by_side(log: KeptLog) -> None:
    old = log.device("printer-01", timeline="replay:azure")
    live = log.device("printer-01", timeline="live")
    readings = [
        Reading(
            device=old, at=datetime(2015, 6, 1, 6, tzinfo=at(0).tzinfo), seq=0, values=(1.0, 1.0)
        ),
        Reading(device=live, at=at(0), seq=0, values=(2.0, 2.0)),
    ]
    log.commit(readings)
    roll(log)

    assert_same(stored(log, "rollup_minute"), expected(readings, timedelta(minutes=1)))
    assert_same(stored(log, "rollup_hour"), expected(readings, HOUR))


def test_a_stretch_that_fails_on_the_way_leaves_nothing_half_done(
    log: KeptLog, migrated_urls
) -> None:
    """The watermark and what it stands for change together, or not at all."""
    one = log.device("printer-01")
    readings = [Reading(device=one, at=at(20 * i), seq=i, values=(1.0, i)) for i in range(50)]
    log.commit(readings)
    with psycopg.connect(migrated_urls.owner, autocommit=True) as owner:
        owner.execute("ALTER TABLE rollup_cursor ADD CONSTRAINT no_further CHECK (pos = 0)")
        with pytest.raises(psycopg.errors.CheckViolation):
            RollupStore(log.connection).roll()
        assert stored(log, "rollup_minute") == {}
        assert log.run("SELECT 1 FROM rollup_due") == []
        owner.execute("ALTER TABLE rollup_cursor DROP CONSTRAINT no_further")
    roll(log)

    assert_same(stored(log, "rollup_minute"), expected(readings, timedelta(minutes=1)))


def test_two_processes_take_turns_and_neither_undoes_the_other(
    log: KeptLog, second: RollupStore
) -> None:
    one = log.device("printer-01")
    readings = [Reading(device=one, at=at(i), seq=i, values=(i, 1.0)) for i in range(60)]
    first = RollupStore(log.connection)
    done: list[int] = []
    with transaction(log.connection, tenant=EVERY_TENANT):
        log.connection.execute(b"SELECT FROM rollup_cursor FOR UPDATE")
        other = threading.Thread(target=lambda: done.append(second.roll().entries))
        other.start()
        log.commit(readings)
        assert first.roll().entries == 1
    other.join(timeout=20)

    assert done == [0]
    assert_same(stored(log, "rollup_minute"), expected(readings, timedelta(minutes=1)))


def test_the_watermark_passes_entries_without_readings(log: KeptLog) -> None:
    log.run("UPDATE partition_head SET pos = 2 WHERE partition = 5")
    log.run("INSERT INTO input_log (partition, pos, kind) VALUES (5, 1, 'birth'), (5, 2, 'model')")

    assert RollupStore(log.connection).roll().entries == 2
    assert RollupStore(log.connection).roll().entries == 0


def test_a_rollup_outlives_its_frames_and_late_ones_do_not_shrink_it(log: KeptLog) -> None:
    one = log.device("printer-01")
    readings = [Reading(device=one, at=at(i), seq=i, values=(5.0, 1.0)) for i in range(30)]
    log.commit(readings)
    roll(log)
    log.run("DELETE FROM frame")
    log.commit([Reading(device=one, at=at(40), seq=99, values=(1.0, 1.0))])
    roll(log)

    assert_same(stored(log, "rollup_minute"), expected(readings, timedelta(minutes=1)))
    assert_same(stored(log, "rollup_hour"), expected(readings, HOUR))
