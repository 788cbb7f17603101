"""What holds of every field bus: a connection that ended leaves nothing, and the agent is small."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiomqtt
import msgspec
import pytest

from edge_agent.bench import peak_mb
from edge_agent.live.words import Told
from foremend.errors import Unavailable
from foremend.wire import Address, Up
from tests.peers.stage import stages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge_agent.live.words import Word
    from tests.conftest import BrokerAddress
    from tests.peers.stage import Stage

ROOT: Final = Path(__file__).parents[2]
MOST_MB: Final = {"j1939": 48, "modbus": 48, "modbus_rtu": 48, "mtconnect": 64, "opcua": 64}
"""Resident, as `python -m edge_agent`, connected both to its peer and to a broker."""
BUSES: Final = {name: stage for name, stage in stages().items() if name in MOST_MB}
RECONNECTS: Final = 20
PATIENCE_S: Final = 10.0
TENANT: Final = "buses"
FRAMES: Final = 5
"""Messages after which an agent has come to its size."""
AGENT: Final = """
outbox = "agent.db"
[agent]
tenant = "{tenant}"
device = "{device}"
frames_per_message = 1
[agent.broker]
host = "{host}"
port = {port}
username = "{user}"
password = "{password}"
"""

each_bus = pytest.mark.parametrize("name", sorted(MOST_MB))


def test_every_bus_has_a_stage() -> None:
    assert set(BUSES) == set(MOST_MB)


async def at_first() -> tuple[int, int, int]:
    """Count before anything was opened, but with all of the loop's own workers, which stay."""
    workers = 4
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(workers))
    together = threading.Barrier(workers)
    await asyncio.gather(*(asyncio.to_thread(together.wait, 10) for _ in range(workers)))
    return left_over()


def left_over() -> tuple[int, int, int]:
    """Count this process's tasks, threads and open files."""
    files = list(Path("/proc/self/fd").iterdir())
    return len(asyncio.all_tasks()), threading.active_count(), len(files)


async def comes_back_to(before: tuple[int, int, int]) -> None:
    """Wait until no more is open than before: what is closed needs some turns of the loop."""
    patience_s = asyncio.get_running_loop().time() + PATIENCE_S
    now = left_over()
    while any(more > less for more, less in zip(now, before, strict=True)):
        assert asyncio.get_running_loop().time() < patience_s, f"{now} are open, before {before}"
        await asyncio.sleep(0.02)
        now = left_over()


async def heard(listening: AsyncIterator[Word]) -> None:
    async for word in listening:
        if isinstance(word, Told) and word.values:
            return


@each_bus
async def test_twenty_reconnects_leave_no_task_thread_or_file_behind(
    name: str, tmp_path: Path
) -> None:
    async with asyncio.timeout(60), BUSES[name](tmp_path) as stage:
        before = await at_first()
        for _ in range(RECONNECTS):
            async with aclosing(stage.source._peer.listen()) as listening:
                await heard(listening)
            await comes_back_to(before)


@each_bus
async def test_giving_up_a_connection_that_hangs_leaves_nothing_behind(
    name: str, tmp_path: Path
) -> None:
    async with asyncio.timeout(60), BUSES[name](tmp_path) as stage:
        before = await at_first()
        await stage.hush()
        for _ in range(3):
            async with aclosing(stage.source._peer.listen()) as listening:
                with pytest.raises((TimeoutError, Unavailable)):
                    async with asyncio.timeout(0.1):
                        await heard(listening)
            await comes_back_to(before)


def in_toml(value: object) -> str:
    """Write a value; but for tables, plain JSON is TOML too."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {in_toml(each)}' for key, each in value.items())}}}"
    return msgspec.json.encode(value).decode()


def configuration(name: str, stage: Stage, broker: BrokerAddress) -> str:
    """Give an agent's file with the stage's own source."""
    told = msgspec.to_builtins(stage.source._config)
    settings = {key: value for key, value in told.items() if value not in (None, [])}
    _, _, kind, _ = type(stage.source._peer).__module__.split(".")
    lines = [f"{key} = {in_toml(value)}" for key, value in settings.items()]
    head = AGENT.format(tenant=TENANT, device=name, **broker._asdict())
    return "\n".join([head, "[source]", f'kind = "{kind}"', *lines])


async def weighed(path: Path, client: aiomqtt.Client) -> float:
    """Run an agent until it has sent some frames, and give its peak of memory in MiB."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", str(path)), cwd=ROOT
    )
    ended = asyncio.create_task(child.wait())
    try:
        for _ in range(FRAMES):
            heard = asyncio.ensure_future(anext(client.messages))
            await asyncio.wait([heard, ended], return_when=asyncio.FIRST_COMPLETED)
            assert not ended.done(), "the agent ended"
        return peak_mb(child.pid)
    finally:
        if child.returncode is None:
            child.terminate()
        await ended


@each_bus
async def test_an_agent_with_this_source_stays_small(
    name: str, tmp_path: Path, broker: BrokerAddress, record_testsuite_property
) -> None:
    async with asyncio.timeout(90), BUSES[name](tmp_path) as stage:
        path = tmp_path / "agent.toml"
        path.write_text(configuration(name, stage, broker))
        async with aiomqtt.Client(
            broker.host, broker.port, username=broker.user, password=broker.password
        ) as client:
            await client.subscribe(Address(tenant=TENANT, device=name).up(Up.DATA))
            took = await weighed(path, client)
        record_testsuite_property(f"{name}_peak_mb", round(took, 1))
        assert 5 < took <= MOST_MB[name]
