"""What is particular to Modbus: blocks that are refused, and answers that come too late."""

from __future__ import annotations

import asyncio
import os
import pty
import struct
import tty
from typing import TYPE_CHECKING

import pytest
from pymodbus.framer.rtu import FramerRTU

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.live.words import Told
from edge_agent.site import Site
from edge_agent.source import Frame
from edge_agent.sources.kinds import make_source
from edge_agent.sources.modbus.peer import ModbusConfig, ModbusPeer
from foremend.errors import ConfigurationError, Unavailable
from foremend.values import Phase
from tests.peers.modbus import stage

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_block_that_is_refused_leaves_its_own_channels_unknown_alone(
    tmp_path: Path,
) -> None:
    async with asyncio.timeout(10), stage(tmp_path) as peer:
        names = [channel.name for channel in peer.source.describe().channels]
        reading = peer.source.read()
        async for item in reading:
            if isinstance(item, Frame) and item.values[0] is not None:
                break
        await reading.aclose()
        held = dict(zip(names, item.values, strict=True))
        assert held["speed"] == pytest.approx(peer.shows["speed"])
        assert held["flow_rate"] is None
        assert item.phase == Phase.RUNNING


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"host": "a", "serial": "b"}, "either `host` or `serial`"),
        ({}, "either `host` or `serial`"),
        ({"host": "a", "channels": [{"name": "x", "path": "y", "unit": "1"}]}, "'y' is no TABLE"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_at_the_start(
    told: dict, says: str, tmp_path: Path
) -> None:
    settings = {"kind": "modbus", "mapping": "modbus_machine", **told}
    with pytest.raises(ConfigurationError, match=says):
        make_source(settings, Site(device="pump", folder=tmp_path))


def answer(request: bytes, words: list[int]) -> bytes:
    body = struct.pack(f">BBB{len(words)}H", request[0], request[1], 2 * len(words), *words)
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


class LateUnit:
    """Answers the first request only once it has been given up, and the others soon enough."""

    def __init__(self, *, late_s: float, soon_s: float) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self._after_s = [soon_s, late_s]
        asyncio.get_running_loop().add_reader(self.master, self._hear)

    def _hear(self) -> None:
        request = os.read(self.master, 256)
        after_s = self._after_s.pop() if len(self._after_s) > 1 else self._after_s[0]
        (address,) = struct.unpack(">H", request[2:4])
        said = answer(request, [address])
        asyncio.get_running_loop().call_later(after_s, os.write, self.master, said)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)


async def test_a_late_answer_on_a_serial_line_is_not_taken_for_the_next() -> None:
    unit = LateUnit(late_s=0.3, soon_s=0.15)
    config = ModbusConfig(
        mapping="-", serial=unit.port, parity="N", poll_s=0.01, timeout_s=0.2, unit=7
    )
    peer = ModbusPeer(config, ["holding:10", "holding:20"])
    listening = peer.listen()
    told: list[Told] = []
    async with asyncio.timeout(10):
        async for word in listening:
            assert isinstance(word, Told)
            told.append(word)
            if len(told) == 4:
                break
    await listening.aclose()
    unit.close()
    values = [value for word in told for value in word.values.items()]
    assert set(values) == {("holding:10", None), ("holding:20", 20), ("holding:10", 10)}


async def test_a_unit_that_answers_nothing_is_unavailable(tmp_path: Path) -> None:
    async with stage(tmp_path) as peer:
        peer.relay.hush()
        listening = peer.source._peer.listen()
        with pytest.raises(Unavailable, match="unit 7 does not answer"):
            await anext(listening)


async def test_diagnostics_tell_who_the_unit_is_and_what_it_refuses(tmp_path: Path) -> None:
    async with asyncio.timeout(10), stage(tmp_path) as peer:
        with pytest.raises(CommandFailed, match="no connection"):
            await peer.source.run("diagnostics", {})
        reading = peer.source.read()
        async for item in reading:
            if isinstance(item, Frame) and item.values[0] is not None:
                break
        told = await peer.source.run("diagnostics", {})
        await reading.aclose()
    assert (told["vendor"], told["product_code"], told["revision"]) == ("Pumps", "P7", "2.1")
    assert told["refused"] == "holding @899 x1"
