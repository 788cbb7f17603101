"""JSON-RPC over a WebSocket, against a server that says whatever the test has it say."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import serve

from edge_agent.site import Site
from edge_agent.source import Happening
from edge_agent.sources.moonraker.config import MoonrakerConfig
from edge_agent.sources.moonraker.peer import MoonrakerPeer
from edge_agent.sources.moonraker.rpc import ROOM, Refused, connected
from foremend.errors import Unavailable
from foremend.values import GAP
from stack.embedded.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.sources.moonraker.rpc import Rpc

NOISE = (
    "", "null", "7", "[]", "{", '{"id": []}', '{"method": 5}', b"\xff\xfe\x00",
    '{"jsonrpc": "2.0", "method": "notify_status_update", "params": {"a": 1}}',
    '{"id": 999, "result": "of nobody"}',
)  # fmt: skip


@asynccontextmanager
async def server(answer: Callable[[dict[str, Any]], list[Any]]) -> AsyncIterator[int]:
    """Run a server that answers each request with these messages; gives its port."""

    async def handle(socket: Any) -> None:
        async for message in socket:
            for said in answer(json.loads(message)):
                await socket.send(said if isinstance(said, str | bytes) else json.dumps(said))

    async with serve(handle, LOOPBACK, 0) as listening:
        yield next(iter(listening.sockets)).getsockname()[1]


@asynccontextmanager
async def talking(answer: Callable[[dict[str, Any]], list[Any]]) -> AsyncIterator[Rpc]:
    """Connect to such a server."""
    async with (
        server(answer) as port,
        connected(f"ws://{LOOPBACK}:{port}", answer_s=2.0) as rpc,
    ):
        yield rpc


async def test_noise_before_an_answer_is_left_out() -> None:
    async with talking(lambda asked: [*NOISE, {"id": asked["id"], "result": 5}]) as rpc:
        assert await rpc.call("anything") == 5


async def test_an_error_is_told_in_its_own_words_whatever_its_form() -> None:
    errors = iter([{"code": -32601, "message": "Method not found"}, "plain", None])
    async with talking(lambda asked: [{"id": asked["id"], "error": next(errors)}]) as rpc:
        for words in ("Method not found", "plain", "None"):
            with pytest.raises(Refused, match=words):
                await rpc.call("anything")


async def test_no_answer_in_time_is_none() -> None:
    async with talking(lambda _asked: []) as rpc:
        with pytest.raises(Unavailable, match="no answer to anything"):
            await rpc.call("anything", within_s=0.05)


async def test_a_flood_of_notices_keeps_the_newest_and_says_that_some_are_lost() -> None:
    flood = [{"method": "notify_x", "params": [n]} for n in range(ROOM + 5)]
    async with talking(lambda asked: [*flood, {"id": asked["id"], "result": None}]) as rpc:
        await rpc.call("anything")
        assert rpc.overrun
        first = await rpc.notice(1.0)
        assert first is not None
        assert first.params == (5,)


async def test_a_flood_counts_the_lost_notices_that_might_have_told_of_an_event() -> None:
    lost = [
        ("notify_history_changed", {"action": "finished"}),
        ("notify_gcode_response", "!! Move out of range"),
        ("notify_gcode_response", "ok T:21.0"),
        ("notify_status_update", {}),
    ]
    early = [{"method": method, "params": [told]} for method, told in lost]
    flood = [{"method": "notify_x", "params": [n]} for n in range(ROOM)]
    async with talking(lambda asked: [*early, *flood, {"id": asked["id"], "result": None}]) as rpc:
        await rpc.call("anything")
        assert rpc.unheard == 2


async def test_events_lost_to_a_flood_are_a_gap_that_says_how_many(tmp_path: Path) -> None:
    ended = {"method": "notify_history_changed", "params": [{"action": "finished", "job": {}}]}
    flood = [{"method": "notify_x"}] * ROOM
    answers = {"server.info": {"klippy_state": "startup"}, "printer.info": {}}

    def answer(asked: dict[str, Any]) -> list[Any]:
        early = [ended, *flood] if asked["method"] == "printer.info" else []
        return [*early, {"id": asked["id"], "result": answers.get(asked["method"], {})}]

    async with server(answer) as port:
        config = MoonrakerConfig(url=f"http://{LOOPBACK}:{port}")
        peer = MoonrakerPeer(config, Site(device="klipper", folder=tmp_path))
        async with aclosing(peer.listen()) as words, asyncio.timeout(10):
            gap = await anext(word async for word in words if isinstance(word, Happening))

    assert (gap.code, gap.details["events"]) == (GAP, 1)


async def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot connect"):
        async with connected(f"ws://{LOOPBACK}:1", answer_s=1.0):
            pass


async def test_a_connection_that_ends_ends_what_waits_on_it() -> None:
    async def leave(socket: Any) -> None:
        await socket.recv()

    async with serve(leave, LOOPBACK, 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connected(f"ws://{LOOPBACK}:{port}", answer_s=5.0) as rpc:
            with pytest.raises(Unavailable, match="ended"):
                await rpc.call("anything")
            with pytest.raises(Unavailable, match="ended"):
                await rpc.notice(5.0)
