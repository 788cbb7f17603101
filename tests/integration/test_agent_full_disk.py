"""An agent's outbox on a real file system that fills up: a small tmpfs of its own."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.framing import data_draft, event_draft
from edge_agent.outbox.ballast import Ballast
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.group import Grouping, open_outbox
from edge_agent.outbox.sqlite_file import OutboxUnavailable
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.outbox.store import Append
from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.clock import ManualClock
from foremend.wire import Up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_agent.messages import Draft, Stored

DISK_BYTES = 12 * 1024**2
BALLAST_BYTES = 1024**2
NOW = ManualClock(1_000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={DISK_BYTES}"
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a file system of one's own can be mounted by root alone")
    yield place
    subprocess.run(["/bin/umount", "-l", str(place)], check=True)


def opened(disk: Path) -> SqliteStore:
    return SqliteStore.open(disk / "o.db", NOW, Ballast(disk / "o.ballast", BALLAST_BYTES))


def frame(ts_ms: int) -> Draft:
    return data_draft([Frame(ts_ms=ts_ms, values=(1.5,) * 200)], "schema")


def keep(store: SqliteStore, *drafts: Draft) -> bool:
    try:
        store.commit([Append(device="d1", bounds=Bounds(), drafts=drafts)])
    except OutboxUnavailable:
        return False
    return True


def fill(disk: Path) -> None:
    """Let somebody else take all that is left."""
    with (disk / "other").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def gap_of(message: Stored) -> dict[str, Any]:
    event = wire.decode_up(Up.EVENT, message.payload)
    assert isinstance(event, wire.Event)
    return event.details


def test_when_somebody_fills_the_disk_new_readings_go_on_and_every_loss_is_told(
    disk: Path,
) -> None:
    store = opened(disk)
    store.begin("d1", "boot1", b"birth")
    event = event_draft(Happening(ts_ms=0, code="E1"))
    assert keep(store, event, *(frame(ts) for ts in range(300)))
    fill(disk)

    # Some thousand times what the ballast holds.
    kept = [keep(store, frame(ts)) for ts in range(300, 2300)]

    assert all(kept)
    assert not (disk / "o.ballast").exists()
    messages = store.pending("d1", None, 10_000)
    assert messages[0].kind is Up.EVENT
    gaps = [gap_of(m) for m in messages[1:] if m.kind is Up.EVENT]
    lost = {n for gap in gaps for n in range(gap["first"], gap["last"] + 1)}
    assert {gap["reason"] for gap in gaps} == {"disk_full"}
    assert {m.key.seq for m in messages} | lost == set(range(store.newest("d1").seq + 1))
    assert max(lost) < min(m.key.seq for m in messages if m.kind is Up.DATA)
    store.close()


@pytest.mark.parametrize("appends", [1, 60], ids=["one_append", "many_appends"])
async def test_a_group_that_is_larger_than_the_room_is_kept_in_smaller_ones(
    disk: Path, appends: int
) -> None:
    at_once = Grouping(retry_s=0.001, patience_s=0.01)
    async with open_outbox(
        disk / "o.db", NOW, grouping=at_once, ballast_bytes=BALLAST_BYTES
    ) as file:
        view = file.device("d1")
        await view.begin("boot1", b"birth")
        fill(disk)
        drafts = [frame(ts) for ts in range(1200)]
        size = len(drafts) // appends
        kept = [view.append(*drafts[n : n + size]) for n in range(0, len(drafts), size)]
        async with asyncio.timeout(60):
            await asyncio.gather(*kept)
        messages = await view.pending(None, 10_000)
        gaps = [gap_of(m) for m in messages if m.kind is Up.EVENT]
        told = {n for gap in gaps for n in range(gap["first"], gap["last"] + 1)}
        newest = max(m.key.seq for m in messages)
        assert {m.key.seq for m in messages} | told == set(range(newest + 1))
        assert view.totals.frames == len(drafts)
        assert view.load.uncommitted == 0


def test_once_there_is_room_again_the_ballast_is_taken_again_and_nothing_more_is_lost(
    disk: Path,
) -> None:
    store = opened(disk)
    store.begin("d1", "boot1", b"birth")
    keep(store, *(frame(ts) for ts in range(300)))
    fill(disk)
    for ts in range(300, 600):
        keep(store, frame(ts))
    before = len([m for m in store.pending("d1", None, 10_000) if m.kind is Up.EVENT])
    (disk / "other").unlink()

    assert all(keep(store, frame(ts)) for ts in range(600, 1000))

    assert (disk / "o.ballast").stat().st_size == BALLAST_BYTES
    messages = store.pending("d1", None, 10_000)
    assert len([m for m in messages if m.kind is Up.EVENT]) == before
    store.close()


def test_it_starts_on_a_full_disk_and_goes_on(disk: Path) -> None:
    store = opened(disk)
    store.begin("d1", "boot1", b"birth")
    keep(store, *(frame(ts) for ts in range(300)))
    fill(disk)
    for ts in range(300, 400):
        keep(store, frame(ts))
    store._file._connection.close()

    store = opened(disk)
    store.begin("d1", "boot2", b"birth2")

    assert all(keep(store, frame(ts)) for ts in range(400, 800))
    assert store.pending("d1", None, 1)[0].boot == "boot1"
    store.close()


def test_without_a_ballast_a_full_disk_can_stop_it_but_costs_nothing_that_was_kept(
    disk: Path,
) -> None:
    store = SqliteStore.open(disk / "o.db", NOW, Ballast(disk / "none", 0))
    store.begin("d1", "boot1", b"birth")
    keep(store, *(frame(ts) for ts in range(300)))
    store._file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fill(disk)

    kept = keep(store, *(frame(ts) for ts in range(300, 600)))
    (disk / "other").unlink()

    assert keep(store, frame(900))
    messages = store.pending("d1", None, 10_000)
    gaps = [gap_of(m) for m in messages if m.kind is Up.EVENT]
    told = {n for gap in gaps for n in range(gap["first"], gap["last"] + 1)}
    assert {m.key.seq for m in messages} | told == set(range(store.newest("d1").seq + 1))
    assert not kept
    store.close()


def test_a_disk_too_small_for_the_ballast_is_used_all_the_same(disk: Path) -> None:
    ballast = Ballast(disk / "o.ballast", DISK_BYTES // 2)
    store = SqliteStore.open(disk / "o.db", NOW, ballast)
    store.begin("d1", "boot1", b"birth")

    assert all(keep(store, frame(ts)) for ts in range(1000))

    assert not (disk / "o.ballast").exists()
    assert [m.kind for m in store.pending("d1", None, 10_000)] == [Up.DATA] * 1000
    store.close()
