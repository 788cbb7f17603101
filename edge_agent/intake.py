"""Takes a source's readings in: frames become messages by count or by age, and go to the outbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from edge_agent import policy
from edge_agent.framing import Framer, event_draft
from edge_agent.policy import IntakeAction
from edge_agent.source import Frame, Happening
from foremend import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_agent.config import AgentConfig
    from edge_agent.messages import Draft, Load
    from edge_agent.source import Item, Mark, Source


class Outbox(Protocol):
    """What the intake asks of a device's outbox."""

    @property
    def load(self) -> Load:
        """What waits in it, now."""

    def append(self, *drafts: Draft) -> asyncio.Future[None]:
        """Keep drafts in this order; the future is done when they are on the disk."""

    def hurry(self) -> None:
        """Let what was appended go to the disk at once."""

    async def moved(self) -> None:
        """Wait until its load has changed, or a nudge."""

    def nudge(self) -> None:
        """Let those who wait look again."""


class Intake:
    """The way from one source into the outbox."""

    def __init__(
        self, config: AgentConfig, source: Source, outbox: Outbox, kept: Callable[[], None]
    ) -> None:
        description = source.describe()
        self._source = source
        self._outbox = outbox
        self._kept = kept
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

    async def run(self) -> None:
        """Take in all that the source gives, until it ends."""
        async for item in self._source.read():
            await self._take(item)
            while not self._may_take():
                await self._outbox.moved()
        if self._ageing is not None:
            self._ageing.cancel()
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

    async def _take(self, item: Item) -> None:
        match item:
            case Frame():
                drafts = self._framer.add(item)
                if drafts:
                    self._put(drafts)
                self._watch_age()
            case Happening():
                # What happened stands after the frames that came before it.
                self._put([*self._framer.seal(), event_draft(item, packed=self._packed)])
            case _:
                await self._reach(item)

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
