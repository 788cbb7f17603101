"""A TCP connection that can be cut, whatever runs over it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

LOOPBACK = "127.0.0.1"


class Cable:
    """Listens on a free loopback port, and passes on what it hears while it is whole.

    >>> async with Cable("127.0.0.1", 7125) as cable:
    ...     await cable.cut()
    """

    def __init__(self, host: str, far_port: int) -> None:
        self._host, self._far_port = host, far_port
        self._whole = True
        self._ends: set[StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """End all connections with RST, and let none in."""
        self._whole = False
        for end in tuple(self._ends):
            end.transport.abort()
        await asyncio.gather(*tuple(self._tasks), return_exceptions=True)

    async def mend(self) -> None:
        """Let connections in again."""
        self._whole = True

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="cable")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self._host, self._far_port)
        ends = {writer, far_writer}
        self._ends |= ends
        ways = [_pass(reader, far_writer), _pass(far_reader, writer)]
        try:
            await asyncio.gather(*ways)
        except OSError:
            return
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _pass(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()
