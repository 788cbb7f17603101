"""The outbox's file through damage, a full disk, other processes and other versions."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.framing import data_draft, event_draft
from edge_agent.messages import Key, Settlement
from edge_agent.outbox.ballast import Ballast, MemoryReserve
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.group import Grouping, open_outbox, serving
from edge_agent.outbox.sqlite_file import SQL, OutboxInUse, OutboxUnavailable
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.outbox.sqlite_work import DEAD_LETTERS
from edge_agent.outbox.store import Append
from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.clock import ManualClock
from foremend.errors import ConfigurationError
from foremend.wire import Up

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.messages import Draft, Stored

NOW = ManualClock(1_000)


def frame(ts_ms: int = 0, width: int = 1) -> Draft:
    return data_draft([Frame(ts_ms=ts_ms, values=(1.5,) * width)], "schema")


def event() -> Draft:
    return event_draft(Happening(ts_ms=0, code="E1"))


def append(*drafts: Draft) -> Append:
    return Append(device="d1", bounds=Bounds(), drafts=drafts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def a_used_outbox(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot1", b"birth1")
    store.commit([append(*(frame(ts) for ts in range(500)))])
    store.close()


def scribble(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(b"\xa5" * (size // 2))


@pytest.mark.parametrize("damage", ["scribbled", "replaced"])
def test_a_damaged_file_is_set_aside_and_the_loss_is_told(path: Path, damage: str) -> None:
    a_used_outbox(path)
    if damage == "scribbled":
        scribble(path)
    else:
        path.write_bytes(b"this is no database" * 100)
    damaged = path.read_bytes()

    store = SqliteStore.open(path, NOW)
    change = store.begin("d1", "boot2", b"birth2")

    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == damaged
    [message] = store.pending("d1", None, 9)
    gap = wire.decode_up(Up.EVENT, message.payload)
    assert isinstance(gap, wire.Event)
    assert (gap.code, gap.details) == ("gap", {"reason": "outbox_corrupt"})
    assert (change.gaps, change.depth.messages) == (1, 1)
    store.close()


def test_a_sound_file_is_kept_as_it_is(path: Path) -> None:
    a_used_outbox(path)

    store = SqliteStore.open(path, NOW)
    change = store.begin("d1", "boot2", b"birth2")

    assert store.set_aside is None
    assert (change.depth.messages, change.gaps) == (500, 0)
    store.close()


def test_a_second_process_is_told_that_the_outbox_is_in_use(path: Path) -> None:
    a_used_outbox(path)
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot2", b"birth2")
    program = (
        "import sys; from pathlib import Path\n"
        "from edge_agent.outbox.sqlite_store import SqliteStore\n"
        "SqliteStore.open(Path(sys.argv[1]), int)"
    )

    other = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )

    assert OutboxInUse.__name__ in other.stderr
    assert "Another process uses this outbox" in other.stderr
    assert len(store.pending("d1", None, 9)) == 9
    store.close()


def test_a_file_of_a_newer_agent_is_left_alone(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    store._file._connection.execute("PRAGMA user_version = 99")
    store.close()

    with pytest.raises(ConfigurationError, match="update this agent"):
        SqliteStore.open(path, NOW)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def fill_up(store: SqliteStore) -> None:
    assert isinstance(store._reserve, MemoryReserve)
    store._reserve.room = False
    [(pages,)] = store._file._connection.execute("PRAGMA page_count").fetchall()
    store._file._connection.execute(f"PRAGMA max_page_count = {pages}")


def make_room(store: SqliteStore) -> None:
    assert isinstance(store._reserve, MemoryReserve)
    store._reserve.room = True


def test_on_a_full_disk_a_commit_fails_whole_and_numbers_go_on_without_a_hole(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot1", b"birth1")
    store.commit([append(event())])
    fill_up(store)
    with pytest.raises(OutboxUnavailable):
        store.commit([append(*(frame(ts, width=200) for ts in range(20)))])
    told = [m.key.seq for m in store.pending("d1", None, 99)]

    make_room(store)
    store.commit([append(frame(), frame())])

    assert [m.key.seq for m in store.pending("d1", None, 99)] == [*told, told[-1] + 1, told[-1] + 2]
    store.close()


def test_on_a_full_disk_the_oldest_frames_make_room_for_new_ones_and_events_stay(
    path: Path,
) -> None:
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot1", b"birth1")
    store.commit([append(event(), *(frame(ts, width=200) for ts in range(200)))])
    fill_up(store)

    changes = [store.commit([append(frame(ts, width=200))])["d1"] for ts in range(200, 400)]

    kept = store.pending("d1", None, 999)
    gaps = [gap_of(m) for m in kept if m.kind is Up.EVENT][1:]
    assert kept[0].kind is Up.EVENT
    assert {g["reason"] for g in gaps} == {"disk_full"}
    lost = {n for g in gaps for n in range(g["first"], g["last"] + 1)}
    assert {m.key.seq for m in kept} | lost == set(range(kept[-1].key.seq + 1))
    assert sum(change.evicted_frames for change in changes) == len(lost)
    assert not {m.key.seq for m in kept} & lost
    assert max(lost) < min(m.key.seq for m in kept if m.kind is Up.DATA)
    store.close()


def gap_of(message: Stored) -> dict[str, Any]:
    event = wire.decode_up(Up.EVENT, message.payload)
    assert isinstance(event, wire.Event)
    return event.details


def test_the_ballast_is_let_go_on_a_full_disk_and_taken_again_when_there_is_room(
    path: Path,
) -> None:
    reserve = MemoryReserve()
    store = SqliteStore.open(path, NOW, reserve)
    store.begin("d1", "boot1", b"birth1")
    fill_up(store)
    with suppress(OutboxUnavailable):
        store.commit([append(*(frame(ts, width=200) for ts in range(20)))])
    assert not reserve.held

    make_room(store)
    store.commit([append(*(frame(ts, width=200) for ts in range(200)))])

    assert reserve.held
    assert len(store.pending("d1", None, 999)) >= 200
    store.close()


def test_a_ballast_takes_its_place_in_earnest_and_gives_it_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 256 * 1024)

    assert ballast.restore()

    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 256 * 1024
    ballast.free()
    assert list(tmp_path.iterdir()) == []
    assert not Ballast(tmp_path / "ballast", 1024**5).restore()


@pytest.mark.parametrize("during", ["commit", "pending", "settle", "births"])
def test_a_file_damaged_while_it_is_used_is_set_aside_and_numbers_go_on(
    path: Path, during: str
) -> None:
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot1", b"birth1")
    store.commit([append(*(frame(ts, width=50) for ts in range(500)))])
    store._file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    store._file._connection.execute("PRAGMA shrink_memory")

    gaps = 0
    match during:
        case "pending":
            store.pending("d1", Key(1, 250), 99)
        case "settle":
            gaps = store.settle("d1", Settlement(boot="boot1", spans=((0, 499),))).gaps
        case "births":
            store.births("d1")
    change = store.commit([append(frame(7))])["d1"]

    assert store.set_aside is not None
    told, message = store.pending("d1", None, 999)
    expected = {"boot": "boot1", "first": 0, "last": 499, "reason": "outbox_corrupt"}
    assert gap_of(told) == expected
    assert (told.key, message.key) == (Key(1, 500), Key(1, 501))
    assert store.births("d1") == {"boot1": b"birth1"}
    assert (gaps + change.gaps, change.depth.messages) == (1, 2)
    store.close()


def test_a_file_of_an_older_agent_is_taken_over_with_all_it_holds(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(SQL["version_1"])
    connection.execute("INSERT INTO boot (device, boot, birth) VALUES ('d1', 'boot1', x'00')")
    connection.execute("INSERT INTO message VALUES (1, 0, 'data', 0, 1, 0, 0, x'7b7d')")
    connection.commit()
    connection.close()

    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot2", b"birth2")

    assert [m.payload for m in store.pending("d1", None, 9)] == [b"{}"]
    assert store.set_aside is None
    store.close()


async def test_agents_wait_for_a_full_disk_and_lose_nothing(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    with ThreadPoolExecutor(max_workers=1) as executor:
        async with serving(
            store, executor=executor, grouping=Grouping(within_s=0.001, retry_s=0.001)
        ) as file:
            outbox = file.device("d1")
            await outbox.begin("boot1", b"birth1")
            await file.call(lambda _: fill_up(store))
            kept = outbox.append(*(frame(ts, width=200) for ts in range(20)))
            done, _ = await asyncio.wait([kept], timeout=0.05)
            assert not done
            assert outbox.load.uncommitted == 20

            await file.call(lambda _: make_room(store))
            await kept

            assert len(await outbox.pending(None, 99)) == 20
        store.close()


async def test_what_was_appended_when_the_file_is_closed_is_on_the_disk(path: Path) -> None:
    async with open_outbox(path, NOW, grouping=Grouping(within_s=60)) as file:
        outbox = file.device("d1")
        await outbox.begin("boot1", b"birth1")
        outbox.append(frame())

    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot2", b"birth2")
    assert len(store.pending("d1", None, 9)) == 1
    store.close()


async def test_many_devices_share_one_commit(path: Path) -> None:
    commits = []
    async with open_outbox(path, NOW, grouping=Grouping(within_s=0.05)) as file:
        commit = file._store.commit
        file._store.commit = lambda appends: commits.append(len(appends)) or commit(appends)  # type: ignore[method-assign]
        outboxes = [file.device(f"d{n}") for n in range(16)]
        for outbox in outboxes:
            await outbox.begin("boot1", b"birth1")
        await asyncio.gather(*(outbox.append(frame()) for outbox in outboxes))

    assert commits == [16]


def test_dead_letters_are_kept_to_look_at_up_to_a_bound(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot1", b"birth1")
    store.commit([append(*(frame(ts) for ts in range(DEAD_LETTERS + 5)))])
    messages = store.pending("d1", None, DEAD_LETTERS + 5)
    store.settle("d1", Settlement(refused=tuple((m.key, f"r{m.key.seq}") for m in messages)))

    letters = store._file._connection.execute(
        "SELECT device, boot, seq, reason, payload FROM dead_letter ORDER BY id"
    ).fetchall()

    assert len(letters) == DEAD_LETTERS
    assert letters[-1] == (
        "d1",
        "boot1",
        messages[-1].key.seq,
        f"r{messages[-1].key.seq}",
        messages[-1].payload,
    )
    store.close()


def test_new_messages_wait_for_the_disk_and_settlements_do_not(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot1", b"birth1")
    statements: list[str] = []
    store._file._connection.set_trace_callback(statements.append)

    store.commit([append(frame(), frame())])
    store.settle("d1", Settlement(boot="boot1", spans=((0, 0),)))
    [message] = store.pending("d1", None, 9)
    store.settle("d1", Settlement(refused=((message.key, "invalid"),)))

    levels = [line.split()[-1] for line in statements if "PRAGMA synchronous" in line]
    assert levels == ["FULL", "NORMAL", "FULL"]
    assert statements.count("COMMIT") == 3
    store.close()


def test_a_group_that_fails_midway_leaves_nothing_behind(path: Path) -> None:
    store = SqliteStore.open(path, NOW)
    for device in ("d1", "d2"):
        store.begin(device, "boot1", b"birth1")

    def fail(_boot: str, _seq: int) -> bytes:
        raise RuntimeError("midway")

    broken = replace(frame(), encode=fail)
    group = [append(frame()), Append(device="d2", bounds=Bounds(), drafts=(broken,))]
    with pytest.raises(RuntimeError, match="midway"):
        store.commit(group)

    assert store.pending("d1", None, 9) == []
    store.commit([append(frame())])
    assert [m.key.seq for m in store.pending("d1", None, 9)] == [0]
    store.close()


def test_a_boot_with_nothing_left_is_forgotten(path: Path) -> None:
    a_used_outbox(path)
    store = SqliteStore.open(path, NOW)
    store.begin("d1", "boot2", b"birth2")

    store.settle("d1", Settlement(boot="boot1", spans=((0, 499),)))

    assert store._file._connection.execute("SELECT boot FROM boot").fetchall() == [("boot2",)]
    store.close()
