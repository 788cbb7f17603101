"""Stands between a source and its peer, and breaks the wire as wires break."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class TcpRelay:
    """Passes bytes on to another port of this machine, until it is unplugged or hushed."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.silent = False
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def plug(self) -> None:
        """Pass bytes on, on the same port as before."""
        self.silent = False
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Close the port and every connection through it."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def hush(self) -> None:
        """Swallow whatever the peer says from now on."""
        self.silent = True

    async def babble(self, noise: bytes) -> None:
        """Say something that the peer never said, on every connection."""
        for caller in self._callers:
            caller.write(noise)

    async def _accept(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        self.accepted += 1
        pump = asyncio.current_task()
        assert pump is not None
        self._pumps.add(pump)
        self._callers.add(caller)
        try:
            await self._join(reader, caller)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._callers.discard(caller)
            self._pumps.discard(pump)
            caller.close()

    async def _join(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        answers, called = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            async with asyncio.TaskGroup() as both:
                asking = both.create_task(self._pump(reader, called))
                answering = both.create_task(self._pump(answers, caller, hushed=True))
                await asyncio.wait([asking, answering], return_when=asyncio.FIRST_COMPLETED)
                asking.cancel()
                answering.cancel()
        except* OSError:
            pass
        finally:
            called.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, hushed: bool = False
    ) -> None:
        while heard := await reader.read(65536):
            if not (hushed and self.silent):
                writer.write(heard)
                await writer.drain()


@asynccontextmanager
async def tcp_relay(upstream: int) -> AsyncIterator[TcpRelay]:
    """Give a relay that is plugged in."""
    relay = TcpRelay(upstream)
    await relay.plug()
    try:
        yield relay
    finally:
        await relay.unplug()


class Relayed:
    """The part of a stage that breaks a TCP connection."""

    relay: TcpRelay

    async def unplug(self) -> None:
        await self.relay.unplug()

    async def plug(self) -> None:
        await self.relay.plug()

    async def hush(self) -> None:
        self.relay.hush()


class SerialRelay:
    """A cable between two pseudo-terminals; the near one, of the source, can be pulled out."""

    def __init__(self, folder: Path) -> None:
        self.near, self.far = folder / "near", folder / "far"
        self.silent = False
        self._near = self._open(self.near)
        self._far = self._open(self.far)
        self._watch(self._far, self._heard_far)
        self._watch(self._near, self._heard_near)

    def _open(self, link: Path) -> int:
        """Make a pseudo-terminal; its other end is left open, so that no writer hangs it up."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        os.set_blocking(master, False)
        os.close(slave)
        return master

    def _watch(self, master: int, heard) -> None:
        asyncio.get_running_loop().add_reader(master, heard)

    def _heard_far(self) -> None:
        said = self._read(self._far)
        if said and self._near >= 0 and not self.silent:
            # Where nobody reads, a serial line's buffer runs over and the rest is lost.
            with suppress(BlockingIOError):
                os.write(self._near, said)

    def _heard_near(self) -> None:
        if self._near >= 0 and (said := self._read(self._near)):
            os.write(self._far, said)

    def _read(self, master: int) -> bytes:
        try:
            return os.read(master, 4096)
        except OSError:
            # Linux tells so, again and again, while nobody has the other end open.
            return b""

    def babble(self, noise: bytes) -> None:
        os.write(self._near, noise)

    def hush(self) -> None:
        self.silent = True

    def unplug(self) -> None:
        if self._near >= 0:
            asyncio.get_running_loop().remove_reader(self._near)
            os.close(self._near)
            self._near = -1
            self.near.unlink()

    def plug(self) -> None:
        self.silent = False
        if self._near < 0:
            self._near = self._open(self.near)
            self._watch(self._near, self._heard_near)

    def close(self) -> None:
        self.unplug()
        asyncio.get_running_loop().remove_reader(self._far)
        os.close(self._far)
