"""What the reference agent tells, where its program is at hand."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.live.words import Told
from edge_agent.site import Site
from edge_agent.source import Happening
from edge_agent.sources.mtconnect.peer import MtConnectPeer
from tests.peers.mtconnect import config
from tests.peers.mtconnect_reference import adapting, running
from tests.peers.relay import tcp_relay
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.live.words import Word
    from tests.peers.mtconnect_reference import Adapter
    from tests.peers.relay import TcpRelay

SPEED = "Rotary[C]/ROTARY_VELOCITY/ACTUAL"


@asynccontextmanager
async def listening(
    folder: Path, *, keeps: int = 1024
) -> AsyncIterator[tuple[Adapter, TcpRelay, AsyncIterator[Word]]]:
    async with asyncio.timeout(20), adapting() as (adapter, adapter_port):
        try:
            async with running(folder, adapter_port, keeps=keeps) as port, tcp_relay(port) as relay:
                site = Site(device="lathe", folder=folder)
                peer = MtConnectPeer(config(folder, relay.port), site)
                async with aclosing(peer.listen()) as heard:
                    yield adapter, relay, heard
        except Absent as absent:
            pytest.skip(str(absent))


async def until(heard: AsyncIterator[Word], seen: Callable[[Word], bool]) -> Word:
    async for word in heard:
        if seen(word):
            return word
    raise AssertionError("it ended")


def tells(path: str, value: object) -> Callable[[Word], bool]:
    return lambda word: isinstance(word, Told) and word.values.get(path, "?") == value


def happens(code: str) -> Callable[[Word], bool]:
    return lambda word: isinstance(word, Happening) and word.code == code


async def test_one_long_answer_tells_values_conditions_and_that_there_is_nothing_new(
    tmp_path: Path,
) -> None:
    async with listening(tmp_path) as (adapter, relay, heard):
        adapter.tell(c1=1)
        await until(heard, tells(SPEED, "1"))
        await until(heard, lambda word: word == Told())
        adapter.say("|c4|WARNING|T1|2|HIGH|warm", "|c4|FAULT|T1|2|HIGH|hot", "|c4|NORMAL||||")
        warned = await until(heard, happens("T1"))
        await until(heard, happens("T1_cleared"))
        adapter.tell(c1="UNAVAILABLE")
        await until(heard, tells(SPEED, None))
        for _ in range(3):
            await until(heard, lambda word: word == Told())
        assert relay.accepted == 3
    assert isinstance(warned, Happening)
    assert warned.severity == "warning"
    assert warned.details["text"] == "warm"


async def test_what_runs_out_of_a_small_buffer_is_made_up_by_what_is_now(tmp_path: Path) -> None:
    async with listening(tmp_path, keeps=8) as (adapter, _, heard):
        adapter.tell(c1=1)
        await until(heard, tells(SPEED, "1"))
        for last in (100, 200, 300):
            adapter.say(*(f"|c1|{speed}" for speed in range(last - 90, last + 1)))
            await until(heard, tells(SPEED, str(last)))
