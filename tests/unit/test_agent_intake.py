"""From a source into the outbox: what makes a message, and who is made to wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from edge_agent.config import AgentConfig
from edge_agent.intake import Intake
from edge_agent.messages import Load
from edge_agent.outbox.heldtime import MachineStart
from edge_agent.policy import MAX_UNCOMMITTED
from edge_agent.sampling.config import SamplingConfig
from edge_agent.sampling.sampler import Sampler
from edge_agent.source import Description, Frame, Happening, Mark, PushSource, ScriptedSource
from edge_agent.timebase import ToldTrust
from edge_agent.timekeeper import Timekeeper
from foremend import wire
from foremend.errors import MalformedMessage
from foremend.values import Quality
from foremend.wire import Channel, Up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.messages import Draft
    from edge_agent.source import Item, Source


class HeldOutbox:
    """Keeps drafts; commits them when told, or at once."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.uncommitted = 0
        self.unsettled = 0
        self.fullness = 0.0
        self.at_once = True
        self.hurries = 0
        self.dated: list[MachineStart] = []
        self._futures: list[asyncio.Future[None]] = []
        self._moved = asyncio.Event()

    @property
    def load(self) -> Load:
        return Load(uncommitted=self.uncommitted, unsettled=self.unsettled, fullness=self.fullness)

    def append(self, *drafts: Draft) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self.drafts += drafts
        self.uncommitted += len(drafts)
        self.unsettled += len(drafts)
        self._futures.append(future)
        if self.at_once:
            self.commit()
        return future

    async def date(self, here: MachineStart) -> int:
        self.dated.append(here)
        return 0

    def hurry(self) -> None:
        self.hurries += 1

    def commit(self) -> None:
        self.uncommitted = 0
        for future in self._futures:
            future.set_result(None)
        self._futures.clear()
        self._moved.set()

    def settle(self) -> None:
        self.unsettled = 0
        self._moved.set()

    def nudge(self) -> None:
        self._moved.set()

    async def moved(self) -> None:
        self._moved.clear()
        await self._moved.wait()


def description(*, patient: bool = False) -> Description:
    channels = (Channel(name="a", unit="1"),)
    return Description(channels=channels, family="f", model="m", patient=patient)


def frames(*instants: int) -> list[Item]:
    return [Frame(ts_ms=ts, values=(0.0,)) for ts in instants]


def intake(
    items: Sequence[Item], outbox: HeldOutbox, *, patient: bool = False, **settings: float
) -> Intake:
    source = ScriptedSource(description(patient=patient), items)
    return intake_of(source, outbox, **settings)


def intake_of(
    source: Source, outbox: HeldOutbox, *, clocks: Timekeeper | None = None, **settings: float
) -> Intake:
    return Intake(
        AgentConfig(tenant="t", device="d", **settings),  # type: ignore[arg-type]
        source,
        outbox,
        sampler=Sampler(SamplingConfig(), source.describe()),
        time=clocks or Timekeeper(int, int, ToldTrust()),
        kept=lambda: None,
        dated=lambda: None,
    )


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_frames_share_a_message_up_to_the_count_and_the_rest_is_sealed_at_the_end() -> None:
    outbox = HeldOutbox()

    await intake(frames(1, 2, 3, 4, 5), outbox, frames_per_message=2).run()

    assert [draft.frames for draft in outbox.drafts] == [2, 2, 1]


async def test_what_happened_stands_after_the_frames_before_it() -> None:
    outbox = HeldOutbox()
    items = [*frames(1), Happening(ts_ms=2, code="E1"), *frames(3)]

    await intake(items, outbox).run()

    assert [(d.kind, d.first_ms) for d in outbox.drafts] == [
        (Up.DATA, 1),
        (Up.EVENT, 2),
        (Up.DATA, 3),
    ]


async def test_a_frame_waits_no_longer_than_its_age_for_others() -> None:
    outbox = HeldOutbox()
    source = PushSource(description())
    task = asyncio.create_task(intake_of(source, outbox, max_frame_age_s=0.001).run())

    await source.push(*frames(1))
    async with asyncio.timeout(10):
        while not outbox.drafts:
            await outbox.moved()

    assert [draft.frames for draft in outbox.drafts] == [1]
    task.cancel()


async def test_a_mark_is_reached_only_once_all_before_it_is_on_the_disk() -> None:
    outbox = HeldOutbox()
    outbox.at_once = False
    reached = asyncio.Event()
    task = asyncio.create_task(intake([*frames(1), Mark(reached=reached.set)], outbox).run())
    await settled()
    assert (len(outbox.drafts), reached.is_set(), outbox.hurries) == (1, False, 1)

    outbox.commit()
    await settled()

    assert reached.is_set()
    outbox.commit()
    await task


async def test_a_patient_source_waits_while_too_much_is_unsettled() -> None:
    outbox = HeldOutbox()
    taking = intake(frames(*range(10)), outbox, patient=True, frames_per_message=1, max_unsettled=3)
    task = asyncio.create_task(taking.run())

    counts = []
    for _ in range(4):
        await settled()
        counts.append(len(outbox.drafts))
        outbox.settle()

    assert counts == [3, 6, 9, 10]
    await task


async def test_a_patient_source_waits_before_its_messages_fill_the_outbox() -> None:
    outbox = HeldOutbox()
    outbox.fullness = 0.6
    task = asyncio.create_task(
        intake(frames(1, 2), outbox, patient=True, frames_per_message=1).run()
    )
    await settled()
    assert len(outbox.drafts) == 1

    outbox.fullness = 0.4
    outbox.nudge()
    await task

    assert len(outbox.drafts) == 2


async def test_an_impatient_source_is_never_made_to_wait_for_acknowledgements() -> None:
    outbox = HeldOutbox()

    await intake(frames(*range(50)), outbox, frames_per_message=1, max_unsettled=3).run()

    assert len(outbox.drafts) == 50


async def test_a_disk_that_does_not_answer_bounds_what_waits_in_memory() -> None:
    outbox = HeldOutbox()
    outbox.at_once = False
    instants = range(MAX_UNCOMMITTED + 10)
    task = asyncio.create_task(intake(frames(*instants), outbox, frames_per_message=1).run())
    await settled()
    assert len(outbox.drafts) == MAX_UNCOMMITTED

    outbox.commit()
    await settled()

    assert len(outbox.drafts) == MAX_UNCOMMITTED + 10
    outbox.commit()
    await task


async def test_closing_takes_in_what_was_pushed_and_makes_nobody_wait_any_more() -> None:
    outbox = HeldOutbox()
    source = PushSource(description(patient=True))
    taking = intake_of(source, outbox, frames_per_message=1, max_unsettled=1)
    task = asyncio.create_task(taking.run())
    for instant in range(5):
        await source.push(*frames(instant))
    await settled()
    assert len(outbox.drafts) == 1

    await taking.close()
    await task

    assert len(outbox.drafts) == 5


async def test_a_frame_of_another_width_is_refused_where_it_is_pushed() -> None:
    source = PushSource(description())

    with pytest.raises(MalformedMessage, match="2 values for 1 channels"):
        await source.push(Frame(ts_ms=0, values=(1.0, 2.0)))


class Clocks:
    """A wall clock and a machine's own, moved by the test."""

    def __init__(self, wall_ms: int, mono_ms: int, *, trusted: bool) -> None:
        self.wall_ms, self.mono_ms = wall_ms, mono_ms
        self.trust = ToldTrust(trusted)
        self.keeper = Timekeeper(
            lambda: self.wall_ms, lambda: self.mono_ms, self.trust, name="start-1"
        )

    def pass_(self, ms: int) -> None:
        self.wall_ms += ms
        self.mono_ms += ms

    def frame(self) -> Frame:
        return Frame(ts_ms=self.wall_ms, values=(0.0,))


def decoded(draft: Draft) -> wire.UpMessage:
    return wire.decode_up(draft.kind, draft.encode("boot", 0))


async def test_what_is_read_before_the_clock_is_trusted_counts_from_the_machines_start() -> None:
    outbox, clocks = HeldOutbox(), Clocks(50_000, 7_000, trusted=False)
    source = PushSource(description())
    task = asyncio.create_task(
        intake_of(source, outbox, clocks=clocks.keeper, frames_per_message=1).run()
    )
    await source.push(clocks.frame())
    await source.stored()
    clocks.pass_(2_000)
    clocks.wall_ms = 1_800_000_000_000
    clocks.trust.trusted = True
    await source.push(clocks.frame())
    await source.stored()

    held, step, known = outbox.drafts
    assert (held.held, held.first_ms) == (True, 7_000)
    assert (step.held, known.held) == (False, False)
    assert known.first_ms == 1_800_000_000_000
    assert outbox.dated == [MachineStart(machine="start-1", utc_ms=1_800_000_000_000 - 9_000)]
    message = decoded(known)
    assert isinstance(message, wire.Data)
    assert message.frames.quality == [Quality.GOOD]
    task.cancel()


async def test_a_clock_that_is_set_is_told_and_the_frame_after_it_doubted() -> None:
    outbox, clocks = HeldOutbox(), Clocks(1_800_000_000_000, 7_000, trusted=True)
    source = PushSource(description())
    task = asyncio.create_task(intake_of(source, outbox, clocks=clocks.keeper).run())
    await source.push(clocks.frame())
    await source.stored()
    clocks.pass_(1_000)
    clocks.wall_ms -= 3_600_000
    await source.push(clocks.frame())
    clocks.pass_(1_000)
    await source.push(clocks.frame())
    await source.stored()

    _, step, after = map(decoded, outbox.drafts)
    assert isinstance(step, wire.Event)
    assert (step.code, step.details["by_ms"]) == ("clock_step", -3_600_000)
    assert isinstance(after, wire.Data)
    assert after.frames.quality == [Quality.SUSPECT, Quality.GOOD]
    assert outbox.dated == []
    task.cancel()


async def test_a_clock_that_is_merely_slewed_changes_nothing() -> None:
    outbox, clocks = HeldOutbox(), Clocks(1_800_000_000_000, 7_000, trusted=True)
    source = PushSource(description())
    task = asyncio.create_task(intake_of(source, outbox, clocks=clocks.keeper).run())
    expected = []
    for _ in range(10):
        await source.push(clocks.frame())
        expected.append(clocks.wall_ms)
        clocks.pass_(1_000)
        clocks.wall_ms += 1
        await source.stored()

    assert [draft.first_ms for draft in outbox.drafts] == expected
    task.cancel()
