"""A recorded fleet as devices would say it: one agent each, in the order in which it happened."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.outbox.group import open_outbox
from edge_agent.source import Description, Frame, Happening, PushSource
from foremend.clock import DAY_MS
from foremend.values import PART_REPLACED
from foremend.wire import Channel, Component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.history import History, Marks

FAILED: Final = "component_failed"
"""Says for the record what failed; an information, not an error code, so that nobody learns from it
what is not known in the field."""
FRAMES_PER_MESSAGE: Final = 24

Item = tuple[int, int, Frame | Happening]
"""Instant (ms), device, and what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the playing went."""

    frames_sent: int
    frames_acked: int


@dataclass(slots=True)
class Player:
    """Plays a history through real agents, as fast as everything behind them takes it."""

    history: History
    tenant: str
    timeline: str
    broker: BrokerConfig
    folder: Path
    progress: Callable[[int, int], None]
    _now_ms: int = 0

    async def play(self) -> Delivery:
        """Say everything, and return once all of it is acknowledged as committed."""
        items = sorted(_items(self.history), key=lambda item: item[0])
        self._now_ms = items[0][0]
        async with AsyncExitStack() as stack:
            path = self.folder / "replay-outbox.sqlite3"
            outbox = await stack.enter_async_context(open_outbox(path, self._clock))
            sources = [PushSource(self._describe(i)) for i in range(len(self.history.devices))]
            agents = [
                Agent(self._config(name), source, outbox.device(name), self._clock)
                for name, source in zip(self.history.devices, sources, strict=True)
            ]
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for agent in agents:
                    group.create_task(agent.run(stop))
                await self._say(items, sources)
                await asyncio.gather(*(agent.drained() for agent in agents))
                stop.set()
        counters = [agent.counters for agent in agents]
        return Delivery(
            frames_sent=sum(c.frames_sent for c in counters),
            frames_acked=sum(c.frames_acked for c in counters),
        )

    def _clock(self) -> int:
        return self._now_ms

    async def _say(self, items: list[Item], sources: list[PushSource]) -> None:
        """Say day after day, so that no device runs far ahead of the others."""
        first, last = items[0][0], items[-1][0]
        for day, mine in groupby(items, key=lambda item: (item[0] - first) // DAY_MS):
            said: list[list[Frame | Happening]] = [[] for _ in sources]
            for ts_ms, device, item in mine:
                said[device].append(item)
                self._now_ms = ts_ms
            for source, told in zip(sources, said, strict=True):
                if told:
                    await source.push(*told)
            await asyncio.gather(*(source.stored() for source in sources))
            self.progress(int(day) + 1, (last - first) // DAY_MS + 1)

    def _config(self, device: str) -> AgentConfig:
        return AgentConfig(
            tenant=self.tenant,
            device=device,
            broker=self.broker,
            timeline=self.timeline,
            frames_per_message=FRAMES_PER_MESSAGE,
            max_unsettled=200,
        )

    def _describe(self, device: int) -> Description:
        spec, installs = self.history.spec, self.history.installs
        fitted = {
            int(k): int(ts)
            for d, ts, k in zip(installs.device, installs.ts_ms, installs.what, strict=True)
            if d == device
        }
        return Description(
            channels=tuple(Channel(name=name, unit="1") for name in spec.channels),
            components=tuple(
                Component(instance=name, kind=name, installed_at_ms=fitted.get(k))
                for k, name in enumerate(spec.components)
            ),
            family=spec.family,
            model=spec.family,
            patient=True,
        )


def _items(history: History) -> Iterator[Item]:
    """Give everything; at one instant frames come first, then codes, then replacements."""
    spec, frames = history.spec, history.frames
    columns = (frames.device.tolist(), frames.ts_ms.tolist(), frames.phase.tolist())
    for device, ts_ms, phase, values in zip(*columns, frames.values.tolist(), strict=True):
        told = tuple(None if math.isnan(v) else v for v in values)
        yield ts_ms, device, Frame(ts_ms=ts_ms, values=told, phase=phase)
    for device, ts_ms, what in _rows(history.events):
        yield ts_ms, device, Happening(ts_ms=ts_ms, code=spec.codes[what], severity="warning")
    for device, ts_ms, what in _rows(history.failures):
        yield ts_ms, device, Happening(ts_ms=ts_ms, code=FAILED, component=spec.components[what])
    for device, ts_ms, what in _rows(history.replacements):
        part = spec.components[what]
        yield ts_ms, device, Happening(ts_ms=ts_ms, code=PART_REPLACED, component=part)


def _rows(marks: Marks) -> Iterator[tuple[int, int, int]]:
    return zip(marks.device.tolist(), marks.ts_ms.tolist(), marks.what.tolist(), strict=True)
