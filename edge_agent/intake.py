"""Takes a source's readings in: placed in time, sampled, framed by count or age, to the outbox."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from edge_agent import policy
from edge_agent.framing import Framer, event_draft
from edge_agent.policy import IntakeAction
from edge_agent.source import Frame, Happening
from foremend import wire
from foremend.errors import ConfigurationError
from foremend.values import Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_agent.config import AgentConfig
    from edge_agent.messages import Draft, Load
    from edge_agent.outbox.heldtime import MachineStart
    from edge_agent.sampling.sampler import Sampler
    from edge_agent.source import Item, Mark, Source
    from edge_agent.timebase import Step
    from edge_agent.timekeeper import Timekeeper


class Outbox(Protocol):
    """What the intake asks of a device's outbox."""

    @property
    def load(self) -> Load:
        """What waits in it, now."""

    def append(self, *drafts: Draft) -> asyncio.Future[None]:
        """Keep drafts in this order; the future is done when they are on the disk."""

    def hurry(self) -> None:
        """Let what was appended go to the disk at once."""

    async def date(self, here: MachineStart) -> int:
        """Give every held message its instant; give how many it were."""

    async def moved(self) -> None:
        """Wait until its load has changed, or a nudge."""

    def nudge(self) -> None:
        """Let those who wait look again."""


class Intake:
    """The way from one source into the outbox."""

    def __init__(
        self,
        config: AgentConfig,
        source: Source,
        outbox: Outbox,
        *,
        sampler: Sampler,
        time: Timekeeper,
        kept: Callable[[], None],
        dated: Callable[[], None],
    ) -> None:
        description = sampler.description
        self.phase = 0
        """What the device was doing at the last frame that was read."""
        self.sampler = sampler
        self._source = source
        self._time = time
        self._outbox = outbox
        self._kept = kept
        self._dated = dated
        self._doubted = False
        self._packed = config.packed
        self._max_age_s = config.max_frame_age_s
        self._max_unsettled = config.max_unsettled if description.patient else None
        self._hurried = False
        self._ageing: asyncio.TimerHandle | None = None
        self._framer = Framer(
            schema=wire.schema_hash(description.channels),
            channels=len(description.channels),
            frames_per_message=config.frames_per_message,
            packed=config.packed,
        )
        self._framer.undated = time.held

    async def run(self) -> None:
        """Take in all that the source gives, until it ends."""
        async for item in self._source.read():
            await self._take(item)
            while not self._may_take():
                await self._outbox.moved()
        if self._ageing is not None:
            self._ageing.cancel()
        self._put(self._drafts(*self.sampler.flush()))
        await self.seal()

    async def close(self) -> None:
        """Let the source end, and no longer make it wait."""
        self._hurried = True
        self._outbox.nudge()
        await self._source.close()

    async def seal(self) -> None:
        """Put what is held on the disk, with all that went before it."""
        kept = self._put(self._framer.seal())
        self._outbox.hurry()
        await kept

    async def look(self) -> None:
        """Look at the clocks, and at what that means for what was read."""
        held = self._time.held
        step = self._time.look()
        if step is not None or held is not self._time.held:
            await self._turn(step, dated=held and not self._time.held)

    def resample(self, sampler: Sampler) -> None:
        """Sample otherwise from now on.

        Raises:
            ConfigurationError: the device would have other channels, which its birth did not name.
        """
        if sampler.description != self.sampler.description:
            raise ConfigurationError("other statistics need a start of the agent")
        self._put(self._drafts(*self.sampler.flush()))
        self.sampler = sampler

    async def _turn(self, step: Step | None, *, dated: bool) -> None:
        """End what counts by the old clock, and begin with the new one."""
        kept = self._put([*self._drafts(*self.sampler.restart()), *self._framer.seal()])
        self._framer.undated = self._time.held
        if step is not None:
            # What is dated exactly all the same is not doubted.
            self._doubted = not (dated or self._time.held)
            self._put(self._drafts(self._time.tell(step)))
        if dated:
            self._outbox.hurry()
            await kept
            await self._outbox.date(self._time.start)
            self._dated()

    async def _take(self, item: Item) -> None:
        await self.look()
        match item:
            case Frame():
                self.phase = item.phase
                drafts = self._drafts(*self.sampler.take(self._placed(item)))
            case Happening():
                drafts = self._drafts(replace(item, ts_ms=self._time.place(item.ts_ms)))
            case _:
                return await self._reach(item)
        if drafts:
            self._put(drafts)
        self._watch_age()
        return None

    def _placed(self, frame: Frame) -> Frame:
        ts_ms = self._time.place(frame.ts_ms)
        doubted, self._doubted = self._doubted and frame.quality == Quality.GOOD, False
        if ts_ms == frame.ts_ms and not doubted:
            return frame
        return replace(frame, ts_ms=ts_ms, quality=Quality.SUSPECT if doubted else frame.quality)

    def _drafts(self, *items: Frame | Happening) -> list[Draft]:
        """Frame items; what happened stands after the frames that came before it."""
        drafts: list[Draft] = []
        for item in items:
            if isinstance(item, Frame):
                drafts += self._framer.add(item)
            else:
                event = event_draft(item, packed=self._packed, undated=self._time.held)
                drafts += [*self._framer.seal(), event]
        return drafts

    async def _reach(self, mark: Mark) -> None:
        await self.seal()
        mark.reached()

    def _may_take(self) -> bool:
        decision = policy.decide_intake(self._outbox.load, self._max_unsettled)
        return self._hurried or decision.action is IntakeAction.TAKE

    def _put(self, drafts: Sequence[Draft]) -> asyncio.Future[None]:
        kept = self._outbox.append(*drafts)
        kept.add_done_callback(lambda _: self._kept())
        return kept

    def _watch_age(self) -> None:
        if self._ageing is None and len(self._framer):
            loop = asyncio.get_running_loop()
            self._ageing = loop.call_later(self._max_age_s, self._age)

    def _age(self) -> None:
        self._ageing = None
        drafts = self._framer.seal()
        if drafts:
            self._put(drafts)
