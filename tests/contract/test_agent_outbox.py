"""What every outbox does, the one on disk and the fake alike."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from edge_agent.framing import data_draft, event_draft
from edge_agent.messages import Draft, Settlement, Stored
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.group import DeviceOutbox, Grouping, OutboxFile, serving
from edge_agent.outbox.heldtime import MachineStart, MachineTime
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.outbox.store import MemoryStore, Store
from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.clock import ManualClock
from foremend.values import Quality
from foremend.wire import Up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOON = Grouping(within_s=0.001)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Store:
    if request.param == "memory":
        return MemoryStore(clock)
    return SqliteStore.open(tmp_path / "outbox.db", clock)


@pytest.fixture
async def file(store: Store) -> AsyncIterator[OutboxFile]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        async with serving(store, executor=executor, grouping=SOON) as file:
            yield file
        store.close()


@pytest.fixture
async def outbox(file: OutboxFile) -> DeviceOutbox:
    outbox = file.device("d1")
    await outbox.begin("boot1", b"birth1")
    return outbox


def frames(*instants: int, undated: bool = False) -> Draft:
    return data_draft(
        [Frame(ts_ms=ts, values=(1.0,)) for ts in instants], "schema", undated=undated
    )


def birth(boot: str) -> bytes:
    schema = wire.schema_hash(())
    return wire.encode(
        wire.Birth(
            boot=boot, boot_ms=0, clock="held", schema=schema, channels=(), family="f", model="m"
        )
    )


def begun(machine: str, mono_ms: int) -> MachineTime:
    return MachineTime(machine=machine, mono_ms=mono_ms)


def event(ts_ms: int = 0) -> Draft:
    return event_draft(Happening(ts_ms=ts_ms, code="E1"))


def seqs(messages: list[Stored]) -> list[tuple[str, int]]:
    return [(message.boot, message.key.seq) for message in messages]


async def test_numbers_rise_without_holes_in_the_order_of_appending(outbox: DeviceOutbox) -> None:
    first = outbox.append(frames(0), event())
    await asyncio.gather(first, outbox.append(frames(1)))

    messages = await outbox.pending(None, 10)

    assert seqs(messages) == [("boot1", 0), ("boot1", 1), ("boot1", 2)]
    assert [m.kind for m in messages] == [Up.DATA, Up.EVENT, Up.DATA]


async def test_the_bytes_kept_bear_the_number_they_are_kept_under(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0), frames(5))

    _, message = await outbox.pending(None, 10)

    decoded = wire.decode_up(Up.DATA, message.payload)
    assert isinstance(decoded, wire.Data)
    assert (decoded.boot, decoded.seq, decoded.frames.t0_ms) == ("boot1", 1, 5)


async def test_pending_goes_on_after_a_key_and_stops_at_its_limit(outbox: DeviceOutbox) -> None:
    await outbox.append(*(frames(ts) for ts in range(5)))
    first, *_ = await outbox.pending(None, 1)

    assert seqs(await outbox.pending(first.key, 2)) == [("boot1", 1), ("boot1", 2)]


async def test_messages_of_earlier_boots_come_first(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0), frames(1))
    await outbox.begin("boot2", b"birth2")
    await outbox.append(frames(2))

    assert seqs(await outbox.pending(None, 9)) == [("boot1", 0), ("boot1", 1), ("boot2", 0)]
    assert list((await outbox.births()).items()) == [("boot1", b"birth1"), ("boot2", b"birth2")]


async def test_a_boot_with_nothing_left_is_not_introduced_again(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0))
    await outbox.begin("boot2", b"birth2")

    await outbox.settle(Settlement(boot="boot1", spans=((0, 0),)))

    assert list(await outbox.births()) == ["boot2"]


async def test_settling_deletes_what_is_named_and_counts_its_frames(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0, 1), frames(2), event(3), frames(4))

    await outbox.settle(Settlement(boot="boot1", spans=((0, 0), (2, 2))))

    assert seqs(await outbox.pending(None, 9)) == [("boot1", 1), ("boot1", 3)]
    assert (outbox.totals.frames, outbox.totals.frames_acked) == (4, 2)
    assert outbox.load.unsettled == 2


async def test_frames_of_earlier_boots_are_counted_as_late(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0, 1))
    await outbox.begin("boot2", b"birth2")
    await outbox.append(frames(2))

    for boot in ("boot1", "boot2"):
        await outbox.settle(Settlement(boot=boot, spans=((0, 0),)))

    assert (outbox.totals.frames_acked, outbox.totals.frames_acked_late) == (3, 2)


async def test_settling_twice_or_something_unknown_changes_nothing(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0), frames(1))
    settlement = Settlement(boot="boot1", spans=((0, 0),))
    await outbox.settle(settlement)

    await outbox.settle(settlement)
    await outbox.settle(Settlement(boot="nobody's", spans=((0, 99),)))

    assert seqs(await outbox.pending(None, 9)) == [("boot1", 1)]
    assert outbox.totals.frames_acked == 1


async def test_a_refused_message_leaves_and_a_gap_takes_its_place(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(7, 8), frames(9))
    refused, _ = await outbox.pending(None, 9)

    await outbox.settle(Settlement(refused=((refused.key, "invalid"),)))

    _, told = await outbox.pending(None, 9)
    gap = wire.decode_up(Up.EVENT, told.payload)
    assert isinstance(gap, wire.Event)
    assert gap.details == {
        "boot": "boot1",
        "first": 0,
        "last": 0,
        "frames": 2,
        "from_ms": 7,
        "to_ms": 8,
        "reason": "refused",
    }
    assert (outbox.totals.refused, outbox.totals.gaps) == (1, 1)


async def test_a_refused_gap_leaves_no_further_gap(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0))
    for _ in range(2):
        [message] = await outbox.pending(None, 9)
        await outbox.settle(Settlement(refused=((message.key, "invalid"),)))

    assert await outbox.pending(None, 9) == []
    assert (outbox.totals.refused, outbox.totals.gaps) == (2, 1)


async def test_a_full_outbox_gives_up_its_oldest_frames_and_keeps_events(file: OutboxFile) -> None:
    size = len(frames(0).encode("boot1", 0))
    outbox = file.device("small", Bounds(max_bytes=10 * size))
    await outbox.begin("boot1", b"birth")

    await outbox.append(event(), *(frames(ts) for ts in range(1, 11)))

    kept = await outbox.pending(None, 99)
    assert [m.key.seq for m in kept] == [0, *range(3, 12)]
    gap = wire.decode_up(Up.EVENT, kept[-1].payload)
    assert isinstance(gap, wire.Event)
    assert (gap.details["first"], gap.details["last"]) == (1, 2)
    assert (outbox.totals.gaps, outbox.totals.evicted_frames) == (1, 2)
    assert outbox.load.unsettled == 10


async def test_events_go_once_no_frames_are_left_and_gaps_never(file: OutboxFile) -> None:
    outbox = file.device("tiny", Bounds(max_bytes=100))
    await outbox.begin("boot1", b"birth")

    for ts in range(3):
        await outbox.append(frames(ts), event(ts))

    kept = await outbox.pending(None, 99)
    assert {m.kind for m in kept} == {Up.EVENT}
    codes = [getattr(wire.decode_up(Up.EVENT, m.payload), "code", "") for m in kept]
    assert codes == ["gap"] * outbox.totals.gaps


async def test_devices_of_one_file_do_not_see_each_other(
    file: OutboxFile, outbox: DeviceOutbox
) -> None:
    other = file.device("d2")
    await other.begin("boot1", b"other birth")
    await asyncio.gather(outbox.append(frames(0), frames(1)), other.append(frames(5)))

    await other.settle(Settlement(boot="boot1", spans=((0, 9),)))

    assert seqs(await outbox.pending(None, 9)) == [("boot1", 0), ("boot1", 1)]
    assert await other.pending(None, 9) == []
    assert (outbox.load.unsettled, other.load.unsettled) == (2, 0)
    assert await other.births() == {"boot1": b"other birth"}


async def test_moved_tells_of_commits_and_settlements(outbox: DeviceOutbox) -> None:
    outbox.append(frames(0))
    assert (outbox.load.uncommitted, outbox.load.unsettled) == (1, 1)

    await outbox.moved()

    assert (outbox.load.uncommitted, outbox.load.unsettled) == (0, 1)


async def test_a_note_is_kept_with_the_drafts_beside_it(outbox: DeviceOutbox) -> None:
    await outbox.append(event(), notes={"counter": b"7", "passing": b"x"})
    await outbox.append(notes={"counter": b"8", "passing": None})

    assert await outbox.notes() == {"counter": b"8"}
    assert len(await outbox.pending(None, 10)) == 1


async def test_each_device_has_its_own_notes(file: OutboxFile, outbox: DeviceOutbox) -> None:
    other = file.device("d2")
    await other.begin("boot1", b"birth2")

    await outbox.append(notes={"counter": b"7"})

    assert await other.notes() == {}


async def test_what_is_too_old_is_given_up_and_told_whatever_its_rank(
    file: OutboxFile, clock: ManualClock
) -> None:
    outbox = file.device("aged", Bounds(max_age_ms=1_000))
    await outbox.begin("boot1", b"birth")
    clock.advance(5_000)
    await outbox.append(frames(4_500), event(4_600), frames(4_900))

    clock.advance(700)
    await outbox.append(frames(5_700))

    kept = await outbox.pending(None, 9)
    assert [m.key.seq for m in kept] == [2, 3, 4]
    gap = wire.decode_up(Up.EVENT, kept[-1].payload)
    assert isinstance(gap, wire.Event)
    assert gap.details["reason"] == "outbox_age"
    assert (gap.details["first"], gap.details["last"], gap.details["frames"]) == (0, 1, 1)


async def test_what_has_no_date_is_kept_and_sent_once_it_has_one(file: OutboxFile) -> None:
    outbox = file.device("held")
    await outbox.begin("boot1", birth("boot1"), begun("now", 40))
    await outbox.append(frames(50, 60, undated=True), event(70))
    assert await outbox.pending(None, 9) == []

    dated = await outbox.date(MachineStart(machine="now", utc_ms=1_000_000))

    assert dated == 1
    data, _ = await outbox.pending(None, 9)
    message = wire.decode_up(Up.DATA, data.payload)
    assert isinstance(message, wire.Data)
    assert (message.seq, message.frames.t0_ms) == (0, 1_000_050)
    assert message.frames.quality == [0, 0]
    introduced = wire.decode_up(Up.BIRTH, (await outbox.births())["boot1"])
    assert isinstance(introduced, wire.Birth)
    assert (introduced.boot_ms, introduced.clock) == (1_000_040, "trusted")
    assert outbox.depth.bytes == sum(len(m.payload) for m in await outbox.pending(None, 9))


async def test_what_an_earlier_start_of_the_machine_left_undated_is_guessed_and_suspect(
    file: OutboxFile,
) -> None:
    outbox = file.device("held")
    await outbox.begin("boot1", birth("boot1"), begun("earlier", 100))
    await outbox.append(frames(200, 700, undated=True))
    await outbox.begin("boot2", b"birth2")
    await outbox.append(frames(2_000_000))

    await outbox.date(MachineStart(machine="now", utc_ms=1_000_000))

    old, new = await outbox.pending(None, 9)
    message = wire.decode_up(Up.DATA, old.payload)
    assert isinstance(message, wire.Data)
    assert (message.frames.t0_ms, message.frames.offset_ms) == (999_500, [0, 500])
    assert message.frames.quality == [Quality.SUSPECT, Quality.SUSPECT]
    assert (old.boot, new.boot) == ("boot1", "boot2")
    introduced = wire.decode_up(Up.BIRTH, (await outbox.births())["boot1"])
    assert isinstance(introduced, wire.Birth)
    assert introduced.clock == "held"


async def test_a_gap_in_what_has_no_date_names_no_time(
    file: OutboxFile, clock: ManualClock
) -> None:
    outbox = file.device("held", Bounds(max_bytes=300))
    await outbox.begin("boot1", birth("boot1"), begun("now", 0))
    clock.advance(77)

    await outbox.append(*(frames(ts, undated=True) for ts in range(5)))
    await outbox.date(MachineStart(machine="now", utc_ms=1_000_000))

    gaps = [
        wire.decode_up(Up.EVENT, m.payload)
        for m in await outbox.pending(None, 9)
        if m.kind is Up.EVENT
    ]
    assert [(g.ts_ms, "from_ms" in g.details) for g in gaps if isinstance(g, wire.Event)] == [
        (77, False)
    ]


async def test_only_what_is_still_kept_is_given_by_its_key(outbox: DeviceOutbox) -> None:
    await outbox.append(frames(0), frames(1), frames(2))
    keys = frozenset(m.key for m in await outbox.pending(None, 9))
    await outbox.settle(Settlement(boot="boot1", spans=((1, 1),)))

    assert seqs(await outbox.some(keys)) == [("boot1", 0), ("boot1", 2)]
    assert (await outbox.newest()).seq == 2
