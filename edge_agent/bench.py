"""What the agent costs and how fast it drains: its own process, a real broker, a real disk.

The far side runs in the measuring process and acknowledges every 100 ms, as ingest does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiomqtt

from edge_agent.framing import data_draft
from edge_agent.outbox.group import Grouping, open_outbox
from edge_agent.session import Session, birth_of, new_boot
from edge_agent.source import Description, Frame
from foremend import wire
from foremend.clock import wall_ms
from foremend.errors import Unavailable
from foremend.wire import Ack, Address, Channel, Down

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge_agent.config import BrokerConfig
    from edge_agent.messages import Draft

CHANNELS: Final = tuple(Channel(name=f"c{n}", unit="1") for n in range(10))
DESCRIPTION: Final = Description(channels=CHANNELS, family="bench", model="bench")
VALUES: Final = tuple(20.0 + n / 7 for n in range(10))
TENANT: Final = "bench"
ACK_EVERY_S: Final = 0.1
PATIENCE_S: Final = 300.0
_MIB: Final = 1024 * 1024


class FarSide:
    """Acknowledges, now and then, every number it has seen so far."""

    def __init__(self, tell: Callable[[str, bytes], object]) -> None:
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        """When each data message of a device came, by a steady clock, in seconds."""
        self._tell = tell
        self._seen: dict[tuple[Address, str], set[int]] = defaultdict(set)
        self._scheduled = False
        self._over = False

    def leave(self) -> None:
        """Acknowledge nothing more."""
        self._over = True

    def saw(self, topic: str, payload: bytes) -> None:
        """Note a message's number."""
        address, kind = wire.parse_up(topic)
        message = wire.decode_up(kind, payload)
        if not isinstance(message, wire.Data):
            return
        self.arrivals[address.device].append(time.monotonic())
        self._seen[address, message.boot].add(message.seq)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(ACK_EVERY_S, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._over:
            return
        self._scheduled = False
        for (address, boot), seqs in self._seen.items():
            ack = Ack(boot=boot, ranges=tuple((seq, seq) for seq in sorted(seqs)))
            self._tell(address.down(Down.ACK), wire.encode(ack))
        self._seen.clear()


@asynccontextmanager
async def far_side(broker: BrokerConfig) -> AsyncIterator[FarSide]:
    """Acknowledge over a broker for as long as this lasts."""
    async with (
        aiomqtt.Client(
            broker.host, broker.port, username=broker.username, password=broker.password
        ) as client,
        asyncio.TaskGroup() as tasks,
    ):
        await client.subscribe(f"fm/1/+/{TENANT}/+/up/+", qos=1)
        client.pending_calls_threshold = 1024
        side = FarSide(lambda topic, ack: tasks.create_task(client.publish(topic, ack)))
        listening = tasks.create_task(_listen(client, side))
        yield side
        side.leave()
        listening.cancel()


async def _listen(client: aiomqtt.Client, side: FarSide) -> None:
    async for message in client.messages:
        if isinstance(message.payload, bytes):
            side.saw(message.topic.value, message.payload)


@asynccontextmanager
async def agent_process(
    broker: BrokerConfig, folder: Path, device: str, source: str | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a real agent that reads lines at its standard input; its outbox is in the folder.

    `source` is the table of another source, as TOML.
    """
    path = folder / f"{device}.toml"
    path.write_text(_configuration(broker, device, source or _lines()), encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", str(path)),
        stdin=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    try:
        yield child
    finally:
        child.terminate()
        await child.wait()


def _lines() -> str:
    channels = ", ".join(f'{{ name = "{channel.name}", unit = "1" }}' for channel in CHANNELS)
    return f'family = "bench"\nmodel = "bench"\nchannels = [{channels}]'


def _configuration(broker: BrokerConfig, device: str, source: str) -> str:
    # A JSON string is a TOML string too, as long as it is plain.
    return f"""outbox = "{device}.db"
log_level = "ERROR"
[agent]
tenant = "{TENANT}"
device = "{device}"
[agent.broker]
host = "{broker.host}"
port = {broker.port}
username = {json.dumps(broker.username)}
password = {json.dumps(broker.password)}
[source]
{source}
"""


async def say_each_second(child: asyncio.subprocess.Process, seconds: float) -> None:
    """Write one reading of ten channels a second."""
    assert child.stdin is not None  # noqa: S101 - it was asked for
    began = time.monotonic()
    number = 0
    while (elapsed := time.monotonic() - began) < seconds:
        values = {channel.name: VALUES[n] + number for n, channel in enumerate(CHANNELS)}
        child.stdin.write(json.dumps({"ts_ms": wall_ms(), "values": values}).encode() + b"\n")
        await child.stdin.drain()
        number += 1
        await asyncio.sleep(max(0.0, number - elapsed))


async def measure_idle(
    broker: BrokerConfig, folder: Path, seconds: float, warm_up_s: float
) -> dict[str, float]:
    """Give peak memory and the share of one core at ten channels a second."""
    async with agent_process(broker, folder, "steady") as child:
        await say_each_second(child, warm_up_s)
        before_s, began = cpu_s(child.pid), time.monotonic()
        await say_each_second(child, seconds)
        used = (cpu_s(child.pid) - before_s) / (time.monotonic() - began)
        return {"rss_mb": round(peak_mb(child.pid), 1), "cpu_percent": round(100 * used, 2)}


async def measure_commits(folder: Path, commits: int) -> float:
    """Give how often a second the outbox puts one message on the disk for good."""
    async with open_outbox(
        folder / "commits.db", wall_ms, grouping=Grouping(within_s=0, most=1)
    ) as file:
        outbox = file.device("commits")
        await outbox.begin("boot", b"birth")
        began = time.monotonic()
        for _ in range(commits):
            await outbox.append(_one_frame(0))
        return commits / (time.monotonic() - began)


async def measure_drain(broker: BrokerConfig, folder: Path, side: FarSide, backlog: int) -> float:
    """Give how many messages a second a real agent drains of a backlog, new ones coming in."""
    device = "draining"
    await leave_backlog(folder, device, backlog)
    async with agent_process(broker, folder, device) as child:
        speaking = asyncio.create_task(say_each_second(child, PATIENCE_S))
        async with asyncio.timeout(PATIENCE_S):
            while len(side.arrivals[device]) < backlog:  # noqa: ASYNC110 - beyond the broker
                await asyncio.sleep(0.01)
        speaking.cancel()
    arrivals = side.arrivals[device]
    return (backlog - 1) / (arrivals[backlog - 1] - arrivals[0])


async def leave_backlog(folder: Path, device: str, count: int) -> None:
    """Fill an outbox as an agent without a link would have."""
    session = Session(
        address=Address(tenant=TENANT, device=device), boot=new_boot(), boot_ms=wall_ms()
    )
    async with open_outbox(folder / f"{device}.db", wall_ms) as file:
        outbox = file.device(device)
        await outbox.begin(session.boot, birth_of(session, DESCRIPTION))
        first_ms = wall_ms() - 1000 * count
        await outbox.append(*(_one_frame(first_ms + 1000 * n) for n in range(count)))


def _one_frame(ts_ms: int) -> Draft:
    return data_draft([Frame(ts_ms=ts_ms, values=VALUES)], wire.schema_hash(CHANNELS))


def cpu_s(pid: int) -> float:
    """Give the processor time that a process has used (proc_pid_stat(5)), in seconds."""
    fields = _proc(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Give the most memory that a process has had resident (proc_pid_status(5)), in MiB."""
    for line in _proc(pid, "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / _MIB
    raise Unavailable("the kernel tells no peak of resident memory")


def _proc(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(encoding="ascii")
    except OSError as error:
        raise Unavailable(f"the agent is gone, or this is no Linux: {error}") from error


def measure(
    broker: BrokerConfig,
    folder: Path,
    *,
    seconds: float,
    backlog: int,
    warm_up_s: float = 3.0,
    commits: int = 300,
) -> dict[str, float]:
    """Take every measurement against a broker, with outboxes in a folder."""

    async def take() -> dict[str, float]:
        async with far_side(broker) as side:
            found = await measure_idle(broker, folder, seconds, warm_up_s)
            commits_per_s = await measure_commits(folder, commits)
            drained_per_s = await measure_drain(broker, folder, side, backlog)
        return found | {
            "outbox_commits_per_s": round(commits_per_s, 1),
            "drain_messages_per_s": round(drained_per_s, 1),
        }

    return asyncio.run(take())
