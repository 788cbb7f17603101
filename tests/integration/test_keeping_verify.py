"""A verification agrees with what is whole, and names each thing that was tampered with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from foremend.db import connect, storage
from foremend.errors import NotFound
from ingest.upkeep.store import RollupStore
from stack.keeping.verify import Scope, Verification, verify
from tests.kept_log import KeptLog, Reading, at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING = Scope()


@pytest.fixture
def log(migrated_urls) -> Iterator[KeptLog]:
    with connect(migrated_urls.app, name="test") as link:
        yield KeptLog(connection=link)


@pytest.fixture
def whole(log: KeptLog) -> KeptLog:
    """Two devices over ten days, rolled up; one number is a gap, one an event, one a result."""
    one, two = log.device("printer-01"), log.device("printer-02", partition=9)
    for device in (one, two):
        log.commit([told(device, i) for i in range(400)])
    log.settle(one, 1000, 1003)
    log.run(
        "INSERT INTO gap (device_id, boot_id, lost, reason) VALUES (%s, %s, '[1000,1001)', 'full')",
        one,
        one,
    )
    log.run(
        "INSERT INTO event (device_id, boot_id, seq, ts, code, severity, batch_id)"
        " VALUES (%s, %s, 1001, now(), 'E1', 'info', 1)", one, one,
    )  # fmt: skip
    log.run(
        "INSERT INTO command_result (device_id, boot_id, seq, ts, command, state, reason, details)"
        " VALUES (%s, %s, 1002, now(), 'c', 'finished', '', '{}')", one, one,
    )  # fmt: skip
    roll(log)
    log.scored()
    return log


def told(device: int, i: int, **changes: object) -> Reading:
    fields = {
        "device": device,
        "at": at(2160 * i),
        "seq": i,
        "values": (0.1 * i, None if i % 2 else 1e6 / (i + 1)),
    }
    return Reading(**(fields | changes))


def roll(log: KeptLog) -> None:
    store = RollupStore(log.connection)
    while store.roll().more:
        pass
    store.roll_hours()


def verified(log: KeptLog, scope: Scope = EVERYTHING) -> Verification:
    info = log.connection.info
    url = f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"
    return verify(url, scope, lambda line: None)


def differences(found: Verification) -> dict[str, int]:
    return {check.name: check.differences for check in found.checks if check.differences}


def test_what_is_whole_agrees(whole: KeptLog) -> None:
    found = verified(whole)

    assert (found.passed, differences(found)) == (True, {})
    assert found.minutes.examined == 800
    assert found.hours.examined > 300
    assert found.receipts.examined == 803
    assert found.log.examined == 2


MINUTE = "WHERE bucket = '2026-01-06 00:00Z'"
TAMPERINGS = {
    "least value": (f"UPDATE rollup_minute SET lo[1] = lo[1] - 1e-9 {MINUTE}", "lo"),
    "greatest value": (f"UPDATE rollup_minute SET hi[1] = 7e7 {MINUTE}", "hi"),
    "count": (f"UPDATE rollup_minute SET n[2] = n[2] + 1 {MINUTE}", ": n"),
    "mean": (f"UPDATE rollup_minute SET mean[1] = mean[1] * 1.0000001 {MINUTE}", "mean"),
    "unknown mean": (f"UPDATE rollup_minute SET mean[1] = NULL {MINUTE}", "mean"),
    "lost minute": (f"DELETE FROM rollup_minute {MINUTE}", "missing"),
    "deleted frame": ("DELETE FROM frame WHERE ts = '2026-01-06 00:00Z'", "without_frames"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_minute_is_found(whole: KeptLog, name: str) -> None:
    statement, word = TAMPERINGS[name]
    whole.run(statement)
    found = verified(whole)

    assert found.minutes.differences == 2  # of both devices
    assert "2026-01-06T00:00" in found.minutes.first[0]
    assert word in found.minutes.first[0]


def test_a_tampered_hour_is_found(whole: KeptLog) -> None:
    whole.run("UPDATE rollup_hour SET hi[1] = 7e7 WHERE bucket = '2026-01-06 00:00Z'")

    assert differences(verified(whole)) == {"hours against minutes": 2}


def test_a_deleted_frame_is_missed_by_its_receipt(whole: KeptLog) -> None:
    whole.run("DELETE FROM frame WHERE seq = 40 AND device_id = 1")
    found = verified(whole)

    assert found.receipts.differences == 1
    assert "40 to 40 acknowledged and nowhere" in found.receipts.first[0]


WRONGS: dict[str, tuple[str, Callable[[Verification], list[str]]]] = {
    "stored without a receipt": (
        "UPDATE receipt SET got = got - '{[5,6)}'",
        lambda found: found.receipts.first,
    ),
    "3 entries from 1 to 3": (
        "UPDATE partition_head SET pos = 4 WHERE partition = 0",
        lambda found: found.log.first,
    ),
    "2 batches": (
        (
            "INSERT INTO frame SELECT device_id, ts + interval '1 s', boot_id, seq, schema_id,"
            " phase, quality, batch_id + 1000, vals FROM frame WHERE seq = 3"
        ),
        lambda found: found.repeated.first,
    ),
}


@pytest.mark.parametrize("said", WRONGS)
def test_other_wrongs_are_named(whole: KeptLog, said: str) -> None:
    statement, first = WRONGS[said]
    if said.startswith("3 entries"):
        whole.commit([told(1, 500)])
        whole.commit([told(1, 501)])
    whole.run(statement)

    assert any(said in line for line in first(verified(whole)))


def test_a_hole_in_the_log_is_found(whole: KeptLog) -> None:
    for i in (500, 501):
        whole.commit([told(1, i)])
    whole.run("DELETE FROM input_log WHERE partition = 0 AND pos = 2")

    assert verified(whole).log.first == ["partition 0: head at 3, 2 entries from 1 to 3"]


def test_what_is_not_rolled_up_yet_is_no_difference(whole: KeptLog) -> None:
    whole.commit([told(1, 1, seq=600, at=at(2161)), told(1, 600)])
    before = verified(whole)
    RollupStore(whole.connection).roll()
    between = verified(whole)
    roll(whole)
    after = verified(whole)

    assert before.passed
    assert (before.minutes.pending, before.hours.pending) == (2, 0)
    assert between.passed
    assert (between.minutes.pending, between.hours.pending) == (0, 2)
    assert (after.passed, after.minutes.pending, after.hours.pending) == (True, 0, 0)


def test_what_retention_dropped_is_no_loss_and_what_follows_is_still_held(whole: KeptLog) -> None:
    first, second = storage.sections(whole.connection)[:2]
    assert storage.drop(whole.connection, first.name)
    assert verified(whole).passed
    whole.run("DELETE FROM frame WHERE device_id = 2 AND seq = 300")
    found = verified(whole)

    assert second.since == first.until
    assert (found.minutes.differences, found.receipts.differences) == (1, 1)


def test_a_span_and_a_device_narrow_what_is_compared(whole: KeptLog) -> None:
    day = datetime(2026, 1, 6, tzinfo=UTC)
    whole.run("UPDATE rollup_minute SET hi[1] = 7e7 WHERE bucket = '2026-01-06 00:00Z'")
    other = Scope(since=day + timedelta(days=1), until=day + timedelta(days=2))
    one = Scope(since=day, until=day + timedelta(days=1), device="printer-01")

    assert verified(whole, other).passed
    assert verified(whole, other).receipts.skipped
    assert verified(whole, one).minutes.differences == 1
    with pytest.raises(NotFound):
        verified(whole, Scope(device="nobody"))
