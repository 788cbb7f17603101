"""What is particular to an MTConnect agent's long answer, and to agents that give none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.live.words import Told
from edge_agent.site import Site
from edge_agent.sources.mtconnect.agent import MOST_DOCUMENT
from edge_agent.sources.mtconnect.config import MtConnectConfig
from edge_agent.sources.mtconnect.peer import MtConnectPeer
from foremend.errors import Unavailable
from tests.peers.mtconnect import Agent, config, running
from tests.peers.mtconnect_documents import KINDS, NOISE, PART

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.live.words import Word

SPEED = "Rotary[C]/ROTARY_VELOCITY/ACTUAL"


@asynccontextmanager
async def listening_to(agent: Agent, folder: Path) -> AsyncIterator[AsyncIterator[Word]]:
    async with asyncio.timeout(10), running(agent) as port:
        peer = MtConnectPeer(config(folder, port), Site(device="lathe", folder=folder))
        async with aclosing(peer.listen()) as listening:
            yield listening


async def speeds(listening: AsyncIterator[Word], last: str) -> list[object]:
    """Give the speeds that are told, up to the last."""
    heard: list[object] = []
    async for word in listening:
        if isinstance(word, Told) and SPEED in word.values:
            heard.append(word.values[SPEED])
            if heard[-1] == last:
                return heard
    raise AssertionError("it ended")


async def words_without_values(listening: AsyncIterator[Word], count: int) -> None:
    async for word in listening:
        count -= word == Told()
        if not count:
            return


def requests(agent: Agent, path: str) -> list[str]:
    return [target for target in agent.asked if target.split("?")[0].endswith(path)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [PART, "--{mark}{line}{line}"])
@pytest.mark.parametrize("line", ["\r\n", "\n"])
async def test_one_answer_tells_each_observation_once(
    kind: str, part: str, line: str, tmp_path: Path
) -> None:
    agent = Agent(kind=kind)
    agent.part, agent.line = part, line
    agent.observe("c1", 1)
    async with listening_to(agent, tmp_path) as listening:
        await speeds(listening, "1")
        await words_without_values(listening, 1)
        for speed in (2, 3):
            agent.observe("c1", speed)
        assert await speeds(listening, "3") == ["2", "3"]
        agent.observe("c1", 4)
        assert await speeds(listening, "4") == ["4"]
    assert len(requests(agent, "/sample")) == 1


async def test_an_agent_with_nothing_new_is_heard_all_the_same(tmp_path: Path) -> None:
    agent = Agent()
    async with listening_to(agent, tmp_path) as listening:
        await words_without_values(listening, 4)
    assert len(requests(agent, "/sample")) == 1


def test_a_heartbeat_comes_for_each_frame_and_before_anything_is_stale(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("")
    told = MtConnectConfig(mapping="m.toml", url="http://192.0.2.1", every_s=0.5)
    slow = MtConnectConfig(mapping="m.toml", url="http://192.0.2.1", every_s=60)
    assert told.heartbeat_s == told.every_s
    assert slow.heartbeat_s < slow.stale_after_s / 2
    assert slow.heartbeat_s < slow.silence_s / 2


@pytest.mark.parametrize(
    ("kind", "part"),
    [(None, PART), ("multipart/mixed", PART), (KINDS[0], "--{mark}\nContent-length: 3\n\n")],
)
async def test_an_agent_whose_answer_is_one_document_or_cannot_be_read_is_polled(
    kind: str | None, part: str, tmp_path: Path
) -> None:
    agent = Agent(kind=kind)
    agent.part = part
    agent.observe("c1", 1)
    async with listening_to(agent, tmp_path) as listening:
        await speeds(listening, "1")
        agent.observe("c1", 2)
        assert await speeds(listening, "2") == ["2"]
        agent.observe("c1", 3)
        assert await speeds(listening, "3") == ["3"]
    first, *rest = requests(agent, "/sample")
    assert "interval=" in first
    assert rest
    assert not any("interval=" in target for target in rest)


async def test_an_answer_that_something_between_keeps_until_its_end_is_given_up_for_polling(
    tmp_path: Path,
) -> None:
    agent = Agent()
    agent.holds = True
    agent.observe("c1", 1)
    async with listening_to(agent, tmp_path) as listening:
        await speeds(listening, "1")
        agent.observe("c1", 2)
        assert await speeds(listening, "2") == ["2"]
    assert len(requests(agent, "/current")) == 1


async def test_an_answer_that_ends_is_taken_up_where_it_stood(tmp_path: Path) -> None:
    agent = Agent()
    agent.documents_each = 1
    agent.observe("c1", 1)
    async with listening_to(agent, tmp_path) as listening:
        await speeds(listening, "1")
        for speed in (2, 3, 4):
            agent.observe("c1", speed)
            assert await speeds(listening, str(speed)) == [str(speed)]
    asked = requests(agent, "/sample")
    assert len(asked) > 2
    assert all("interval=" in target for target in asked)
    assert len(requests(agent, "/current")) == 1


async def test_an_answer_that_falls_back_is_left_for_what_is_now(tmp_path: Path) -> None:
    agent = Agent()
    agent.observe("c1", 1)
    async with listening_to(agent, tmp_path) as listening:
        await speeds(listening, "1")
        await words_without_values(listening, 1)
        agent.clock_s = -30
        agent.observe("c1", 2)
        await speeds(listening, "2")
    assert len(requests(agent, "/current")) == 2


async def test_no_more_is_asked_for_than_the_agent_keeps(tmp_path: Path) -> None:
    agent = Agent(keeps=7)
    agent.observe("c1", 1)
    async with listening_to(agent, tmp_path) as listening:
        await words_without_values(listening, 2)
    assert all("count=7" in target for target in requests(agent, "/sample"))


@pytest.mark.parametrize("noise", [*NOISE, b"<MTConnectStreams/>"])
async def test_a_part_that_is_no_document_ends_the_connection(noise: bytes, tmp_path: Path) -> None:
    agent = Agent()
    async with listening_to(agent, tmp_path) as listening:
        await words_without_values(listening, 2)
        agent.say(noise)
        with pytest.raises(Unavailable, match="the agent's answer"):
            await words_without_values(listening, 1000)


async def test_a_document_beyond_all_bounds_is_not_read(tmp_path: Path) -> None:
    agent = Agent()
    agent.say(b" " * (MOST_DOCUMENT + 1))
    async with listening_to(agent, tmp_path) as listening:
        with pytest.raises(Unavailable, match="exceeds"):
            await anext(listening)
