"""A source that starts a program and reads the JSON lines it prints.

The lines are those of `edge_agent.sources.lines`. A program that ends or prints nothing for too
long is started again, later each time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from edge_agent import policy
from edge_agent.live.source import Seconds  # noqa: TC001 - msgspec reads the annotations
from edge_agent.source import Frame, Happening
from edge_agent.sources.kinds import SourceKind
from edge_agent.sources.lines import MAX_LINE, DeviceConfig, parse_line
from foremend.errors import InputError
from foremend.values import SOURCE_BACK, SOURCE_LOST, Quality

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.site import Site
    from edge_agent.source import Description, Item

LOG: Final = logging.getLogger(__name__)
GRACE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""


class ProgramConfig(DeviceConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which program, and what the device is."""

    argv: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The program and its arguments; no shell reads them."""
    silence_s: Seconds = 60.0
    """Without a line for so long, it is started again."""


class ProgramSource:
    """Reads what a program prints, for as long as the agent runs."""

    def __init__(self, config: ProgramConfig, site: Site) -> None:
        self._config, self._site = config, site
        self._description = config.description()
        self._closed = asyncio.Event()
        self._away = False
        self._last_ms = -(2**44)

    def describe(self) -> Description:
        """Say what the device is, as its configuration does."""
        return self._description

    async def close(self) -> None:
        """Let `read` end, and the program with it."""
        self._closed.set()

    async def read(self) -> AsyncIterator[Item]:
        """Give readings until closed."""
        failures = 0
        while not self._closed.is_set():
            reason = "it could not be started"
            try:
                process = await self._start()
            except OSError as error:
                reason = f"{self._config.argv[0]}: {error.strerror}"
            else:
                async for item in self._lines_of(process):
                    failures = 0
                    for told in self._heard(item):
                        yield told
                reason = await _ended(process)
            if not self._closed.is_set():
                for told in self._lost(reason):
                    yield told
                failures += 1
                await self._pause(policy.reconnect_after_s(failures, self._site.chance.random()))

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._config.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            # A group of its own, so that what it starts ends with it.
            process_group=0,
        )

    async def _lines_of(self, process: asyncio.subprocess.Process) -> AsyncIterator[Item]:
        number = 0
        while (line := await self._next(process)) is not None:
            number += 1
            try:
                yield parse_line(line, self._description, self._config.argv[0], number)
            except InputError as error:
                LOG.warning("a line was left out", extra={"error": str(error)})

    async def _next(self, process: asyncio.subprocess.Process) -> bytes | None:
        """Give the next line; None at the end, once closed, or after too long a silence."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        reading = asyncio.ensure_future(process.stdout.readuntil(b"\n"))
        closing = asyncio.ensure_future(self._closed.wait())
        await asyncio.wait(
            [reading, closing],
            timeout=self._config.silence_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        closing.cancel()
        if not reading.done():
            reading.cancel()
            return None
        try:
            return reading.result()
        except asyncio.IncompleteReadError:
            # Half a line at the end says nothing.
            return None
        except asyncio.LimitOverrunError as error:
            await process.stdout.readexactly(error.consumed)
            return b""

    def _heard(self, item: Item) -> list[Item]:
        if isinstance(item, Frame):
            self._last_ms = max(self._last_ms, item.ts_ms)
        if not self._away:
            return [item]
        self._away = False
        return [Happening(ts_ms=self._site.now_ms(), code=SOURCE_BACK), item]

    def _lost(self, reason: str) -> list[Item]:
        if self._away:
            return []
        self._away = True
        LOG.warning("the program ended", extra={"reason": reason})
        now_ms = self._site.now_ms()
        width = len(self._description.channels)
        told = Happening(
            ts_ms=now_ms, code=SOURCE_LOST, severity="warning", details={"reason": reason[:256]}
        )
        stale = Frame(
            ts_ms=max(now_ms, self._last_ms + 1),
            values=(None,) * width,
            quality=int(Quality.STALE),
        )
        return [told] if self._last_ms < 0 else [told, stale]

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()


async def _ended(process: asyncio.subprocess.Process) -> str:
    """End the program, if it has not ended by itself, and say how it did."""
    by_itself = process.returncode is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            by_itself = await process.wait() is not None
    for sign in (signal.SIGTERM, signal.SIGKILL):
        _signal_group(process.pid, sign)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await process.wait()
                break
    return f"it ended with status {process.returncode}" if by_itself else "it fell silent"


def _signal_group(group: int, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, sign)


KIND: Final = SourceKind(config=ProgramConfig, make=ProgramSource)
