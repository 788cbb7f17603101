"""A printer with Marlin at a serial port, which nobody else may hold at the same time.

Unless it is commanded, nothing is sent to it but queries: M115, M155, M105, M114, M27 and M123.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta
from serial import SerialException
from serial_asyncio_fast import open_serial_connection

from edge_agent.downlink.kinds import DIAGNOSTICS, OF_PRINTERS, CommandFailed
from edge_agent.live.source import LiveConfig, LiveSource
from edge_agent.selftest.gcode import GcodeBench
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.marlin.talk import Order, Talk
from edge_agent.sources.marlin.words import Lines
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from edge_agent.downlink.decide import Phases
    from edge_agent.live.words import Word
    from edge_agent.site import Site
    from foremend.wire import Details

CHUNK: Final = 4096
BEAT_S: Final = 0.1
"""How long a query may wait that has become due."""
ANSWER_S: Final = 20.0
"""How long a command may take; a printer that heats up answers nothing else."""
_CODES: Final = {"pause": "M25", "resume": "M24", "cancel": "M524"}


class MarlinConfig(LiveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which port, and how fast it is."""

    mapping: str = "marlin"
    port: str
    """`/dev/ttyUSB0`, or better a path in `/dev/serial/by-id`, which stays the same."""
    baud: Annotated[int, Meta(ge=1200, le=4_000_000)] = 115_200


class MarlinPeer:
    """One port, and whatever is at its other end."""

    def __init__(self, config: MarlinConfig, site: Site) -> None:
        self._config, self._site = config, site
        self._talk: Talk | None = None

    async def listen(self) -> AsyncGenerator[Word]:
        """Open the port, and give what the printer says and answers."""
        try:
            reader, writer = await open_serial_connection(
                url=self._config.port, baudrate=self._config.baud, exclusive=True, write_timeout=2
            )
        except (SerialException, ValueError) as error:
            raise Unavailable(str(error)) from error
        talk = self._talk = Talk(report_ms=round(1000 * self._config.every_s))
        try:
            async for word in self._heard(reader, writer, talk):
                yield word
        finally:
            self._talk = None
            talk.lost()
            if not writer.is_closing():  # a port that is gone has closed itself
                writer.transport.abort()

    async def _heard(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: Talk
    ) -> AsyncGenerator[Word]:
        lines = Lines()
        while True:
            line = talk.next_line(self._site.steady_ms())
            if line is not None:
                writer.write(line.encode("ascii") + b"\n")
            try:
                async with asyncio.timeout(BEAT_S):
                    data = await reader.read(CHUNK)
            except TimeoutError:
                continue
            if not data:
                raise Unavailable(f"{self._config.port} was closed")
            for one in lines.feed(data):
                for word in talk.take(one, self._site.steady_ms(), self._site.now_ms()):
                    yield word

    @property
    def kinds(self) -> Mapping[str, Phases]:
        """What it can be told to do, and in which phases at all."""
        return OF_PRINTERS

    async def run(self, kind: str, args: Details) -> Details:
        """Do it once; raises CommandFailed."""
        if args:
            raise CommandFailed(f"{kind} takes no arguments")
        if kind == DIAGNOSTICS:
            answers = [await self._ask(line) for line in ("M115", "M105", "M27")]
            names = ("firmware", "temperatures", "card")
            told = zip(names, answers, strict=True)
            return {name: " | ".join(answer)[:256] for name, answer in told}
        await self._tell((_CODES[kind],))
        if self._talk is not None:
            self._talk.pause() if kind == "pause" else self._talk.unpause()
        return {}

    def bench(self) -> GcodeBench:
        """Give what a self-test tells it."""
        return GcodeBench(self._tell)

    async def _tell(self, lines: tuple[str, ...]) -> None:
        """Send lines, one after the other; raises CommandFailed."""
        for line in lines:
            if any("Unknown command" in answer for answer in await self._ask(line)):
                raise CommandFailed(f"the firmware does not know {line}")

    async def _ask(self, line: str) -> tuple[str, ...]:
        """Send a line and give its answer's.

        Raises:
            CommandFailed: the printer is not there, or does not answer.
        """
        if self._talk is None:
            raise CommandFailed("the printer is not connected")
        answer: asyncio.Future[tuple[str, ...] | None] = asyncio.get_running_loop().create_future()
        self._talk.order(Order(line=line, answered=lambda found: _settle(answer, found)))
        async with asyncio.timeout(ANSWER_S):
            found = await answer
        if found is None:
            raise CommandFailed(f"the printer does not answer {line}")
        return found


def _settle(answer: asyncio.Future[tuple[str, ...] | None], found: tuple[str, ...] | None) -> None:
    if not answer.done():
        answer.set_result(found)


def _make(config: MarlinConfig, site: Site) -> LiveSource:
    return LiveSource(MarlinPeer(config, site), config, site)


KIND: Final = SourceKind(config=MarlinConfig, make=_make)
