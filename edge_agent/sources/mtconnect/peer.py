"""A source that follows the streams of an MTConnect agent (httpx), by its sequence numbers."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import httpx

from edge_agent.downlink.answers import fitting
from edge_agent.downlink.kinds import ANY, DIAGNOSTICS
from edge_agent.live.ages import Ages
from edge_agent.live.source import LiveSource
from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.mtconnect import words
from edge_agent.sources.mtconnect.agent import Agent, client
from edge_agent.sources.mtconnect.conditions import Conditions
from edge_agent.sources.mtconnect.config import MtConnectConfig
from foremend.errors import MalformedMessage, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from foremend.wire import Details

LOG: Final = logging.getLogger(__name__)
OLD_MS: Final = 5_000
"""An observation that is older by its stamp has held since, or its stamp is of another clock."""


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
        self._heard: words.Streams | None = None
        """The last document; what comes after it was not heard."""

    async def listen(self) -> AsyncGenerator[Word]:
        """Follow the agent; one that has restarted, or forgot what comes next, is asked anew."""
        ages = Ages(most_ms=OLD_MS)
        async with client(self._config) as connection:
            agent = Agent(self._config, self._site, connection)
            try:
                while True:
                    async with aclosing(self._follow(agent, ages)) as words_told:
                        async for word in words_told:
                            yield word
            except (httpx.HTTPError, MalformedMessage) as error:
                raise Unavailable(str(error) or type(error).__name__) from error

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do: nothing that changes the machine."""
        return {DIAGNOSTICS: ANY}

    async def run(self, kind: str, args: Details) -> Details:  # noqa: ARG002 - there is but one
        """Tell who the agent and its machine are, and which conditions stand."""
        async with client(self._config) as connection:
            try:
                about = await Agent(self._config, self._site, connection).about()
            except (httpx.HTTPError, MalformedMessage) as error:
                raise Unavailable(str(error) or type(error).__name__) from error
        return fitting({**about, "conditions": self._conditions.standing()})

    async def _follow(self, agent: Agent, ages: Ages) -> AsyncGenerator[Word]:
        """Tell all that is, and then what is observed, for as long as the sequence goes on."""
        ids = self._find(await agent.probe())
        now = await agent.current()
        async with aclosing(agent.between(self._heard, now)) as documents:
            async for told in documents:
                for happening in self._missed(told, ids):
                    yield happening
        self._heard = now
        observed = {each.id for each in now.observations}
        known = {path for item, paths in ids.items() if item in observed for path in paths}
        yield Told(values={path: None for path in self._paths if path not in known})
        for word in self._tell(now.observations, ids, ages):
            yield word
        for happening in self._conditions.all_are(now.conditions, self._site.now_ms()):
            yield happening
        async with aclosing(agent.after(now)) as documents:
            async for told in documents:
                self._heard = told
                yield Told()
                for word in self._tell(told.observations, ids, ages):
                    yield word
                for happening in self._conditions.change(told.conditions, self._site.now_ms()):
                    yield happening

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

    def _missed(self, told: words.Streams, ids: dict[str, list[str]]) -> Iterator[Happening]:
        """Tell what happened while nobody listened; the values of then are no longer."""
        now_ms = self._site.now_ms()
        for each in told.observations:
            if self._job in ids.get(each.id, ()) and each.value is not None:
                yield from self._changed(each.value, now_ms - max(each.age_ms, 0))
        yield from self._conditions.change(told.conditions, now_ms)

    def _changed(self, state: str, ts_ms: int) -> Iterator[Happening]:
        before, self._state = self._state, state[:256]
        if before is not None and before != self._state:
            details = {"state": self._state, "before": before}
            yield Happening(ts_ms=ts_ms, code="state_changed", details=details)


def make(config: MtConnectConfig, site: Site) -> LiveSource:
    """Make a source."""
    return LiveSource(MtConnectPeer(config, site), config, site)


KIND: Final = SourceKind(config=MtConnectConfig, make=make)
