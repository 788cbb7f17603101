"""What the contract of live sources asks of the other end, whichever protocol it speaks.

Each module beside this one that offers a `stage` is found by the suite: an async context manager
that takes a folder and gives a `Stage`. It raises `Absent` where its peer is not installed.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.source import Source

HERE: Final = Path(__file__).parent


class Absent(Exception):
    """The peer cannot run here; the message says why."""


class Stage(Protocol):
    """A real peer, whose truth the test knows."""

    source: Source
    """Before the peer, with short periods: frames every 0.1 s at most, silence after 2 s at most
    beyond what the protocol itself needs."""
    shows: Mapping[str, float]
    """What some channels hold, at least two, with what may be wrong by the tolerance."""
    tolerance: float
    patience_s: float
    """How long its slowest step may take."""

    async def show(self) -> None:
        """Change what the channels of `shows` hold, and `shows` with it."""

    async def unplug(self) -> None:
        """Break the connection, and let none in."""

    async def plug(self) -> None:
        """Let connections in again."""

    async def hush(self) -> None:
        """Stay connected and say nothing more, until plugged in anew."""

    async def babble(self) -> None:
        """Say, on the connection, what makes no sense: half a message, other types, noise."""


def stages() -> dict[str, Any]:
    """Give the stage of each kind of source, by its name."""
    names = sorted(file.stem for file in HERE.glob("*.py"))
    modules = {name: importlib.import_module(f"tests.peers.{name}") for name in names}
    return {name: module.stage for name, module in modules.items() if hasattr(module, "stage")}
