"""A TCP relay between devices and their broker, or any server, which can be told to misbehave.

It runs an event loop in a thread of its own; the drill turns its faults on and off by `set`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Self, TypeVar

from foremend.wire import Down
from stack.drill import packets
from stack.drill.packets import Splitter
from stack.embedded.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

T = TypeVar("T")
CHUNK: Final = 16 * 1024
SLOW_BYTES_S: Final = 4096
SLOW_DELAY_S: Final = 0.2
COPIES: Final = 5
SHUFFLED_WITHIN_S: Final = 0.3
"""How long messages are gathered before they go on in another order."""
ACKS: Final = f"/down/{Down.ACK.value}"


class Mode(Enum):
    """How the relay behaves."""

    CLEAR = "clear"
    CUT = "cut"
    """Connections are reset, and nobody is let in."""
    BLACK_HOLE = "black hole"
    """Everything is swallowed and nothing is said, not even FIN."""
    SLOW = "slow"
    NO_ACKS = "acknowledgements dropped"
    SHUFFLED = "five times and shuffled"


@dataclass(slots=True, eq=False)
class _Line:
    """One device's connection, both sides."""

    device: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    client: str = ""
    swallowed: bool = False
    """Something was lost on it, so that it can never be whole again."""
    held: list[bytes] = field(default_factory=list)

    def reset(self) -> None:
        """End both sides with RST."""
        for side in (self.device, self.broker):
            side.transport.abort()


@dataclass(slots=True)
class Relay:
    """Listens on a loopback port for as long as its `with` block lasts.

    >>> with Relay(broker.host, broker.port) as relay:
    ...     relay.set(Mode.BLACK_HOLE)
    """

    host: str
    broker_port: int
    seed: int = 0
    plain: bool = False
    """Whether what passes is something else than MQTT, and is not looked into."""
    port: int = 0
    most_sessions: int = 0
    """The most connections that one client id has had at one moment."""
    connections: int = 0
    """How often anybody connected."""
    _mode: Mode = Mode.CLEAR
    _lines: set[_Line] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _chance: random.Random = field(init=False)
    _thread: threading.Thread | None = None
    _server: asyncio.Server | None = None

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - an order, not a secret

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_error: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._loop.close()

    def set(self, mode: Mode) -> None:
        """Behave so from now on."""
        self._call(self._change(mode))

    def say(self, data: bytes) -> None:
        """Say something to everybody who is connected, as though the far side had."""
        self._call(self._say(data))

    def sessions(self) -> dict[str, int]:
        """Give how many connections each client id has now."""
        return self._call(self._count())

    def forget_sessions(self) -> None:
        """Count the most sessions of a client from now on."""
        self.most_sessions = 0

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _change(self, mode: Mode) -> None:
        self._mode = mode
        for line in tuple(self._lines):
            self._flush(line)
            if mode is Mode.CUT or (line.swallowed and mode is not Mode.BLACK_HOLE):
                self._end(line)

    async def _say(self, data: bytes) -> None:
        for line in self._lines:
            line.device.write(data)

    async def _count(self) -> dict[str, int]:
        clients = [line.client for line in self._lines if line.client]
        return {client: clients.count(client) for client in clients}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer), name="line")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self._mode is Mode.CUT:
                return
            if self._mode is Mode.BLACK_HOLE:
                await _swallow(reader)
                return
            await self._join(reader, writer)
        except OSError:
            return
        finally:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self.host, self.broker_port)
        line = _Line(writer, far_writer)
        self._lines.add(line)
        if self.plain:
            up = asyncio.ensure_future(self._hand_on(line, reader, far_writer))
            down = asyncio.ensure_future(self._hand_on(line, far_reader, writer))
        else:
            up = asyncio.ensure_future(self._up(line, reader))
            down = asyncio.ensure_future(self._down(line, far_reader))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            # A black hole tells neither side that the other has gone.
            while self._mode is Mode.BLACK_HOLE:
                line.swallowed = True
                await asyncio.sleep(0.05)
        finally:
            self._end(line)
            for side in (up, down):
                side.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    def _end(self, line: _Line) -> None:
        self._lines.discard(line)
        line.reset()

    async def _hand_on(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._pass(line, writer, data)

    async def _up(self, line: _Line, reader: asyncio.StreamReader) -> None:
        splitter = Splitter()
        while data := await reader.read(CHUNK):
            for packet in splitter.feed(data):
                kind = packets.kind_of(packet)
                if kind == packets.Kind.CONNECT:
                    self._meet(line, packets.client_of(packet))
                if kind == packets.Kind.PUBLISH and self._mode is Mode.SHUFFLED:
                    self._hold(line, packet)
                else:
                    await self._pass(line, line.broker, packet)

    async def _down(self, line: _Line, reader: asyncio.StreamReader) -> None:
        splitter = Splitter()
        while data := await reader.read(CHUNK):
            for packet in splitter.feed(data):
                if not (self._mode is Mode.NO_ACKS and _is_ack(packet)):
                    await self._pass(line, line.device, packet)

    async def _pass(self, line: _Line, to: asyncio.StreamWriter, packet: bytes) -> None:
        if self._mode is Mode.BLACK_HOLE:
            line.swallowed = True
            return
        if self._mode is Mode.SLOW:
            await asyncio.sleep(SLOW_DELAY_S + len(packet) / SLOW_BYTES_S)
        to.write(packet)
        await to.drain()

    def _hold(self, line: _Line, packet: bytes) -> None:
        if not line.held:
            self._loop.call_later(SHUFFLED_WITHIN_S, self._flush, line)
        line.held += [packet] * COPIES

    def _flush(self, line: _Line) -> None:
        held, line.held = line.held, []
        self._chance.shuffle(held)
        if held and not line.broker.transport.is_closing():
            line.broker.write(b"".join(held))

    def _meet(self, line: _Line, client: str) -> None:
        line.client = client
        now = sum(other.client == client for other in self._lines)
        self.most_sessions = max(self.most_sessions, now)


def _is_ack(packet: bytes) -> bool:
    is_publish = packets.kind_of(packet) == packets.Kind.PUBLISH
    return is_publish and packets.topic_of(packet).endswith(ACKS)


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK):
        continue
