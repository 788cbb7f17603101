"""A broker as a printer runs one, our emulator's voice on it, and a relay that can be cut."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiomqtt

from edge_agent.site import Site
from edge_agent.sources.bambu.peer import BambuConfig, make
from edge_agent.tasks import end
from foremend.values import Phase
from simulators.emulators.bambu import Voice, speak
from stack.drill.relay import Mode, Relay
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.server import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from simulators.emulators.bambu import Printer

SERIAL = "01S00A000000001"
NOISE = (
    b"\xff\xfe",
    b"[1, 2]",
    b'{"print": 5}',
    b'{"print": {"nozzle_temper": "hot", "bed_temper": null, "chamber_temper": [1], "hms": 7}}',
    b'{"print": {"nozzle_temper": 1e400}}',
    b'{"print": {"nozzle_temper": {"a": 1}, "print_error": "x", "hms": [{"attr": "?"}]',
    b"[" * 100_000,
)


class BambuStage:
    tolerance = 0.04  # fans are told in fifteenths
    patience_s = 20.0
    phase = Phase.IDLE
    paused = at_work = False

    def __init__(
        self, broker: EmbeddedBroker, relay: Relay, folder: Path, printer: Printer | None
    ) -> None:
        self.relay = relay
        self.login = broker.services
        self.shows = {"hotend_temp": 24.5, "bed_temp": 23.0, "part_fan_cmd": 0.4}
        self.voice = Voice(SERIAL, self if printer is None else printer)
        self.client: aiomqtt.Client | None = None
        config = BambuConfig(
            host=relay.host,
            port=relay.port,
            serial=SERIAL,
            username=self.login.user,
            password=self.login.password,
            tls=False,
            every_s=0.05,
            ask_s=0.3,
            all_every_s=0.2,
            stale_after_s=1.5,
            silence_s=2.0,
        )
        self.source = make(config, Site(device="bambu", folder=folder))

    @property
    def values(self) -> dict[str, float]:
        return self.shows

    def step(self) -> None:
        """Stay as the test wants it."""

    def call_off(self) -> None:
        """Have no job."""

    def obey(self, _wanted: object) -> bool:
        """Take no orders."""
        return False

    async def show(self) -> None:
        self.shows = {
            "hotend_temp": self.shows["hotend_temp"] + 7,
            "bed_temp": self.shows["bed_temp"] + 3,
            "part_fan_cmd": 0.8,
        }

    async def unplug(self) -> None:
        await asyncio.to_thread(self.relay.set, Mode.CUT)

    async def plug(self) -> None:
        await asyncio.to_thread(self.relay.set, Mode.CLEAR)

    async def hush(self) -> None:
        await asyncio.to_thread(self.relay.set, Mode.BLACK_HOLE)

    async def babble(self) -> None:
        assert self.client is not None
        for noise in NOISE:
            await self.client.publish(f"device/{SERIAL}/report", noise)


@asynccontextmanager
async def stage(folder: Path, printer: Printer | None = None) -> AsyncIterator[BambuStage]:
    """Have the voice speak for a printer, the stage itself where none is given."""
    with (
        open_data_dir(folder / "broker") as home,
        serving(EmbeddedBroker(home)) as broker,
        Relay(broker.host, broker.port) as relay,
    ):
        one = BambuStage(broker, relay, folder, printer)
        login = one.login
        async with aiomqtt.Client(
            broker.host, broker.port, username=login.user, password=login.password
        ) as client:
            one.client = client
            speaking = asyncio.create_task(speak(client, one.voice, pause_s=0.05))
            yield one
            await end(speaking)
