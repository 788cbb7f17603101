"""The peer that ships as a fake."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from edge_agent.live.fake import ScriptedPeer
from edge_agent.live.source import LiveConfig, LiveSource
from edge_agent.live.words import Told
from edge_agent.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAPPING: Final = """
family = "fdm_printer"
model = "Scripted"
source = "made up for tests"
[[channels]]
name = "hotend_temp"
path = "tool.actual"
unit = "Cel"
low = -20.0
high = 350.0
[[channels]]
name = "hotend_target"
path = "tool.target"
unit = "Cel"
[job]
path = "job"
words = { printing = "running", ready = "idle" }
"""


class ScriptedStage:
    tolerance = 0.0
    patience_s = 5.0

    def __init__(self, folder: Path) -> None:
        mapping = folder / "scripted.toml"
        mapping.write_text(MAPPING)
        self.peer = ScriptedPeer({"job": "ready"})
        self.shows = {"hotend_temp": 21.5, "hotend_target": 0.0}
        self._tell()
        config = LiveConfig(mapping=str(mapping), every_s=0.05, stale_after_s=0.5, silence_s=0.4)
        self.source = LiveSource(self.peer, config, Site(device="scripted", folder=folder))

    def _tell(self) -> None:
        temp, target = self.shows["hotend_temp"], self.shows["hotend_target"]
        self.peer.shown |= {"tool.actual": temp, "tool.target": target}

    async def show(self) -> None:
        self.shows = {name: value + 10 for name, value in self.shows.items()}
        self._tell()

    async def unplug(self) -> None:
        self.peer.unplug()

    async def plug(self) -> None:
        self.peer.silent = False
        self.peer.plug()

    async def hush(self) -> None:
        self.peer.silent = True

    async def babble(self) -> None:
        for noise in ("hot", None, [], float("nan"), {"a": 1}, "1e999"):
            self.peer.say(Told(values={"tool.actual": noise, "no.such": 5, "job": noise}))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[ScriptedStage]:
    yield ScriptedStage(folder)
