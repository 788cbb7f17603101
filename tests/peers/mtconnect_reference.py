"""The reference agent of the MTConnect Institute (cppagent), where its program is at hand.

No registry has it. `FOREMEND_TEST_MTCONNECT_AGENT` names the program; an adapter of ours feeds it,
in the lines that such agents read (SHDR).
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx

from edge_agent.site import Site
from edge_agent.sources.mtconnect.peer import make
from stack.embedded.ports import LOOPBACK, free_port
from tests.peers.mtconnect import config
from tests.peers.mtconnect_documents import DEVICES
from tests.peers.relay import Relayed, tcp_relay
from tests.peers.stage import Absent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.peers.relay import TcpRelay

NAMED_BY: Final = "FOREMEND_TEST_MTCONNECT_AGENT"
STARTS_S: Final = 10.0
CONFIGURATION: Final = """
Devices = devices.xml
ServerIp = {host}
Port = {port}
BufferSize = {size}
Adapters {{
  lathe {{
    Device = Lathe
    Host = {host}
    Port = {adapter}
  }}
}}
logger_config {{
  output = file agent.log
}}
"""


class Adapter:
    """Tells the agent what the machine does, all of it to whoever connects anew."""

    def __init__(self) -> None:
        self.told: dict[str, object] = {"avail": "AVAILABLE"}
        self._agents: set[asyncio.StreamWriter] = set()

    def tell(self, **told: object) -> None:
        self.told |= told
        self.say(*(f"|{item}|{value}" for item, value in told.items()))

    def say(self, *lines: str) -> None:
        for agent in self._agents:
            agent.write("".join(f"{line}\n" for line in lines).encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._agents.add(writer)
        self.tell(**self.told)
        try:
            while line := await reader.readline():
                if line.startswith(b"* PING"):
                    writer.write(b"* PONG 5000\n")
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._agents.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        for agent in self._agents:
            agent.close()


@asynccontextmanager
async def adapting() -> AsyncIterator[tuple[Adapter, int]]:
    """Serve an adapter; gives its port too."""
    adapter = Adapter()
    server = await asyncio.start_server(adapter.serve, LOOPBACK, 0)
    try:
        yield adapter, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        adapter.hang_up()


@asynccontextmanager
async def running(folder: Path, adapter: int, *, keeps: int = 1024) -> AsyncIterator[int]:
    """Run the agent, with its files in this folder; gives its port.

    It keeps so many observations, a power of two.

    Raises:
        Absent: no program is named.
    """
    program = os.environ.get(NAMED_BY)
    if not program:
        raise Absent(f"{NAMED_BY} names no program of the reference agent")
    port = free_port()
    size = keeps.bit_length() - 1
    told = CONFIGURATION.format(host=LOOPBACK, port=port, adapter=adapter, size=size)
    (folder / "agent.cfg").write_text(told)
    (folder / "devices.xml").write_text(DEVICES.format(now="2026-01-01T00:00:00Z", instance=1))
    agent = await asyncio.create_subprocess_exec(
        *(program, "debug", "agent.cfg"),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _answers(port)
        yield port
    finally:
        if agent.returncode is None:
            agent.terminate()
        await agent.wait()


async def _answers(port: int) -> None:
    async with asyncio.timeout(STARTS_S), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(f"http://{LOOPBACK}:{port}/Lathe/current")
                if "AVAILABLE<" in answer.text.replace("UNAVAILABLE", ""):
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


class ReferenceStage(Relayed):
    tolerance = 1e-6
    patience_s = 10.0

    def __init__(self, adapter: Adapter, relay: TcpRelay, folder: Path) -> None:
        self.adapter, self.relay = adapter, relay
        self.shows = {"speed": 1478.5, "motor_current": 78.25}
        self._tell()
        self.source = make(config(folder, relay.port), Site(device="lathe", folder=folder))

    def _tell(self) -> None:
        self.adapter.tell(c1=self.shows["speed"], c3=self.shows["motor_current"], exec="ACTIVE")

    async def show(self) -> None:
        self.shows = {name: value + 3 for name, value in self.shows.items()}
        self._tell()

    async def babble(self) -> None:
        self.adapter.say("|c1|fast", "|c1|", "|c1|1e999", "|c1|1 2 3", "|nothing|7", "||", "|c4|x")
        await self.relay.babble(b"\r\n--half a part")


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[ReferenceStage]:
    async with AsyncExitStack() as stack:
        adapter, adapter_port = await stack.enter_async_context(adapting())
        port = await stack.enter_async_context(running(folder, adapter_port))
        relay = await stack.enter_async_context(tcp_relay(port))
        yield ReferenceStage(adapter, relay, folder)
