"""Faults, requests and buses of J1939, against can-j1939's own control unit."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import can
import j1939
import pytest

from edge_agent.live.words import Told
from edge_agent.site import Site
from edge_agent.source import Happening
from edge_agent.sources.j1939.identity import COMPONENT, SOFTWARE
from edge_agent.sources.j1939.peer import J1939Config, J1939Peer
from foremend.errors import Unavailable
from tests.peers.j1939 import DM1, DM2, ENGINE, HOURS, MAPPING, Adapter, Engine, config
from tests.peers.relay import SerialRelay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.live.words import Word

CODES = [(100, 1), (110, 0), (168, 4), (1762, 18)]


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[tuple[Engine, SerialRelay]]:
    relay = SerialRelay(folder)
    adapter = Adapter(relay.far)
    running = Engine(adapter)
    try:
        async with asyncio.timeout(15):
            yield running, relay
    finally:
        running.stop()
        adapter.close()
        relay.close()


def lit(*codes: tuple[int, int]) -> list[int]:
    told = [j1939.DTC(spn=s, fmi=f, oc=2).dtc.to_bytes(4, "little") for s, f in codes]
    return [0x04, 0xFF, *b"".join(told or [bytes(4)])]


async def happenings(listening: AsyncIterator[Word], count: int) -> list[Happening]:
    found: list[Happening] = []
    async for word in listening:
        if isinstance(word, Happening):
            found.append(word)
            if len(found) == count:
                return found
    raise AssertionError("it ended")


async def test_faults_of_several_packets_are_told_as_they_come_and_end(tmp_path: Path) -> None:
    async with engine(tmp_path) as (running, relay):
        peer = J1939Peer(config(tmp_path, relay.near), Site(device="e", folder=tmp_path))
        running.run(0.03)
        async with aclosing(peer.listen()) as listening:
            await anext(listening)
            running.say(DM1, lit(*CODES))
            came = await happenings(listening, 4)
            running.say(DM1, [*lit((110, 0)), 0xFF, 0xFF])
            ended = await happenings(listening, 3)
    assert [h.code for h in came] == [f"spn{s}_fmi{f}" for s, f in CODES]
    assert came[0].details == {
        "spn": 100, "fmi": 1, "oc": 2, "lamp": "amber_warning", "source": ENGINE,
    }  # fmt: skip
    assert [h.code for h in ended] == [f"spn{s}_fmi{f}_cleared" for s, f in CODES if s != 110]


async def test_a_fault_that_is_still_there_after_a_reconnect_is_not_told_again(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path) as (running, relay):
        peer = J1939Peer(config(tmp_path, relay.near), Site(device="e", folder=tmp_path))
        running.run(0.03)
        for codes, expected in (([(100, 1)], "spn100_fmi1"), ([(100, 1), (110, 0)], "spn110_fmi0")):
            async with aclosing(peer.listen()) as listening:
                await anext(listening)
                running.say(DM1, [*lit(*codes), 0xFF, 0xFF])
                (told,) = await happenings(listening, 1)
            assert told.code == expected


async def test_what_is_sent_on_request_alone_is_asked_for(tmp_path: Path) -> None:
    async with engine(tmp_path) as (running, relay):

        def answer(_source: int, _destination: int, pgn: int) -> None:
            if pgn == HOURS:
                running.say(HOURS, [0x40, 0x0D, 0x03, 0x00, 0xFF, 0xFF, 0xFF, 0xFF])
            if pgn == DM2:
                running.say(DM2, [*lit((96, 18)), 0xFF, 0xFF])

        running.application.subscribe_request(answer)
        settings = config(tmp_path, relay.near, ask_every_s=0.3)
        peer = J1939Peer(settings, Site(device="e", folder=tmp_path))
        async with aclosing(peer.listen()) as listening:
            (stored,) = await happenings(listening, 1)
            told = await anext(listening)
    assert stored.code == "spn96_fmi18_stored"
    assert told == Told(values={"spn:247": pytest.approx(10_000.0)})
    claim, *asked = running.adapter.heard
    assert claim[0] == 0x18EEFFF9
    assert [payload.hex() for _, payload in asked[:2]] == ["cbfe00", "e5fe00"]


async def test_who_does_not_ask_sends_nothing_on_the_bus(tmp_path: Path) -> None:
    async with engine(tmp_path) as (running, relay):
        peer = J1939Peer(config(tmp_path, relay.near), Site(device="e", folder=tmp_path))
        running.run(0.03)
        async with aclosing(peer.listen()) as listening:
            for _ in range(10):
                await anext(listening)
        assert running.adapter.heard == []


def virtual(folder: Path) -> J1939Config:
    mapping = folder / "j1939.toml"
    mapping.write_text(MAPPING)
    return J1939Config(mapping=str(mapping), interface="virtual", channel=uuid4().hex)


async def test_a_bus_that_only_a_thread_can_read_is_read_too(tmp_path: Path) -> None:
    settings = virtual(tmp_path)
    peer = J1939Peer(settings, Site(device="e", folder=tmp_path))
    payload = bytes([0xFF, 0xFF, 0xFF, 0xE0, 0x38, 0xFF, 0xFF, 0xFF])
    with can.Bus(interface="virtual", channel=settings.channel) as other:
        async with asyncio.timeout(10), aclosing(peer.listen()) as listening:
            hearing = asyncio.ensure_future(anext(listening))
            frame = can.Message(arbitration_id=0x0CF00411, data=payload)
            while not hearing.done():
                other.send(frame)
                await asyncio.sleep(0.01)
            word = await hearing
    assert word == Told(values={"spn:190@17": 1820.0})


async def test_another_sender_than_the_one_that_is_meant_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path) as (running, relay):
        peer = J1939Peer(config(tmp_path, relay.near), Site(device="e", folder=tmp_path))
        async with aclosing(peer.listen()) as listening:
            hearing = asyncio.ensure_future(anext(listening))
            while not hearing.done():
                running.adapter.say(0x0CF00403, True, bytes([0xFF, 0xFF, 0xFF, 0, 1, 0, 0, 0]))
                running.adapter.say(0x18FEEE03, True, bytes([124] + [0xFF] * 7))
                await asyncio.sleep(0.01)
            word = await hearing
    assert word == Told(values={"spn:110": 84.0})


async def test_a_bus_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    settings = config(tmp_path, tmp_path / "nothing")
    listening = J1939Peer(settings, Site(device="e", folder=tmp_path)).listen()
    with pytest.raises((Unavailable, OSError)):
        await anext(listening)


async def test_diagnostics_tell_faults_and_ask_who_is_on_the_bus(tmp_path: Path) -> None:
    async with engine(tmp_path) as (running, relay):

        def answer(_source: int, _destination: int, pgn: int) -> None:
            if pgn == COMPONENT:
                running.say(COMPONENT, list(b"ACME*D8-300*4711**"))
            if pgn == SOFTWARE:
                running.say(SOFTWARE, [2, *b"BOOT 1.0*APP 7.4.2*"])

        running.application.subscribe_request(answer)
        settings = config(tmp_path, relay.near, ask_every_s=5.0)
        peer = J1939Peer(settings, Site(device="e", folder=tmp_path))
        running.run(0.03)
        async with aclosing(peer.listen()) as listening:
            await anext(listening)
            running.say(DM1, lit(*CODES))
            await happenings(listening, 4)
            asked = asyncio.create_task(peer.run("diagnostics", {}))
            while not asked.done():
                await anext(listening)
    told = asked.result()
    assert told[f"component@{ENGINE}"] == "ACME / D8-300 / 4711"
    assert told[f"software@{ENGINE}"] == "BOOT 1.0 / APP 7.4.2"
    assert told["senders"] == str(ENGINE)
    codes = [code.split()[0] for code in str(told[f"active@{ENGINE}"]).split(", ")]
    assert codes == [f"spn{s}_fmi{f}" for s, f in CODES]


async def test_diagnostics_of_a_bus_on_which_nothing_may_be_said_tell_what_was_heard(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path) as (running, relay):
        peer = J1939Peer(config(tmp_path, relay.near), Site(device="e", folder=tmp_path))
        running.run(0.03)
        async with aclosing(peer.listen()) as listening:
            await anext(listening)
            assert await peer.run("diagnostics", {}) == {"senders": str(ENGINE)}
        assert running.adapter.heard == []
