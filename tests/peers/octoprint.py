"""A real OctoPrint with its virtual printer: one a process, and a relay before it for each test."""

from __future__ import annotations

import atexit
from contextlib import asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import msgspec

from edge_agent.site import Site
from edge_agent.sources.octoprint.peer import KIND, OctoPrintConfig
from stack.drill.ground import NotHere
from stack.drill.octoprint import API_KEY, OctoPrint, find
from stack.drill.relay import Mode, Relay
from stack.embedded.ports import LOOPBACK
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.live.source import LiveSource

POWER: Final = 64 / 127
"""The virtual printer tells the same power, come what may."""
TARGETS: Final = count(40)
TEMPS: Final = {"tool0": {"actual": "hot", "target": []}, "bed": 7, "chamber": None}
NOISE: Final = (
    b"{",
    b"[]",
    b"null",
    b'{"current": 5, "history": "x", "event": [1]}',
    b'{"event": {"type": {}, "payload": 3}}',
    b'{"current": {"state": {"flags": 9}, "temps": 3, "logs": 4, "progress": "far"}}',
    b'{"current": {"temps": [%s], "serverTime": "late"}}' % msgspec.json.encode(TEMPS),
    b'{"current": {"logs": ["Recv: T:21.0 /0.0 B:9", 7, "Recv: ok T:999"]}}',
    b"\xff\xfe\x00",
)


@cache
def server() -> OctoPrint:
    """Give the one server, started by whoever asks first.

    Raises:
        Absent: OctoPrint is not installed.
    """
    try:
        program = find()
    except NotHere as reason:
        raise Absent(str(reason)) from reason
    folder = TemporaryDirectory(prefix="foremend-octoprint-")
    atexit.register(folder.cleanup)
    running = OctoPrint(program, Path(folder.name)).__enter__()
    atexit.register(running.__exit__)
    return running


def text_frame(payload: bytes) -> bytes:
    """A whole message of a server's, as RFC 6455 frames it."""
    assert len(payload) < 2**16
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    return b"\x81" + length + payload


class OctoPrintStage:
    tolerance = 0.01
    patience_s = 20.0

    def __init__(self, octoprint: OctoPrint, relay: Relay, folder: Path) -> None:
        self.octoprint, self.relay = octoprint, relay
        self.shows = {"hotend_power": POWER, "hotend_target": 0.0, "bed_target": 0.0}
        config = OctoPrintConfig(
            url=f"http://{LOOPBACK}:{relay.port}",
            api_key=API_KEY,
            every_s=0.1,
            stale_after_s=4,
            silence_s=2.5,
        )
        self.source: LiveSource = KIND.make(config, Site(device="octoprint", folder=folder))

    async def show(self) -> None:
        target = float(next(TARGETS))
        self.shows |= {"hotend_target": target, "bed_target": target}
        self.octoprint.gcode(f"M104 S{target:g}", f"M140 S{target:g}")

    async def unplug(self) -> None:
        self.relay.set(Mode.CUT)

    async def plug(self) -> None:
        self.relay.set(Mode.CLEAR)

    async def hush(self) -> None:
        self.relay.set(Mode.BLACK_HOLE)

    async def babble(self) -> None:
        for noise in NOISE:
            self.relay.say(text_frame(noise))
        # Half a message, and what follows is none either.
        self.relay.say(text_frame(b'{"current": {"temps": [')[:-9] + bytes(range(256)))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[OctoPrintStage]:
    octoprint = server()
    with Relay(LOOPBACK, octoprint.port, plain=True) as relay:
        octoprint.connect()
        octoprint.gcode("M104 S0", "M140 S0")
        yield OctoPrintStage(octoprint, relay, folder)
