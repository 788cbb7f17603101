"""A `Source` that stays connected to its peer, however often the connection breaks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from edge_agent import phases, policy
from edge_agent.downlink.kinds import Commandable, CommandFailed
from edge_agent.live import odometers
from edge_agent.live.happened import Happened
from edge_agent.live.mapping import Mapped, load
from edge_agent.live.odometers import Logbook, Usage
from edge_agent.live.present import Present
from edge_agent.live.reasons import reason_of
from edge_agent.live.words import Told
from edge_agent.selftest.bench import Testable
from edge_agent.selftest.orders import PHASES, SELF_TEST, SelfTests
from edge_agent.selftest.plan import USUAL, Plan
from edge_agent.selftest.reading import measured, reading
from edge_agent.source import Description, Frame, Happening
from edge_agent.tasks import end
from foremend import wire  # noqa: TC001 - msgspec reads the annotations at run time
from foremend.errors import ForemendError, Unavailable
from foremend.values import SOURCE_BACK, SOURCE_LOST, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.mapping import Mapping as DeviceMapping
    from edge_agent.live.words import Peer, Word
    from edge_agent.selftest.bench import Bench
    from edge_agent.site import Site
    from edge_agent.source import Item
    from foremend.clock import Millis
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
KEEP_EVERY_S: Final = 30.0
"""Between two writings of the odometers: so much use a crash may forget."""

Seconds = Annotated[float, Meta(gt=0)]


class LiveConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the configuration of every live source may say; each kind adds how to reach its peer."""

    mapping: str
    """A shipped mapping's name, or the path of a .toml file."""
    model: wire.Text | None = None
    """Instead of the mapping's."""
    channels: tuple[Mapped, ...] = ()
    """More than the mapping has, or in place of its own of the same name."""
    components: tuple[wire.Component, ...] = ()
    """Parts likewise; with a serial number, where it is known."""
    without: tuple[str, ...] = ()
    """Channels of the mapping that this device has not."""
    every_s: Seconds = 1.0
    """From frame to frame."""
    stale_after_s: Seconds = 10.0
    """What was told longer ago is no longer known."""
    silence_s: Seconds = 20.0
    """Without a word for so long, the connection is given up and made anew."""

    def device(self) -> DeviceMapping:
        """Give the mapping of this device; raises ConfigurationError."""
        return load(self.mapping).fitted(
            more=self.channels, parts=self.components, without=self.without, model=self.model
        )


class LiveSource:
    """Frames what a peer tells, at a steady pace.

    While the peer is away there are no frames but one that is stale. What it tells becomes a
    channel by the mapping alone: no value is made up, and none outlives its `stale_after_s`.

    >>> LiveSource(peer, config, site)
    """

    def __init__(self, peer: Peer, config: LiveConfig, site: Site, plan: Plan = USUAL) -> None:
        self._peer, self._config, self._site = peer, config, site
        self._mapping = config.device()
        self._present = Present(
            mapping=self._mapping, stale_after_ms=round(1000 * config.stale_after_s)
        )
        self._phase_of = phases.phase_function(self._mapping.family)
        self._names = tuple(channel.name for channel in self._mapping.channels)
        self._known = set(self._names)
        self._logbook = Logbook(site.folder / f"{site.device}.odometers.json")
        self._usage = Usage()
        self._kept_ms = site.steady_ms()
        self._before_ms: Millis | None = None
        self._happened = Happened()
        self._away = False
        self._met = False
        """Whether it has told anything since the agent began."""
        self._closed = asyncio.Event()
        self._tests = self._tests_on(peer.bench(), plan) if isinstance(peer, Testable) else None

    def describe(self) -> Description:
        """Say what the device is, as its mapping does, odometers behind its channels."""
        told = tuple(channel.channel() for channel in self._mapping.channels)
        return Description(
            channels=told + odometers.channels(self._known),
            components=self._mapping.components,
            family=self._mapping.family,
            model=self._mapping.model,
        )

    async def read(self) -> AsyncIterator[Item]:
        """Give frames and happenings until closed."""
        self._usage = self._logbook.open()
        tasks = [asyncio.create_task(self._listen(), name=f"{self._site.device} listens")]
        if self._tests is not None:
            settling = self._tests.settle()
            tasks.append(asyncio.create_task(settling, name=f"{self._site.device} is left cold"))
        try:
            while not self._closed.is_set():
                await self._pause(self._config.every_s)
                for item in self._due():
                    yield item
                for task in tasks:
                    if task.done():
                        # None ends by itself: its death is ours.
                        task.result()
        finally:
            for task in tasks:
                if not await end(task):
                    LOG.error("what reads the device does not end, and is left")
            self._logbook.keep(self._usage)

    async def close(self) -> None:
        """Let `read` end."""
        self._closed.set()

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What the device can be told to do, and in which phases at all."""
        kinds = self._peer.kinds if isinstance(self._peer, Commandable) else {}
        return kinds if self._tests is None else {**kinds, SELF_TEST: PHASES}

    async def run(self, kind: str, args: Details) -> Details:
        """Have it done, once; raises CommandFailed."""
        try:
            if kind == SELF_TEST and self._tests is not None:
                found = await self._tests.run(args)
                told = measured(found)
                if told.values:
                    # Without any it would vouch for what the printer itself told.
                    self._present.take(told, self._site.steady_ms())
                return found
            if isinstance(self._peer, Commandable):
                return await self._peer.run(kind, args)
        except (Unavailable, OSError, TimeoutError) as error:
            raise CommandFailed(f"the device does not answer: {error}") from error
        raise CommandFailed(f"this device cannot be told to {kind}")

    def _tests_on(self, bench: Bench, plan: Plan) -> SelfTests:
        site = self._site
        return SelfTests(
            bench,
            lambda: reading(self._present, site.steady_ms()),
            site.folder / f"{site.device}.heaters",
            steady_ms=site.steady_ms,
            plan=plan,
        )

    def _due(self) -> list[Item]:
        frame = self._present.frame(self._site.steady_ms())
        return [*self._happened.take(), *([] if frame is None else [self._completed(frame)])]

    def _completed(self, frame: Frame) -> Frame:
        """Date it, and add the phase and the odometers."""
        values = dict(zip(self._names, frame.values, strict=True))
        phase = self._phase_of(self._present.job, values)
        since_ms = frame.ts_ms if self._before_ms is None else self._before_ms
        self._before_ms = frame.ts_ms
        seconds = (frame.ts_ms - since_ms) / 1000
        self._usage = odometers.used(self._usage, values, phase, seconds)
        self._keep_now_and_then()
        told = odometers.readings(self._usage, self._known)
        known = phase is not Phase.UNKNOWN or any(v is not None for v in frame.values)
        rest = told if known else (None,) * len(told)
        ts_ms = frame.ts_ms + self._site.now_ms() - self._site.steady_ms()
        return replace(frame, ts_ms=ts_ms, values=frame.values + rest, phase=int(phase))

    def _keep_now_and_then(self) -> None:
        now_ms = self._site.steady_ms()
        if now_ms - self._kept_ms >= KEEP_EVERY_S * 1000:
            self._kept_ms = now_ms
            self._logbook.keep(self._usage)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async for word in self._words():
                    failures = 0
                    self._take(word)
                reason = "the connection was closed"
            except TimeoutError:
                reason = f"silent for {self._config.silence_s:g} s"
            except (ForemendError, OSError) as error:
                reason = reason_of(error)
            except Exception as error:
                # A fault in reading one device must not stop its agent, which has more to do.
                LOG.exception("reading failed")
                reason = f"{type(error).__name__}: {error}"
            failures += 1
            self._lose(reason)
            chance = self._site.chance.random()
            await asyncio.sleep(policy.reconnect_after_s(failures, chance))

    async def _words(self) -> AsyncGenerator[Word]:
        """Listen until the peer ends or has been silent for too long."""
        listening = self._peer.listen()
        try:
            while True:
                async with asyncio.timeout(self._config.silence_s):
                    try:
                        word = await anext(listening)
                    except StopAsyncIteration:
                        return
                yield word
        finally:
            await listening.aclose()

    def _take(self, word: Word) -> None:
        if isinstance(word, Told):
            self._present.take(word, self._site.steady_ms())
        else:
            self._happened.add(word)
        if not self._met and not self._away:
            LOG.info("the device can be read")
        self._met = True
        if self._away:
            self._away = False
            LOG.info("the device can be read again")
            self._happened.add(Happening(ts_ms=self._site.now_ms(), code=SOURCE_BACK))

    def _lose(self, reason: str) -> None:
        self._present.lost()
        if not self._away:
            self._away = True
            LOG.warning("the device cannot be read", extra={"reason": reason})
            told = Happening(
                ts_ms=self._site.now_ms(),
                code=SOURCE_LOST,
                severity="warning",
                details={"reason": reason[:256]},
            )
            self._happened.add(told)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until closed."""
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return
