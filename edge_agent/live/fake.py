"""A peer that is told what to say: for tests, and to try a mapping without a device."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edge_agent.live.words import Told
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from edge_agent.live.words import Word


class ScriptedPeer:
    """Repeats what it shows, as devices do, until it is unplugged or falls silent.

    >>> peer = ScriptedPeer({"extruder.temperature": 21.5})
    >>> peer.unplug()
    """

    def __init__(self, shown: Mapping[str, object], *, every_s: float = 0.02) -> None:
        self.shown = dict(shown)
        self.silent = False
        self.connections = 0
        self._every_s = every_s
        self._said: list[Word] = []
        self._plugged = asyncio.Event()
        self._plugged.set()

    def say(self, word: Word) -> None:
        """Say something once."""
        self._said.append(word)

    def unplug(self) -> None:
        """Break the connection, and refuse new ones."""
        self._plugged.clear()

    def plug(self) -> None:
        """Let connections in again."""
        self._plugged.set()

    async def listen(self) -> AsyncGenerator[Word]:
        """Say what is shown, again and again."""
        if not self._plugged.is_set():
            raise Unavailable("unplugged")
        self.connections += 1
        while self._plugged.is_set():
            if not self.silent:
                for word in (*self._said, Told(values=self.shown)):
                    yield word
                self._said.clear()
            await asyncio.sleep(self._every_s)
        raise Unavailable("unplugged")
