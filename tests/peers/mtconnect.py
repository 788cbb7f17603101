"""An agent as the MTConnect Standard describes one: a buffer of observations behind HTTP."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

from edge_agent.site import Site
from edge_agent.sources.mtconnect.config import MtConnectConfig
from edge_agent.sources.mtconnect.peer import make
from tests.peers.mtconnect_documents import (
    DEVICES,
    ERROR,
    HEAD,
    KINDS,
    MAPPING,
    MARK,
    NOISE,
    PART,
    STREAMS,
    TAGS,
)
from tests.peers.relay import Relayed, tcp_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.peers.relay import TcpRelay


class Agent:
    """Keeps the last observations, numbered, and serves them as documents."""

    def __init__(self, *, keeps: int = 100, kind: str | None = KINDS[0]) -> None:
        self.kind = kind
        """Of a long answer; None for an agent that gives none."""
        self.part = PART
        """What stands before each document of a long answer."""
        self.line = "\r\n"
        self.holds = False
        """Whether something between keeps a long answer until its end."""
        self.documents_each: float = math.inf
        """After so many a long answer ends."""
        self.clock_s = 0.0
        """How far its clock is ahead."""
        self.instance = 1
        self.first = 1
        self.keeps = keeps
        self.kept: list[tuple[int, str, str]] = []
        """Number, data item, and element."""
        self.noise: list[bytes] = []
        """What is answered next in place of documents."""
        self.asked: list[str] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Event()

    @property
    def following(self) -> int:
        return self.kept[-1][0] + 1 if self.kept else self.first

    def observe(self, item: str, value: object) -> None:
        _, tag = TAGS[item]
        self._keep(item, tag, {}, str(value))

    def condition(self, level: str, text: str = "", **told: str) -> None:
        self._keep("c4", level, {"type": "TEMPERATURE", **told}, text)

    def _stamp(self) -> str:
        now = datetime.now(UTC) + timedelta(seconds=self.clock_s)
        return now.isoformat().replace("+00:00", "Z")

    def restart(self) -> None:
        """Forget everything, as an agent does that comes up again."""
        self.instance += 1
        self.kept.clear()

    def _keep(self, item: str, tag: str, told: dict[str, str], text: str) -> None:
        number = self.following
        named = {"dataItemId": item, "sequence": str(number), "timestamp": self._stamp(), **told}
        written = " ".join(f"{name}={quoteattr(value)}" for name, value in named.items())
        self.kept.append((number, item, f"<{tag} {written}>{text}</{tag}>"))
        del self.kept[: -self.keeps]
        self._news.set()

    def say(self, noise: bytes) -> None:
        """Answer this in place of the next document."""
        self.noise.append(noise)
        self._news.set()

    def document(self, target: str) -> bytes:
        """Answer a request."""
        self.asked.append(target)
        if self.noise:
            return self.noise.pop(0)
        path, asked = _asked(target)
        if path.endswith("/probe"):
            return self._filled(DEVICES)
        if path.endswith("/current"):
            latest = {item if item != "c4" else (item, n): e for n, item, e in self.kept}
            return self._streams(list(latest.values()), self.following)
        return self._sample(asked["from"], asked["count"])

    def _has(self, first: int, count: int) -> bool:
        oldest = self.kept[0][0] if self.kept else self.following
        return oldest <= first <= self.following and count <= self.keeps

    def _sample(self, first: int, count: int, code: str = "OUT_OF_RANGE") -> bytes:
        """Tell what was observed, or refuse; in a long answer as the reference agent does."""
        if not self._has(first, count):
            return self._filled(ERROR, code=code)
        found = [(n, e) for n, _, e in self.kept if n >= first][:count]
        return self._streams([e for _, e in found], found[-1][0] + 1 if found else first)

    def _streams(self, elements: list[str], following: int) -> bytes:
        grouped = {"Samples": "", "Events": "", "Condition": ""}
        groups = {tag: group for group, tag in TAGS.values()}
        for element in elements:
            tag = element[1:].split(" ", 1)[0]
            grouped[groups.get(tag, "Condition")] += element
        oldest = self.kept[0][0] if self.kept else self.following
        numbers = {"first": oldest, "last": self.following - 1, "following": following}
        numbers["size"] = self.keeps
        return self._filled(STREAMS, **numbers, **grouped)

    def _filled(self, form: str, **told: object) -> bytes:
        return form.format(now=self._stamp(), instance=self.instance, **told).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                target = line.split()[1].decode()
                if self._goes_on_about(target):
                    await self._stream(reader, writer, target)
                    break
                body = self.document(target)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _goes_on_about(self, target: str) -> bool:
        _, asked = _asked(target)
        return bool(self.kind and "interval" in asked and self._has(asked["from"], asked["count"]))

    async def _stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str
    ) -> None:
        """Answer with a document whenever there is news, and with an empty one else."""
        self.asked.append(target)
        _, asked = _asked(target)
        gone = asyncio.create_task(reader.read())
        writer.write(HEAD.format(kind=self.kind).encode())
        following, left = asked["from"], math.inf if self.holds else self.documents_each
        while not gone.done() and left:
            self._news.clear()
            if not self.holds:
                writer.write(self._part(following, asked["count"]))
                await writer.drain()
            following, left = self.following, left - 1
            await asyncio.sleep(asked["interval"] / 1000)
            with suppress(TimeoutError):
                async with asyncio.timeout(asked["heartbeat"] / 1000):
                    await self._news.wait()
        gone.cancel()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _part(self, first: int, count: int) -> bytes:
        body = self.noise.pop(0) if self.noise else self._sample(first, count, "INTERNAL_ERROR")
        head = self.part.format(mark=MARK, size=len(body), line=self.line)
        part = head.encode() + body + self.line.encode()
        return f"{len(part):x}\r\n".encode() + part + b"\r\n"

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()


def _asked(target: str) -> tuple[str, dict[str, int]]:
    """Give the path of a request, and what is asked of it."""
    parts = urlsplit(target)
    return parts.path, {name: int(values[0]) for name, values in parse_qs(parts.query).items()}


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[int]:
    """Serve an agent; gives its port."""
    server = await asyncio.start_server(agent.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        agent.hang_up()


def config(folder: Path, port: int, *, stream: bool = True) -> MtConnectConfig:
    mapping = folder / "mtconnect.toml"
    mapping.write_text(MAPPING)
    return MtConnectConfig(
        mapping=str(mapping),
        url=f"http://127.0.0.1:{port}",
        device_name="Lathe",
        stream=stream,
        every_s=0.05,
        interval_s=0.02,
        poll_s=0.05,
        timeout_s=0.5,
        stale_after_s=1.0,
        silence_s=1.5,
    )


class MtConnectStage(Relayed):
    tolerance = 1e-9
    patience_s = 8.0

    def __init__(self, agent: Agent, relay: TcpRelay, folder: Path) -> None:
        self.agent, self.relay = agent, relay
        self.shows = {"speed": 1478.5, "motor_current": 78.25}
        self._tell()
        agent.observe("exec", "ACTIVE")
        site = Site(device="lathe", folder=folder)
        self.source = make(config(folder, relay.port), site)

    def _tell(self) -> None:
        self.agent.observe("c1", self.shows["speed"])
        self.agent.observe("c3", self.shows["motor_current"])

    async def show(self) -> None:
        self.shows = {name: value + 3 for name, value in self.shows.items()}
        self._tell()

    async def babble(self) -> None:
        for noise in ("fast", "", "1e999", "UNAVAILABLE", "1 2 3"):
            self.agent.observe("c1", noise)
        self.agent.say(NOISE[0])


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[MtConnectStage]:
    agent = Agent()
    async with running(agent) as port, tcp_relay(port) as relay:
        yield MtConnectStage(agent, relay, folder)
