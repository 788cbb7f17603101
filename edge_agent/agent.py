"""One device's agent: source -> intake -> outbox -> publisher -> broker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from edge_agent.intake import Intake
from edge_agent.lanes import Order
from edge_agent.mqtt_link import MqttConnector
from edge_agent.publisher import Publisher
from edge_agent.sampling.config import SamplingConfig
from edge_agent.sampling.sampler import Sampler
from edge_agent.session import Session, birth_of, new_boot
from edge_agent.timekeeper import Timekeeper, timekeeper
from foremend.values import Timeline, TimelineKind

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig
    from edge_agent.downlink.orders import Downlink
    from edge_agent.link import Connector
    from edge_agent.outbox.group import DeviceOutbox
    from edge_agent.source import Source
    from foremend.clock import NowMs

LOOK_EVERY_S: Final = 1.0
"""Seconds between two looks at the clock while nothing is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What an agent has done since its start."""

    frames_sent: int
    """Distinct frames that were numbered, encoded and kept for sending."""
    frames_acked: int
    """Frames deleted because ingest had committed them, those of earlier boots included."""
    frames_acked_late: int
    """Of these, frames of earlier boots."""
    messages_sent: int
    """Every sending counts."""
    resent: int
    """Sendings of what had been sent before."""
    gaps: int
    """Gap events written."""
    evicted_frames: int
    refused: int
    """Messages that ingest refused for good."""
    unsettled: int
    """Messages that wait for the disk or for their acknowledgement, now."""


class Agent:
    """Delivers what one source says, whatever happens to the link.

    `clock` is the timeline's: the machine's for `live`, else the simulation's or the recording's.

    >>> async with open_outbox(path, wall_ms) as file:
    ...     agent = Agent(config, source, file.device(config.device), wall_ms)
    ...     await agent.run(stop)
    """

    def __init__(
        self,
        config: AgentConfig,
        source: Source,
        outbox: DeviceOutbox,
        clock: NowMs,
        *,
        connector: Connector | None = None,
        sampling: SamplingConfig | None = None,
        time: Timekeeper | None = None,
    ) -> None:
        sampling = sampling or SamplingConfig()
        self._sampler = Sampler(sampling, source.describe())
        live = Timeline.parse(config.timeline).kind is TimelineKind.LIVE
        self._time = time or timekeeper(live=live, clock=clock, patience_s=config.clock_patience_s)
        self.session: Final = Session(
            address=config.address,
            boot=new_boot(),
            boot_ms=clock(),
            timeline=config.timeline,
            clock="held" if self._time.held else "trusted",
        )
        self._outbox = outbox
        self._begun = asyncio.Event()
        self._birth = birth_of(self.session, self._sampler.description, packed=config.packed)
        self._publisher = Publisher(
            address=config.address,
            boot=self.session.boot,
            outbox=outbox,
            connector=connector or MqttConnector(config.broker, config.device),
            clock=clock,
            steady=monotonic,
            chance=random.random,
            first_resend_s=config.first_resend_s,
            # What a recording says has its order; what a device says has its present.
            order=Order.FRESH_BESIDE
            if live and not self._sampler.description.patient
            else Order.OLDEST_FIRST,
        )
        self._intake = Intake(
            config,
            source,
            outbox,
            sampler=self._sampler,
            time=self._time,
            kept=self._publisher.wake,
            dated=self._publisher.dated,
        )
        self._downlink: Downlink | None = None
        if config.command_keys:
            # Only who obeys somebody needs to check signatures; the library weighs some 10 MiB.
            from edge_agent.downlink.host import Host, downlink_of  # noqa: PLC0415 - see above

            self._downlink = downlink_of(
                config,
                Host(config.address, source, self._intake, self._publisher, self._time, clock),
                source=source,
                sampling=sampling,
                outbox=outbox,
                publisher=self._publisher,
                burst=self.burst,
                live=live,
            )
            self._publisher.told = self._downlink.hear

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; what was taken in is on the disk by the end.

        Waits for no acknowledgement: what is unsettled goes out after the next start.
        """
        await self._outbox.begin(self.session.boot, self._birth, self._time.begun)
        if not self._time.held:
            # What an earlier boot could not date.
            await self._outbox.date(self._time.start)
        self._begun.set()
        device = self.session.address.device
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intake.run(), name=f"{device} takes in")
            group.create_task(self._publisher.run(stop), name=f"{device} publishes")
            sides = [group.create_task(self._watch_clock(), name=f"{device} watches the clock")]
            if self._downlink is not None:
                obeying = self._downlink.run()
                sides.append(group.create_task(obeying, name=f"{device} obeys"))
            await stop.wait()
            for side in sides:
                side.cancel()
            await self._intake.close()

    def burst(self, channel: str | None, seconds: float) -> None:
        """Send everything that is read of a channel, or of all, for so long.

        Raises:
            NotFound: the device has no such channel.
        """
        self._intake.sampler.burst(channel, seconds)

    async def _watch_clock(self) -> None:
        """Look at the clock although nothing is read: what is held waits for it to be trusted."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._intake.look()

    async def drained(self) -> None:
        """Wait until all that was taken in is acknowledged as committed.

        What a `PushSource` still holds is not waited for: `await source.stored()` first.
        """
        await self._begun.wait()
        await self._intake.seal()
        while self._outbox.load.unsettled:
            await self._outbox.moved()

    @property
    def counters(self) -> Counters:
        """What was done so far."""
        totals, traffic = self._outbox.totals, self._publisher.traffic
        return Counters(
            frames_sent=totals.frames,
            frames_acked=totals.frames_acked,
            frames_acked_late=totals.frames_acked_late,
            messages_sent=traffic.messages_sent,
            resent=traffic.resent,
            gaps=totals.gaps,
            evicted_frames=totals.evicted_frames,
            refused=totals.refused,
            unsettled=self._outbox.load.unsettled,
        )
