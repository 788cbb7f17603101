"""A source that listens to a machine's CAN bus as SAE J1939 speaks on it (python-can)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import can
from msgspec import Meta

from edge_agent.downlink.answers import fitting
from edge_agent.downlink.kinds import ANY, DIAGNOSTICS
from edge_agent.live.source import LiveConfig, LiveSource, Seconds
from edge_agent.live.words import Told
from edge_agent.sources.j1939.asking import Asking, name_of
from edge_agent.sources.j1939.bus import frames, opened
from edge_agent.sources.j1939.faults import DM1, DM2, Faults
from edge_agent.sources.j1939.frames import Broadcasts, parameters
from edge_agent.sources.j1939.identity import ASKED, Identities
from edge_agent.sources.j1939.spns import Spn, shipped, wanted
from edge_agent.sources.kinds import SourceKind
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from edge_agent.sources.j1939.frames import Parameters
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
ANSWER_S: Final = 2.0
"""For the answers to one question: a broadcast of 100 bytes takes 15 packets, 50 to 200 ms apart
(J1939-21). Questions come one after the other, for a unit broadcasts one answer at a time."""
SEND_S: Final = 0.1
"""How long a full adapter may keep a request waiting."""


class J1939Config(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bus, and whether anything is said on it."""

    interface: str
    """python-can's name: `socketcan`, `slcan`, `pcan`, ..."""
    channel: str
    """`can0`, `/dev/ttyACM0`, ..."""
    bitrate: Annotated[int, Meta(ge=10_000)] | None = None
    """250,000 or 500,000; socketcan has it set by `ip link`."""
    options: dict[str, Any] = {}  # noqa: RUF012 - msgspec gives each its own
    """Whatever else python-can's interface may be told."""
    spns: tuple[Spn, ...] = ()
    """Parameters beside those that come with the agent, or in place of them."""
    ask_every_s: Seconds | None = None
    """Ask so often for what is sent on request alone; without it, nothing is ever sent."""
    ask_stored: bool = True
    """Ask for stored faults (DM2) too."""
    address: Annotated[int, Meta(ge=0, le=253)] = 249
    """Ours, if we ask: 249 is that of an off-board service tool."""


class J1939Peer:
    """Listens to one bus."""

    def __init__(self, config: J1939Config, site: Site) -> None:
        self._config, self._site = config, site
        mapping = config.device()
        known = shipped() | {spn.spn: spn for spn in config.spns}
        paths = [channel.path for channel in mapping.channels]
        job = [mapping.job.path] if mapping.job else []
        self._wanted: dict[int, list[tuple[str, Spn, int | None]]] = {}
        for path in dict.fromkeys(paths + job):
            spn, source = wanted(path, known)
            self._wanted.setdefault(spn.pgn, []).append((path, spn, source))
        self._faults, self._identities = Faults(), Identities()
        self._asks: Asking | None = None

    async def listen(self) -> AsyncGenerator[Word]:
        """Tell what is on the bus until it cannot be read any more."""
        broadcasts, asking = Broadcasts(), self._asking()
        try:
            async with opened(**self._settings()) as bus, aclosing(frames(bus)) as heard:
                self._asks = asking
                async for message in heard:
                    for identifier, payload in asking.due(self._site.steady_ms()):
                        _send(bus, identifier, payload)
                    if message is None or not message.is_extended_id or message.is_error_frame:
                        continue
                    told = parameters(message.arbitration_id, bytes(message.data))
                    for identifier, payload in asking.hear(told):
                        _send(bus, identifier, payload)
                    whole = broadcasts.whole(told, self._site.steady_ms())
                    for word in self._words(whole):
                        yield word
        except can.CanError as error:
            raise Unavailable(str(error) or type(error).__name__) from error
        finally:
            self._asks = None

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do: nothing that changes the machine."""
        return {DIAGNOSTICS: ANY}

    async def run(self, kind: str, args: Details) -> Details:  # noqa: ARG002 - there is but one
        """Tell which faults stand and who is on the bus; asks who they are where it may ask."""
        if self._asks is None:
            raise Unavailable("the bus is not open")
        if self._asks.may:
            for group in (*ASKED, *((DM2,) if self._config.ask_stored else ())):
                self._asks.also(group)
                await asyncio.sleep(ANSWER_S)
        return fitting({**self._faults.standing(), **self._identities.told()})

    def _settings(self) -> dict[str, Any]:
        config = self._config
        bitrate = {} if config.bitrate is None else {"bitrate": config.bitrate}
        named = {"interface": config.interface, "channel": config.channel}
        return {**config.options, **named, **bitrate}

    def _asking(self) -> Asking:
        every_s, wanted_here = self._config.ask_every_s, self._wanted.items()
        groups = {pgn for pgn, paths in wanted_here if any(spn.requested for _, spn, _ in paths)}
        stored = {DM2} if self._config.ask_stored else set()
        return Asking(
            address=self._config.address,
            name=name_of(self._site.chance.getrandbits(21)),
            groups=() if every_s is None else tuple(sorted(groups | stored)),
            every_ms=round(1000 * (every_s or 0)),
        )

    def _words(self, heard: Parameters | None) -> Iterator[Word]:
        if heard is None:
            return
        self._identities.hear(heard)
        if heard.pgn in {DM1, DM2}:
            yield Told()
            yield from self._faults.hear(heard, self._site.now_ms())
            return
        values = {
            path: spn.read(heard.payload)
            for path, spn, source in self._wanted.get(heard.pgn, ())
            if source in {None, heard.source}
        }
        if values:
            yield Told(values=values)


def _send(bus: can.BusABC, identifier: int, payload: bytes) -> None:
    message = can.Message(arbitration_id=identifier, is_extended_id=True, data=payload)
    try:
        bus.send(message, timeout=SEND_S)
    except can.CanOperationError as error:
        # What cannot be asked for is not told; what is told without asking still is.
        LOG.warning("nothing can be sent on the bus", extra={"error": str(error)})


def make(config: J1939Config, site: Site) -> LiveSource:
    """Make a source; raises ConfigurationError where a path names no known parameter."""
    return LiveSource(J1939Peer(config, site), config, site)


KIND: Final = SourceKind(config=J1939Config, make=make)
