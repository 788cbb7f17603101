"""A source that reads JSON lines from a pipe: standard input, or a named pipe.

A frame is `{"ts_ms": 0, "values": {"hotend": 215.0}, "phase": 3}`; a channel that is not named was
not read. Something that happened is `{"ts_ms": 0, "code": "E1", "component": "nozzle"}`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from edge_agent import units
from edge_agent.source import Description, Frame, Happening
from edge_agent.sources.kinds import SourceKind
from foremend import wire
from foremend.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.source import Item

LOG: Final = logging.getLogger(__name__)
MAX_LINE: Final = 64 * 1024
"""Bytes."""


class DeviceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a device is, where nothing but its configuration says so."""

    family: wire.Id
    model: wire.Text
    firmware: wire.Text = ""
    channels: Annotated[tuple[wire.Channel, ...], Meta(min_length=1, max_length=wire.MAX_CHANNELS)]
    components: tuple[wire.Component, ...] = ()

    def __post_init__(self) -> None:
        for channel in self.channels:
            units.check(channel.name, channel.unit)

    def description(self, *, patient: bool = False) -> Description:
        """Give it as a source does."""
        return Description(
            channels=self.channels,
            components=self.components,
            family=self.family,
            model=self.model,
            firmware=self.firmware,
            patient=patient,
        )


class LinesConfig(DeviceConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the lines come from, and what the device is."""

    path: str = "-"
    """A named pipe; `-` is standard input."""


class _FrameLine(Struct, forbid_unknown_fields=True):
    ts_ms: wire.Instant
    values: dict[str, float | None]
    phase: Annotated[int, Meta(ge=0, le=32767)] = 0
    quality: Annotated[int, Meta(ge=0, le=32767)] = 0


class _EventLine(Struct, forbid_unknown_fields=True):
    ts_ms: wire.Instant
    code: wire.Text
    severity: Literal["info", "warning", "error", "critical"] = "info"
    component: wire.Id | None = None
    details: wire.Details = {}


class LinesSource:
    """Reads readings that another program writes."""

    def __init__(self, config: LinesConfig) -> None:
        self._path = config.path
        self._closed = asyncio.Event()
        self._description = config.description()

    def describe(self) -> Description:
        """Say what the device is, as its configuration does."""
        return self._description

    async def read(self) -> AsyncIterator[Item]:
        """Give readings until the pipe's writers have closed it; a bad line is logged and left."""
        reader = asyncio.StreamReader(limit=MAX_LINE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), _open_pipe(self._path)
        )
        number = 0
        try:
            while (line := await self._next(reader)) is not None:
                number += 1
                try:
                    item = parse_line(line, self._description, self._path, number)
                except InputError as error:
                    LOG.warning("a line was left out", extra={"error": str(error)})
                    continue
                yield item
        finally:
            transport.close()

    async def close(self) -> None:
        """Let `read` end."""
        self._closed.set()

    async def _next(self, reader: asyncio.StreamReader) -> bytes | None:
        """Give the next line, empty where it was too long; None at the end or once closed."""
        reading = asyncio.ensure_future(_line(reader))
        closing = asyncio.ensure_future(self._closed.wait())
        await asyncio.wait([reading, closing], return_when=asyncio.FIRST_COMPLETED)
        closing.cancel()
        if not reading.done():
            reading.cancel()
            return None
        return reading.result()


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial or None
    except asyncio.LimitOverrunError as error:
        await reader.readexactly(error.consumed)
        return b""


def parse_line(line: bytes, description: Description, file: str, number: int) -> Item:
    """Read one line.

    Raises:
        InputError: it is no frame and no event, or names a channel that the device has not.
    """
    try:
        if b'"code"' in line:
            return _happening(msgspec.json.decode(line, type=_EventLine))
        return _frame(msgspec.json.decode(line, type=_FrameLine), description)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(file, number, None, str(error)) from error
    except KeyError as error:
        raise InputError(file, number, str(error), "the device has no such channel") from error


def _frame(line: _FrameLine, description: Description) -> Frame:
    values: dict[str, float | None] = {channel.name: None for channel in description.channels}
    for name, value in line.values.items():
        if name not in values:
            raise KeyError(name)
        values[name] = value
    return Frame(
        ts_ms=line.ts_ms, values=tuple(values.values()), phase=line.phase, quality=line.quality
    )


def _happening(line: _EventLine) -> Happening:
    return Happening(
        ts_ms=line.ts_ms,
        code=line.code,
        severity=line.severity,
        component=line.component,
        details=line.details,
    )


def _open_pipe(path: str) -> object:
    if path == "-":
        return sys.stdin.buffer
    if not Path(path).is_fifo():
        raise ConfigurationError(f"source.path: {path} is not a named pipe; make one with mkfifo")
    # Opened for both, so that it does not end when one writer leaves and another comes later.
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0)


KIND: Final = SourceKind(config=LinesConfig, make=lambda config, _site: LinesSource(config))
