"""A source that follows the streams of an MTConnect agent (httpx), by its sequence numbers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import httpx
from msgspec import Meta

from edge_agent.live.ages import Ages
from edge_agent.live.source import LiveConfig, LiveSource, Seconds
from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.mtconnect import words
from edge_agent.sources.mtconnect.conditions import Conditions
from foremend.errors import MalformedMessage, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from edge_agent.live.words import Word
    from edge_agent.site import Site

T = TypeVar("T")
LOG: Final = logging.getLogger(__name__)
OLD_MS: Final = 5_000
"""An observation that is older by its stamp has held since, or its stamp is of another clock."""


class MtConnectConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the agent is, and which of its devices is meant."""

    url: str
    """`http://HOST:5000`."""
    device_name: str | None = None
    """Its name or its uuid; needed where the agent has several."""
    poll_s: Seconds = 1.0
    timeout_s: Seconds = 5.0
    """How long an answer may take."""
    count: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    """Observations that one answer may bring."""


class MtConnectPeer:
    """Asks an agent what is, and then, again and again, what was observed since."""

    def __init__(self, config: MtConnectConfig, site: Site) -> None:
        mapping = config.device()
        self._config, self._site = config, site
        self._job = mapping.job.path if mapping.job else None
        job = [self._job] if self._job else []
        self._paths = tuple(dict.fromkeys([c.path for c in mapping.channels] + job))
        self._conditions = Conditions()
        self._state: str | None = None

    async def listen(self) -> AsyncGenerator[Word]:
        """Follow the agent; one that has restarted, or forgot what comes next, is asked anew."""
        base = "/".join(filter(None, (self._config.url.rstrip("/"), self._config.device_name)))
        ages = Ages(most_ms=OLD_MS)
        async with httpx.AsyncClient(timeout=self._config.timeout_s, trust_env=False) as client:
            try:
                while True:
                    async with aclosing(self._follow(client, base, ages)) as words_told:
                        async for word in words_told:
                            yield word
            except (httpx.HTTPError, MalformedMessage) as error:
                raise Unavailable(str(error) or type(error).__name__) from error

    async def _follow(
        self, client: httpx.AsyncClient, base: str, ages: Ages
    ) -> AsyncGenerator[Word]:
        """Tell all that is, and then what is observed, for as long as the sequence goes on."""
        ids = self._find(_granted(words.devices(await _get(client, f"{base}/probe"))))
        now = _granted(words.streams(await _get(client, f"{base}/current")))
        observed = {each.id for each in now.observations}
        known = {path for item, paths in ids.items() if item in observed for path in paths}
        yield Told(values={path: None for path in self._paths if path not in known})
        for word in self._tell(now.observations, ids, ages):
            yield word
        for happening in self._conditions.all_are(now.conditions, self._site.now_ms()):
            yield happening
        instance, following = now.instance, now.next_sequence
        while True:
            await asyncio.sleep(self._config.poll_s)
            asked = {"from": following, "count": self._config.count}
            told = words.streams(await _get(client, f"{base}/sample", asked))
            if isinstance(told, words.Refusal) or told.instance != instance:
                LOG.info("the agent's sequence does not go on", extra={"from": following})
                return
            yield Told()
            for word in self._tell(told.observations, ids, ages):
                yield word
            for happening in self._conditions.change(told.conditions, self._site.now_ms()):
                yield happening
            following = told.next_sequence

    def _find(self, items: Iterable[words.Item]) -> dict[str, list[str]]:
        """Give the paths that each data item is known by; one that none fits is logged."""
        known = tuple(items)
        found: dict[str, list[str]] = {}
        for path in self._paths:
            try:
                found.setdefault(words.find(path, known), []).append(path)
            except LookupError as error:
                LOG.warning("a data item cannot be read", extra={"reason": str(error)})
        return found

    def _tell(
        self, observations: Iterable[words.Observation], ids: dict[str, list[str]], ages: Ages
    ) -> Iterator[Word]:
        for each in observations:
            for path in ids.get(each.id, ()):
                age_ms = ages.settle(path, each.age_ms, now_ms=self._site.steady_ms())
                yield Told(values={path: each.value}, age_ms=age_ms)
                if path == self._job and each.value is not None:
                    yield from self._changed(each.value, self._site.now_ms() - age_ms)

    def _changed(self, state: str, ts_ms: int) -> Iterator[Happening]:
        before, self._state = self._state, state[:256]
        if before is not None and before != self._state:
            details = {"state": self._state, "before": before}
            yield Happening(ts_ms=ts_ms, code="state_changed", details=details)


def _granted(told: T | words.Refusal) -> T:
    if isinstance(told, words.Refusal):
        raise Unavailable(f"the agent refuses: {', '.join(told.codes)} {told.text}")
    return told


async def _get(client: httpx.AsyncClient, url: str, params: dict[str, int] | None = None) -> bytes:
    """Fetch a document; an agent refuses with a document too, whatever the status."""
    answer = await client.get(url, params=params)
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Unavailable(f"the agent answers {answer.status_code}")
    return answer.content


def make(config: MtConnectConfig, site: Site) -> LiveSource:
    """Make a source."""
    return LiveSource(MtConnectPeer(config, site), config, site)


KIND: Final = SourceKind(config=MtConnectConfig, make=make)
