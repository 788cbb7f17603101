"""How fast the agent is here: `python -m edge_agent.bench [--devices N] [--seconds S]`.

Prints one JSON line. `agent` is the whole way of single-frame messages from a push to the
committed acknowledgement, over a link in memory whose far side acknowledges every 100 ms; with
`--broker HOST:PORT` (and `--login USER:PASSWORD`) it is over that broker, the far side being a
process of its own. `outbox` is the disk alone, `naive` one commit a message.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiomqtt

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.framing import data_draft
from edge_agent.link import Heard, MemoryLink, Said
from edge_agent.messages import Settlement
from edge_agent.mqtt_link import MqttConnector
from edge_agent.outbox import open_outbox
from edge_agent.source import Description, Frame, PushSource
from foremend import wire
from foremend.clock import wall_ms
from foremend.wire import Ack, Address, Channel, Down

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge_agent.link import Connector
    from edge_agent.outbox import OutboxFile

CHANNELS: Final = tuple(Channel(name=f"c{n}", unit="1") for n in range(10))
VALUES: Final = tuple(20.0 + n / 7 for n in range(10))
TENANT: Final = "bench"
ACK_EVERY_S: Final = 0.1


class FarSide:
    """Acknowledges, now and then, every number it has seen so far."""

    def __init__(self, tell: Callable[[Heard], object]) -> None:
        self._tell = tell
        self._highest: dict[tuple[Address, str], int] = defaultdict(lambda: -1)
        self._scheduled = False

    def saw(self, topic: str, payload: bytes) -> None:
        """Note a message's number."""
        address, kind = wire.parse_up(topic)
        message = wire.decode_up(kind, payload)
        if isinstance(message, wire.Data):
            key = (address, message.boot)
            self._highest[key] = max(self._highest[key], message.seq)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(ACK_EVERY_S, self._acknowledge)

    def _acknowledge(self) -> None:
        self._scheduled = False
        for (address, boot), upto in self._highest.items():
            ack = wire.encode(Ack(boot=boot, upto=upto))
            self._tell(Heard(topic=address.down(Down.ACK), payload=ack))


class AnsweringLink(MemoryLink):
    """A link in memory with a far side."""

    def __init__(self) -> None:
        super().__init__()
        self._far_side = FarSide(self.tell)

    async def publish(self, said: Said) -> None:
        """Let the far side see a message."""
        self._far_side.saw(said.topic, said.payload)
        await asyncio.sleep(0)


class AnsweringConnector:
    """Makes such links."""

    @asynccontextmanager
    async def connect(self, will: Said) -> AsyncIterator[AnsweringLink]:  # noqa: ARG002 - nobody reads it
        """Make a new link."""
        yield AnsweringLink()


async def answer(broker: BrokerConfig) -> None:
    """Acknowledge over a broker until killed; print a line once ready."""
    async with (
        aiomqtt.Client(
            broker.host, broker.port, username=broker.username, password=broker.password
        ) as client,
        asyncio.TaskGroup() as replies,
    ):
        await client.subscribe(f"fm/1/+/{TENANT}/+/up/+", qos=1)
        client.pending_calls_threshold = 1024
        side = FarSide(lambda h: replies.create_task(client.publish(h.topic, h.payload)))
        print("ready", flush=True)  # noqa: T201 - its parent waits for it
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                side.saw(message.topic.value, message.payload)


@asynccontextmanager
async def far_side(arguments: argparse.Namespace) -> AsyncIterator[None]:
    """Run such a process for as long as this lasts."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edge_agent.bench", "--answer"),
        *("--broker", arguments.broker, "--login", arguments.login),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None  # noqa: S101 - it was asked for
        await child.stdout.readline()
        yield
    finally:
        child.kill()
        await child.wait()


async def measure_agents(
    file: OutboxFile, devices: int, seconds: float, connect: Callable[[str], Connector]
) -> dict[str, float]:
    """Push as fast as it goes for some seconds, then drain; rates are over the whole."""
    stop = asyncio.Event()
    agents, sources = [], []
    for number in range(devices):
        name = f"bench-{number}"
        source = PushSource(
            Description(channels=CHANNELS, family="bench", model="bench", patient=True)
        )
        config = AgentConfig(tenant=TENANT, device=name, frames_per_message=1)
        agents.append(Agent(config, source, file.device(name), wall_ms, connector=connect(name)))
        sources.append(source)
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(agent.run(stop))
        await asyncio.gather(*(_push(source, began + seconds) for source in sources))
        await asyncio.gather(*(agent.drained() for agent in agents))
        took = time.monotonic() - began
        stop.set()
    done = sum(agent.counters.frames_acked for agent in agents)
    resent = sum(agent.counters.resent for agent in agents)
    return {"messages": done, "resent": resent, "messages_per_s": round(done / took)}


async def _push(source: PushSource, until: float) -> None:
    ts_ms = 0
    while time.monotonic() < until:
        await source.push(*(Frame(ts_ms=ts_ms + n, values=VALUES) for n in range(16)))
        ts_ms += 16
    await source.stored()


async def measure_outbox(file: OutboxFile, devices: int, group: int, rounds: int) -> float:
    """Give messages/s appended, committed and settled, in groups of so many a device."""
    outboxes = [file.device(f"disk-{number}") for number in range(devices)]
    for outbox in outboxes:
        await outbox.begin("boot", b"birth")
    drafts = [data_draft([Frame(ts_ms=0, values=VALUES)], "schema") for _ in range(group)]
    began = time.monotonic()
    for number in range(rounds):
        kept = [outbox.append(*drafts) for outbox in outboxes]
        outboxes[0].hurry()
        await asyncio.gather(*kept)
        spans = ((number * group, (number + 1) * group - 1),)
        await asyncio.gather(
            *(outbox.settle(Settlement(boot="boot", spans=spans)) for outbox in outboxes)
        )
    return devices * group * rounds / (time.monotonic() - began)


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Take every measurement."""
    found: dict[str, object] = {"devices": arguments.devices, "over": "memory"}
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        async with open_outbox(Path(folder) / "agents.db", wall_ms) as file:
            found |= await _agents(file, arguments)
        async with open_outbox(Path(folder) / "disk.db", wall_ms) as file:
            found["outbox_messages_per_s"] = round(
                await measure_outbox(file, arguments.devices, 32, 40)
            )
        async with open_outbox(Path(folder) / "naive.db", wall_ms) as file:
            found["naive_messages_per_s"] = round(await measure_outbox(file, 1, 1, 300))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return found | {"rss_mb": usage.ru_maxrss // 1024}


async def _agents(file: OutboxFile, arguments: argparse.Namespace) -> dict[str, object]:
    async with contextlib.AsyncExitStack() as stack:
        connect: Callable[[str], Connector] = lambda _: AnsweringConnector()  # noqa: E731
        if arguments.broker:
            broker = _broker(arguments)
            await stack.enter_async_context(far_side(arguments))
            connect = lambda name: MqttConnector(broker, name)  # noqa: E731
        cpu = time.process_time()
        rates = await measure_agents(file, arguments.devices, arguments.seconds, connect)
        cpu_us = 1e6 * (time.process_time() - cpu) / max(1, rates["messages"])
        return (
            {"over": arguments.broker or "memory"} | rates | {"cpu_us_per_message": round(cpu_us)}
        )


def _broker(arguments: argparse.Namespace) -> BrokerConfig:
    host, _, port = arguments.broker.partition(":")
    user, _, password = arguments.login.partition(":")
    return BrokerConfig(
        host=host, port=int(port or 1883), username=user or None, password=password or None
    )


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description="How fast the agent is here.")
    parser.add_argument("--devices", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--broker", default="", help="HOST:PORT; without it, a link in memory")
    parser.add_argument("--login", default="", help="USER:PASSWORD")
    parser.add_argument("--dir", default=None, help="where the outbox is put while it lasts")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        asyncio.run(answer(_broker(arguments)))
    else:
        print(json.dumps(asyncio.run(run(arguments))))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
