"""Asks an agent over HTTP (httpx): for one document after another, or for one long answer."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeVar

import httpx

from edge_agent.sources.mtconnect import parts, words
from edge_agent.sources.mtconnect.lateness import Lateness
from edge_agent.sources.mtconnect.machines import agent_of, machines
from foremend.errors import MalformedMessage, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from edge_agent.site import Site
    from edge_agent.sources.mtconnect.config import MtConnectConfig

T = TypeVar("T")
LOG: Final = logging.getLogger(__name__)
MOST_DOCUMENT: Final = 4 * 1024**2
"""Bytes of a document."""
MOST_MISSED: Final = 20
"""Documents that are asked for to make up for what was not heard."""
LATE_MS: Final = 5_000
"""A long answer that has fallen back so far is left, and what is now is asked for."""
_HEADERS: Final = {"Accept": "text/xml, application/xml", "Accept-Encoding": "identity"}
"""Newer agents tell JSON to who does not say; what is packed could grow without a bound."""


class Agent:
    """What an agent says of one device."""

    def __init__(self, config: MtConnectConfig, site: Site, client: httpx.AsyncClient) -> None:
        self._config, self._site, self._client = config, site, client

    async def probe(self) -> tuple[words.Item, ...]:
        """Give its data items."""
        return _granted(words.devices(await self._get("probe")))

    async def about(self) -> dict[str, object]:
        """Give who the agent is, and the machine that it speaks for."""
        document = await self._get("probe")
        told = agent_of(document)
        for machine in _granted(machines(document))[:1]:
            told |= {
                "machine": machine.name,
                "uuid": machine.uuid,
                "manufacturer": machine.manufacturer,
                "model": machine.model,
                "serial": machine.serial,
                "data_items": len(machine.items),
            }
        return told

    async def current(self) -> words.Streams:
        """Give all that is now."""
        return _granted(words.streams(await self._get("current")))

    async def between(
        self, told: words.Streams | None, now: words.Streams
    ) -> AsyncGenerator[words.Streams]:
        """Give what was observed from one document to another, as far as the agent still has it."""
        for _ in range(MOST_MISSED):
            if told is None or told.instance != now.instance:
                return
            if told.next_sequence >= now.next_sequence:
                return
            answer = words.streams(await self._get("sample", self._from(told)))
            if isinstance(answer, words.Refusal):
                return
            told = answer
            yield told

    async def after(self, now: words.Streams) -> AsyncGenerator[words.Streams]:
        """Give what is observed after a document, for as long as the sequence goes on.

        It does not where the agent has restarted, or no longer has what comes next; how it says the
        latter differs: `OUT_OF_RANGE` to a request, `INTERNAL_ERROR` in a long answer. An agent
        that tells nothing in a long answer is polled.

        Raises:
            Unavailable: it fails.
            MalformedMessage: what it tells is no document.
        """
        told, late = now, Lateness()
        late.of(now.made_ms, self._site.steady_ms())
        asking = self._long_answer if self._config.stream else self._answer
        while True:
            await asyncio.sleep(self._config.poll_s)
            heard = False
            async with aclosing(asking(told)) as answers:
                async for answer in answers:
                    heard = True
                    if isinstance(answer, words.Refusal) or answer.instance != now.instance:
                        LOG.info("the sequence does not go on", extra={"from": told.next_sequence})
                        return
                    told = answer
                    if late.of(told.made_ms, self._site.steady_ms()) > LATE_MS:
                        LOG.info("what the agent tells comes late, and is asked for anew")
                        return
                    yield told
            if not heard:
                LOG.info("the agent gives no long answer, and is polled")
                asking = self._answer

    async def _answer(self, told: words.Streams) -> AsyncGenerator[words.Streams | words.Refusal]:
        yield words.streams(await self._get("sample", self._from(told)))

    async def _long_answer(
        self, before: words.Streams
    ) -> AsyncGenerator[words.Streams | words.Refusal]:
        """Give each document as it comes; none where there is but one, or nothing to be read."""
        config, heard = self._config, False
        every = {"interval": config.interval_s, "heartbeat": config.heartbeat_s}
        asked = self._from(before) | {name: max(1, round(1000 * s)) for name, s in every.items()}
        timeout = httpx.Timeout(config.timeout_s, read=config.heartbeat_s + config.timeout_s)
        request = self._client.stream("GET", self._url("sample"), params=asked, timeout=timeout)
        try:
            async with request as answer:
                mark = parts.boundary(answer.headers.get("content-type", ""))
                if mark is None:
                    return
                cut = parts.Parts(mark, most=MOST_DOCUMENT)
                async for piece in answer.aiter_bytes():
                    for document in cut.take(piece):
                        told = words.streams(document)
                        heard = True
                        yield told
        except (httpx.ReadTimeout, MalformedMessage):
            # Something between that waits for an answer's end would keep a long one for ever.
            if heard:
                raise

    def _from(self, told: words.Streams) -> dict[str, int]:
        """Ask for what comes next, and for no more than its buffer holds, which it would refuse."""
        return {"from": told.next_sequence, "count": min(self._config.count, told.buffer_size)}

    def _url(self, request: str) -> str:
        return f"{self._config.base}/{request}"

    async def _get(self, request: str, asked: dict[str, int] | None = None) -> bytes:
        """Fetch a document; an agent refuses with a document too, whatever the status."""
        whole = bytearray()
        async with self._client.stream("GET", self._url(request), params=asked) as answer:
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise Unavailable(f"the agent answers {answer.status_code}")
            async for piece in answer.aiter_bytes():
                whole += piece
                if len(whole) > MOST_DOCUMENT:
                    raise MalformedMessage(
                        "long_document", f"{request} exceeds {MOST_DOCUMENT} bytes: name a device"
                    )
        return bytes(whole)


def client(config: MtConnectConfig) -> httpx.AsyncClient:
    """Give what requests are made with."""
    return httpx.AsyncClient(
        timeout=config.timeout_s,
        headers=_HEADERS,
        # Certificates are only loaded where they are needed: they cost megabytes.
        verify=config.url.startswith("https"),
        trust_env=False,
    )


def _granted(told: T | words.Refusal) -> T:
    if isinstance(told, words.Refusal):
        raise Unavailable(f"the agent refuses: {', '.join(told.codes)} {told.text}")
    return told
