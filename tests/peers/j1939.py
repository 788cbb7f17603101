"""can-j1939's own control unit, on a bus that a serial CAN adapter (slcan) leads to."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import j1939

from edge_agent.site import Site
from edge_agent.sources.j1939.peer import J1939Config, make
from tests.peers.relay import SerialRelay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ENGINE: Final = 0x11
EEC1, ET1, VEP1, DM1, DM2, HOURS = 61444, 65262, 65271, 65226, 65227, 65253
MAPPING: Final = """
family = "hydraulic_excavator"
model = "Excavator"
source = "made up for tests"
[[channels]]
name = "engine_speed"
path = "spn:190@17"
unit = "/min"
[[channels]]
name = "coolant_temp"
path = "spn:110"
unit = "Cel"
[[channels]]
name = "battery_voltage"
path = "spn:168"
unit = "V"
[[channels]]
name = "engine_hours"
path = "spn:247"
unit = "h"
kind = "counter"
"""


class Adapter:
    """What LAWICEL's protocol makes of a CAN bus: one line a frame, at the far end of a cable."""

    def __init__(self, port: Path) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.unit: j1939.ElectronicControlUnit | None = None
        self._port = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._port)
        self._rest = b""
        self._writing = threading.Lock()
        asyncio.get_running_loop().add_reader(self._port, self._hear)

    def say(self, can_id: int, extended_id: bool, data: bytes, fd_format: bool = False) -> None:
        """Put a frame on the bus; the control unit calls it from its own thread."""
        frame = f"T{can_id:08X}{len(data)}{bytes(data).hex().upper()}\r"
        with self._writing:
            os.write(self._port, frame.encode())

    def _hear(self) -> None:
        *lines, self._rest = (self._rest + os.read(self._port, 4096)).split(b"\r")
        for line in lines:
            if line.startswith(b"T"):
                frame = int(line[1:9], 16), bytes.fromhex(line[10:].decode())
                self.heard.append(frame)
                if self.unit is not None:
                    self.unit.notify(frame[0], bytearray(frame[1]), 0.0)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._port)
        os.close(self._port)


class Engine:
    """A control unit that sends what an engine's does, and its faults."""

    def __init__(self, adapter: Adapter) -> None:
        self.shows = {"engine_speed": 1820.0, "coolant_temp": 84.0}
        self.adapter = adapter
        self.unit = j1939.ElectronicControlUnit(send_message=adapter.say)
        adapter.unit = self.unit
        name = j1939.Name(function=0, manufacturer_code=666, identity_number=1)
        self.application = j1939.ControllerApplication(name, ENGINE, bypass_address_claim=True)
        self.unit.add_ca(controller_application=self.application)

    def run(self, every_s: float) -> None:
        """Send at a steady pace from now on."""
        self.application.add_timer(every_s, self._send)

    def say(self, pgn: int, payload: list[int]) -> None:
        self.application.send_pgn(0, pgn >> 8 & 0xFF, pgn & 0xFF, 6, payload)

    def _send(self, _cookie: object) -> bool:
        speed = round(self.shows["engine_speed"] / 0.125)
        self.say(EEC1, [0xFF, 0xFF, 0xFF, speed & 0xFF, speed >> 8, 0xFF, 0xFF, 0xFF])
        self.say(ET1, [round(self.shows["coolant_temp"]) + 40, *[0xFF] * 7])
        self.say(VEP1, [0xFF] * 8)
        return True

    def stop(self) -> None:
        self.unit.stop()


def config(folder: Path, port: Path, **more: object) -> J1939Config:
    mapping = folder / "j1939.toml"
    mapping.write_text(MAPPING)
    return J1939Config(
        mapping=str(mapping),
        interface="slcan",
        channel=str(port),
        options={"sleep_after_open": 0.0},
        every_s=0.05,
        stale_after_s=0.5,
        silence_s=0.6,
        **more,
    )


class J1939Stage:
    tolerance = 1e-9
    patience_s = 8.0

    def __init__(self, relay: SerialRelay, engine: Engine, folder: Path) -> None:
        self.relay, self.engine = relay, engine
        site = Site(device="excavator", folder=folder)
        self.source = make(config(folder, relay.near), site)

    @property
    def shows(self) -> dict[str, float]:
        return self.engine.shows

    async def show(self) -> None:
        self.engine.shows = {name: value + 3 for name, value in self.shows.items()}

    async def unplug(self) -> None:
        self.relay.unplug()

    async def plug(self) -> None:
        self.relay.plug()

    async def hush(self) -> None:
        self.relay.hush()

    async def babble(self) -> None:
        for noise in ([0xFE] * 8, [0xFF] * 8, [0xFB] * 8, [0x00, 0x01]):
            self.engine.say(EEC1, noise)
        self.engine.say(ET1, [0xFE, 0xFF])
        self.relay.babble(b"T18FEEE110")
        self.relay.babble(b"TZZZZ\r\a\r\xff\xfe\rT\r" + b"t1230\r")


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[J1939Stage]:
    relay = SerialRelay(folder)
    adapter = Adapter(relay.far)
    engine = Engine(adapter)
    engine.run(0.03)
    try:
        yield J1939Stage(relay, engine, folder)
    finally:
        engine.stop()
        adapter.close()
        relay.close()
