"""What is particular to MTConnect: sequence numbers, restarts, conditions, and what is not XML."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.live.words import Told
from edge_agent.site import Site
from edge_agent.source import Happening
from edge_agent.sources.mtconnect.peer import MtConnectPeer
from edge_agent.sources.mtconnect.words import Refusal, devices, find
from foremend.errors import Unavailable
from tests.peers.mtconnect import Agent, config, running
from tests.peers.mtconnect_documents import DEVICES, NOISE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from edge_agent.live.words import Word

    Listening = Callable[[Agent], AbstractAsyncContextManager[AsyncIterator[Word]]]

SPEED = "Rotary[C]/ROTARY_VELOCITY/ACTUAL"
JOB = "Controller/EXECUTION"
ITEMS = devices(DEVICES.format(now="2026-01-01T00:00:00Z", instance=1).encode())


@pytest.fixture(params=["streamed", "polled", "no_long_answers"])
def listening_to(request, tmp_path: Path) -> Listening:
    @asynccontextmanager
    async def opened(agent: Agent) -> AsyncIterator[AsyncIterator[Word]]:
        if request.param == "no_long_answers":
            agent.kind = None
        async with asyncio.timeout(10), running(agent) as port:
            told = config(tmp_path, port, stream=request.param != "polled")
            peer = MtConnectPeer(told, Site(device="lathe", folder=tmp_path))
            async with aclosing(peer.listen()) as listening:
                yield listening

    return opened


async def until(listening: AsyncIterator[Word], seen: Callable[[Word], bool]) -> list[Word]:
    heard: list[Word] = []
    async for word in listening:
        heard.append(word)
        if seen(word):
            return heard
    raise AssertionError("it ended")


def tells(path: str, value: object) -> Callable[[Word], bool]:
    return lambda word: isinstance(word, Told) and word.values.get(path, "?") == value


def happens(code: str) -> Callable[[Word], bool]:
    return lambda word: isinstance(word, Happening) and word.code == code


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("c1", "c1"),
        ("Sspeed", "c1"),
        ("Rotary/ROTARY_VELOCITY/COMMANDED", "c2"),
        ("Linear[Z]/POSITION", "z1"),
        ("Device/AVAILABILITY", "avail"),
        ("Rotary/TEMPERATURE", "c5"),
        ("*/EXECUTION", "exec"),
        ("*[Z]/POSITION", "z1"),
        ("Rotary[C]/x:STIFFNESS/x:STATIC", "c6"),
    ],
)
def test_a_data_item_is_found_by_id_name_or_place(path: str, item: str) -> None:
    assert find(path, ITEMS) == item


@pytest.mark.parametrize(
    ("path", "says"),
    [("Rotary/ROTARY_VELOCITY", "names c1, c2"), ("Linear/POSITION", "names x1, z1"),
     ("*/POSITION", "names x1, z1"), ("c4", "no data item"),
     ("Linear[Y]/POSITION", "no data item"), ("nothing", "no data item")],
)  # fmt: skip
def test_a_path_that_could_mean_two_names_neither(path: str, says: str) -> None:
    with pytest.raises(LookupError, match=says):
        find(path, ITEMS)


async def test_each_observation_is_asked_for_once_and_follows_the_one_before(
    listening_to: Listening, caplog
) -> None:
    agent = Agent()
    agent.observe("c1", 1)
    with caplog.at_level(logging.WARNING, "edge_agent"):
        async with listening_to(agent) as listening:
            await until(listening, tells(SPEED, "1"))
            for speed in (2, 3, 4):
                agent.observe("c1", speed)
            heard = await until(listening, tells(SPEED, "4"))
    values = [word.values[SPEED] for word in heard if isinstance(word, Told) and word.values]
    assert values == ["2", "3", "4"]
    assert "'Linear/POSITION' names x1, z1" in caplog.records[0].reason


async def test_what_fell_out_of_the_buffer_is_made_up_by_what_is_now(
    listening_to: Listening,
) -> None:
    agent = Agent(keeps=3)
    agent.observe("c1", 1)
    async with listening_to(agent) as listening:
        await until(listening, tells(SPEED, "1"))
        for speed in range(2, 20):
            agent.observe("c1", speed)
        await until(listening, tells(SPEED, "19"))
        agent.observe("c1", 20)
        await until(listening, tells(SPEED, "20"))
    assert sum(target.endswith("/current") for target in agent.asked) == 2


@pytest.mark.parametrize("speeds", [["2"], ["5", "4", "3", "2"]])
async def test_an_agent_that_restarted_is_asked_anew_and_what_it_lacks_is_unknown(
    speeds: list[str], listening_to: Listening
) -> None:
    agent = Agent()
    agent.observe("c3", 7)
    agent.observe("c1", 1)
    async with listening_to(agent) as listening:
        await until(listening, tells("amps", "7"))
        agent.restart()
        for speed in speeds:
            agent.observe("c1", speed)
        heard = await until(listening, tells(SPEED, "2"))
        heard += await until(listening, lambda word: word == Told())
    assert any(tells("amps", None)(word) for word in heard)
    anew = [target.endswith("/current") for target in agent.asked].index(True, 2)
    assert f"from={agent.following}&" in agent.asked[anew + 1]
    assert sum(target.endswith("/probe") for target in agent.asked) == 2


async def test_what_is_unavailable_is_no_value(listening_to: Listening) -> None:
    agent = Agent()
    agent.observe("c1", 1)
    async with listening_to(agent) as listening:
        await until(listening, tells(SPEED, "1"))
        agent.observe("c1", "UNAVAILABLE")
        await until(listening, tells(SPEED, None))


async def test_conditions_are_told_as_they_come_grow_worse_and_end(listening_to: Listening) -> None:
    agent = Agent()
    agent.condition("Normal")
    async with listening_to(agent) as listening:
        await until(listening, lambda word: isinstance(word, Told))
        agent.condition("Warning", "warm", nativeCode="T1", qualifier="HIGH", nativeSeverity="2")
        (warned,) = (await until(listening, happens("T1")))[-1:]
        agent.condition("Fault", "hot", nativeCode="T1", qualifier="HIGH")
        agent.condition("Fault", "fan", nativeCode="F7")
        await until(listening, happens("F7"))
        agent.condition("Normal", nativeCode="T1")
        cleared = await until(listening, happens("T1_cleared"))
        agent.condition("Fault", "fan", nativeCode="F7")
        agent.condition("Normal")
        rest = await until(listening, happens("F7_cleared"))
    assert isinstance(warned, Happening)
    assert warned.severity == "warning"
    assert warned.details == {
        "data_item": "c4", "type": "TEMPERATURE", "level": "warning", "native_severity": "2",
        "qualifier": "HIGH", "text": "warm",
    }  # fmt: skip
    told = [w.code for w in (*cleared, *rest) if isinstance(w, Happening)]
    assert told == ["T1_cleared", "F7_cleared"]


async def test_a_condition_that_ended_while_nobody_listened_is_told_and_none_is_told_twice(
    tmp_path: Path,
) -> None:
    agent = Agent()
    agent.condition("Fault", "hot", nativeCode="T1")
    async with asyncio.timeout(10), running(agent) as port:
        peer = MtConnectPeer(config(tmp_path, port), Site(device="lathe", folder=tmp_path))
        async with aclosing(peer.listen()) as listening:
            await until(listening, happens("T1"))
        async with aclosing(peer.listen()) as listening:
            agent.observe("exec", "READY")
            heard = await until(listening, tells(JOB, "READY"))
            assert not any(isinstance(word, Happening) for word in heard)
        agent.restart()
        agent.condition("Normal")
        async with aclosing(peer.listen()) as listening:
            (ended,) = (await until(listening, happens("T1_cleared")))[-1:]
    assert isinstance(ended, Happening)
    assert ended.severity == "info"


async def test_what_happened_while_nobody_listened_is_told_once_and_dated_as_it_was(
    tmp_path: Path,
) -> None:
    agent = Agent()
    agent.observe("exec", "READY")
    site = Site(device="lathe", folder=tmp_path)
    async with asyncio.timeout(10), running(agent) as port:
        peer = MtConnectPeer(config(tmp_path, port), site)
        async with aclosing(peer.listen()) as listening:
            await until(listening, lambda word: word == Told())
            agent.condition("Fault", "cold", nativeCode="T0")
            agent.condition("Normal")
            await until(listening, happens("T0_cleared"))
        agent.condition("Fault", "hot", nativeCode="T1")
        agent.observe("exec", "ACTIVE")
        agent.condition("Normal")
        agent.observe("exec", "READY")
        agent.clock_s = 60
        async with aclosing(peer.listen()) as listening:
            heard = await until(listening, tells(JOB, "READY"))
        async with aclosing(peer.listen()) as listening:
            again = await until(listening, tells(JOB, "READY"))
    told = [word for word in heard if isinstance(word, Happening)]
    assert [word.code for word in told] == ["state_changed"] * 2 + ["T1", "T1_cleared"]
    assert all(59_000 < site.now_ms() - word.ts_ms < 70_000 for word in told)
    assert not any(isinstance(word, Happening) for word in again)
    assert not any(tells(JOB, "ACTIVE")(word) for word in heard)


async def test_a_change_of_execution_is_an_event(listening_to: Listening) -> None:
    agent = Agent()
    agent.observe("exec", "READY")
    async with listening_to(agent) as listening:
        await until(listening, tells(JOB, "READY"))
        agent.observe("exec", "ACTIVE")
        (changed,) = (await until(listening, happens("state_changed")))[-1:]
    assert isinstance(changed, Happening)
    assert changed.details == {"state": "ACTIVE", "before": "READY"}


@pytest.mark.parametrize(
    "error",
    ['<Error errorCode="NO_DEVICE">none is so named</Error>',
     '<NoDevice errorCode="NO_DEVICE"><ErrorMessage>none is so named</ErrorMessage></NoDevice>'],
)  # fmt: skip
def test_a_refusal_is_read_in_the_form_of_any_version(error: str) -> None:
    document = f"<MTConnectError><Header/><Errors>{error}</Errors></MTConnectError>"
    assert devices(document.encode()) == Refusal(codes=("NO_DEVICE",), text="none is so named")


@pytest.mark.parametrize("noise", NOISE)
async def test_what_is_no_document_is_unavailable(noise: bytes, listening_to: Listening) -> None:
    agent = Agent()
    agent.noise.append(noise)
    async with listening_to(agent) as listening:
        with pytest.raises(Unavailable, match="the agent's answer"):
            await anext(listening)


async def test_diagnostics_tell_the_machine_and_which_conditions_stand(tmp_path: Path) -> None:
    agent = Agent()
    async with asyncio.timeout(10), running(agent) as port:
        peer = MtConnectPeer(config(tmp_path, port), Site(device="lathe", folder=tmp_path))
        async with aclosing(peer.listen()) as listening:
            await anext(listening)
            agent.condition("Fault", "too hot", nativeCode="E7")
            await until(listening, lambda word: isinstance(word, Happening))
            told = await peer.run("diagnostics", {})
        assert (told["machine"], told["manufacturer"], told["serial"]) == ("Lathe", "Acme", "4711")
        assert told["version"] == "1.4"
        assert str(told["conditions"]).startswith("fault ")
    with pytest.raises(Unavailable):
        await peer.run("diagnostics", {})
