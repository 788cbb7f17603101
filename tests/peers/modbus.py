"""pymodbus' own server, over TCP."""

from __future__ import annotations

import os
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent.site import Site
from edge_agent.sources.modbus.peer import ModbusConfig, make
from tests.peers.relay import Relayed, tcp_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pymodbus.server.base import ModbusBaseServer

    from tests.peers.relay import TcpRelay

HOLDING, UNIT = 3, 7
MAPPING: Final = """
family = "rotating_machine"
model = "Pump on a bus"
source = "made up for tests"
[[channels]]
name = "speed"
path = "holding:40001:float32:CDAB"
unit = "/min"
low = 0.0
high = 4000.0
[[channels]]
name = "motor_current"
path = "holding:40003"
unit = "A"
scale = 0.01
[[channels]]
name = "flow_rate"
path = "holding:40900"
unit = "m3/h"
[job]
path = "holding:40004"
words = { 0 = "stopped", 1 = "running" }
"""
IDENTITY: Final = {"VendorName": "Pumps", "ProductCode": "P7", "MajorMinorRevision": "2.1"}
SHOWN: Final = {"speed": 1478.5, "motor_current": 78.12}


def device() -> SimDevice:
    """A map of four registers, and none beyond: `flow_rate` is refused."""
    return SimDevice(UNIT, simdata=[SimData(0, values=[0, 0, 0, 1], datatype=DataType.REGISTERS)])


def config(folder: Path, **reach: object) -> ModbusConfig:
    mapping = folder / "modbus.toml"
    mapping.write_text(MAPPING)
    periods = {"every_s": 0.05, "poll_s": 0.05, "timeout_s": 0.2}
    bounds = {"stale_after_s": 0.5, "silence_s": 1.0, "unit": UNIT}
    return ModbusConfig(mapping=str(mapping), **periods, **bounds, **reach)


class Registers:
    """What the server's registers hold, and how they come to hold something else."""

    tolerance = 0.006
    patience_s = 8.0

    def __init__(self) -> None:
        self.server: ModbusBaseServer
        self.shows = dict(SHOWN)

    async def fill(self) -> None:
        raw = struct.pack(">f", self.shows["speed"])
        high, low = struct.unpack(">HH", raw)
        words = [low, high, round(self.shows["motor_current"] * 100)]
        await self.server.async_setValues(UNIT, 16, 0, words)

    async def show(self) -> None:
        self.shows = {name: value + 3 for name, value in self.shows.items()}
        await self.fill()


class ModbusStage(Relayed, Registers):
    def __init__(self, server: ModbusBaseServer, relay: TcpRelay, folder: Path) -> None:
        super().__init__()
        self.server, self.relay = server, relay
        site = Site(device="pump", folder=folder)
        self.source = make(config(folder, host="127.0.0.1", port=relay.port), site)

    async def babble(self) -> None:
        await self.relay.babble(b"\x00\x01\x00\x00\x00\x06\x07\x03")
        await self.relay.babble(os.urandom(64))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[ModbusStage]:
    identity = ModbusDeviceIdentification(info_name=IDENTITY)
    server = ModbusTcpServer(device(), address=("127.0.0.1", 0), identity=identity)
    await server.serve_forever(background=True)
    try:
        port = server.transport.sockets[0].getsockname()[1]
        async with tcp_relay(port) as relay:
            opened = ModbusStage(server, relay, folder)
            await opened.fill()
            yield opened
    finally:
        await server.shutdown()
