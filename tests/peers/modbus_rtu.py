"""pymodbus' own server, at the other end of a serial line."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pymodbus.server import ModbusSerialServer

from edge_agent.site import Site
from edge_agent.sources.modbus.peer import make
from tests.peers.modbus import Registers, config, device
from tests.peers.relay import SerialRelay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pymodbus.server.base import ModbusBaseServer


class RtuStage(Registers):
    def __init__(self, server: ModbusBaseServer, relay: SerialRelay, folder: Path) -> None:
        super().__init__()
        self.server, self.relay = server, relay
        reach = {"serial": str(relay.near), "parity": "N"}
        self.source = make(config(folder, **reach), Site(device="pump", folder=folder))

    async def unplug(self) -> None:
        self.relay.unplug()

    async def plug(self) -> None:
        self.relay.plug()

    async def hush(self) -> None:
        self.relay.hush()

    async def babble(self) -> None:
        self.relay.babble(b"\x07\x03\x08")
        self.relay.babble(os.urandom(64))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[RtuStage]:
    relay = SerialRelay(folder)
    server = ModbusSerialServer(device(), port=str(relay.far))
    await server.serve_forever(background=True)
    try:
        opened = RtuStage(server, relay, folder)
        await opened.fill()
        yield opened
    finally:
        await server.shutdown()
        relay.close()
