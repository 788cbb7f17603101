"""Moonraker as a peer: connects, subscribes, and subscribes anew whenever Klipper was restarted."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from edge_agent.downlink.kinds import OF_PRINTERS
from edge_agent.live.happened import let_go
from edge_agent.live.source import LiveSource
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.moonraker.bench import KlipperBench
from edge_agent.sources.moonraker.config import MoonrakerConfig, one_shot_token, websocket_url
from edge_agent.sources.moonraker.listener import STATUS, Listener, Memory, Need
from edge_agent.sources.moonraker.orders import Orders
from edge_agent.sources.moonraker.rpc import Refused, connected
from edge_agent.sources.moonraker.status import subscription, unheard
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from edge_agent.sources.moonraker.rpc import Rpc
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
HOME: Final = "urn:foremend"
"""Moonraker wants an address of whoever identifies."""


class MoonrakerPeer:
    """One printer behind a Moonraker.

    >>> LiveSource(MoonrakerPeer(config, site), config, site)
    """

    def __init__(self, config: MoonrakerConfig, site: Site) -> None:
        self._config, self._site = config, site
        self._memory = Memory()
        self._rpc: Rpc | None = None
        self._orders = Orders(self._present)

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What the printer can be told to do, and in which phases at all."""
        return OF_PRINTERS

    async def run(self, kind: str, args: Details) -> Details:  # noqa: ARG002 - none takes any
        """Do it once; raises CommandFailed, or Unavailable where the printer is not there."""
        return await self._orders.run(kind)

    def bench(self) -> KlipperBench:
        """Give what a self-test tells it."""
        return KlipperBench(self._present, self._introduced)

    def _present(self) -> Rpc:
        if self._rpc is None:
            raise Unavailable("the printer is not connected")
        return self._rpc

    @asynccontextmanager
    async def _introduced(self) -> AsyncGenerator[Rpc]:
        """Connect, and say who we are."""
        async with connected(await self._address(), answer_s=self._config.answer_s) as rpc:
            await self._identify(rpc)
            yield rpc

    async def listen(self) -> AsyncGenerator[Word]:
        """Connect, then give what it says."""
        async with self._introduced() as rpc:
            self._rpc = rpc
            try:
                listener = Listener(
                    self._memory, now_ms=self._site.now_ms, steady_ms=self._site.steady_ms
                )
                for word in await self._begin(rpc, listener):
                    yield word
                async for word in self._conversation(rpc, listener):
                    yield word
            finally:
                self._rpc = None

    async def _address(self) -> str:
        config = self._config
        if not config.one_shot:
            return websocket_url(config.url)
        token = await one_shot_token(config.url, config.api_key(), within_s=config.answer_s)
        return websocket_url(config.url, token)

    async def _identify(self, rpc: Rpc) -> None:
        key = None if self._config.one_shot else self._config.api_key()
        secret: dict[str, Any] = {"api_key": key} if key else {}
        try:
            await rpc.call(
                "server.connection.identify",
                client_name="foremend",
                version=version("foremend"),
                type="bot",
                url=HOME,
                **secret,
            )
        except Refused as error:
            raise Unavailable(f"Moonraker lets us not in: {error}") from error

    async def _conversation(self, rpc: Rpc, listener: Listener) -> AsyncGenerator[Word]:
        loop = asyncio.get_running_loop()
        probe_at = loop.time() + self._config.probe_s
        while True:
            notice = await rpc.notice(max(probe_at - loop.time(), 0.0))
            words = await self._probe(rpc, listener) if notice is None else listener.hear(notice)
            if notice is None or notice.method == STATUS:
                probe_at = loop.time() + self._config.probe_s
            for word in (*self._missed(rpc), *words):
                yield word
            for word in await self._see_to(rpc, listener):
                yield word

    def _missed(self, rpc: Rpc) -> list[Word]:
        """Tell of what was dropped and no question brings back."""
        unheard, rpc.unheard = rpc.unheard, 0
        return [let_go(unheard, self._site.now_ms())] if unheard else []

    async def _see_to(self, rpc: Rpc, listener: Listener) -> list[Word]:
        """Ask for what the last words left open."""
        if rpc.overrun:
            # Some change was not heard: only all of it again is whole.
            rpc.overrun = False
            listener.need = Need.SUBSCRIPTION if listener.is_ready else listener.need
        if listener.need is Need.SUBSCRIPTION:
            return await self._subscribe(rpc, listener)
        if listener.need is Need.REASON:
            listener.need = Need.NOTHING
            return await self._begin(rpc, listener)
        return []

    async def _begin(self, rpc: Rpc, listener: Listener) -> list[Word]:
        """Look how Klipper stands."""
        state = _table(await rpc.call("server.info")).get("klippy_state")
        if state == "ready":
            return await self._subscribe(rpc, listener)
        message = None
        with suppress(Refused):
            message = _table(await rpc.call("printer.info")).get("state_message")
        return listener.halted(str(state), str(message or "no reason is told"))

    async def _subscribe(self, rpc: Rpc, listener: Listener) -> list[Word]:
        try:
            objects = _names(await rpc.call("printer.objects.list"))
            wanted = subscription(objects)
            answer = _table(await rpc.call("printer.objects.subscribe", objects=wanted))
        except Refused as error:
            # It stopped between two questions: it is asked again after the next word.
            LOG.info("Klipper is not ready", extra={"error": str(error)})
            return []
        if unknown := unheard((channel.path for channel in self._config.channels), wanted):
            told = {"paths": ", ".join(unknown)}
            LOG.warning("the printer has nothing by these names of source.channels", extra=told)
        with suppress(Refused):
            # Power meters tell only changes as well; most Moonrakers have none.
            listener.metered(_table(await rpc.call("server.sensors.list")).get("sensors"))
        return listener.subscribed(wanted, answer.get("status"), answer.get("eventtime"))

    async def _probe(self, rpc: Rpc, listener: Listener) -> list[Word]:
        """Ask whether Klipper is there: it tells only changes, and Moonraker talks without it."""
        if not listener.is_ready:
            return await self._begin(rpc, listener)
        try:
            wanted = {"webhooks": ["state", "state_message"]}
            answer = _table(await rpc.call("printer.objects.query", objects=wanted))
        except Refused:
            return await self._begin(rpc, listener)
        return listener.took(answer.get("status"), answer.get("eventtime"))


def _table(told: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the method answers
    return told if isinstance(told, dict) else {}


def _names(told: Any) -> list[str]:  # noqa: ANN401 - whatever the method answers
    objects = _table(told).get("objects")
    return [name for name in objects if isinstance(name, str)] if isinstance(objects, list) else []


def _make(config: MoonrakerConfig, site: Site) -> LiveSource:
    return LiveSource(MoonrakerPeer(config, site), config, site)


KIND: Final = SourceKind(config=MoonrakerConfig, make=_make)
