"""The agent as a process of its own before a real Moonraker: what it sends, and what it weighs."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from edge_agent import bench
from edge_agent.config import BrokerConfig
from simulators.emulators.printer import Setting
from tests.peers.moonraker import PYTHON, moonraker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import BrokerAddress

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no Moonraker is installed: see tests/foreign/moonraker.in"
)
MOST_MB = 64
CONFIG = """outbox = "klipper.db"
log_level = "ERROR"
[agent]
tenant = "bench"
device = "klipper"
[agent.broker]
host = "{broker.host}"
port = {broker.port}
username = {user}
password = {password}
[source]
kind = "moonraker"
url = "{url}"
every_s = 0.1
"""


async def test_an_agent_before_a_real_moonraker_sends_frames_and_stays_small(
    broker: BrokerAddress, tmp_path: Path
) -> None:
    login = BrokerConfig(port=broker.port, username=broker.user, password=broker.password)
    async with moonraker(Setting(jobs=False)) as server, bench.far_side(login) as side:
        await server.ready()
        file = tmp_path / "klipper.toml"
        words = {"user": json.dumps(broker.user), "password": json.dumps(broker.password)}
        file.write_text(CONFIG.format(broker=login, url=server.url, **words))
        child = await asyncio.create_subprocess_exec(sys.executable, "-m", "edge_agent", str(file))
        try:
            async with asyncio.timeout(60):
                while not side.arrivals["klipper"]:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.05)
            assert 5 < bench.peak_mb(child.pid) <= MOST_MB
        finally:
            child.terminate()
            await child.wait()
