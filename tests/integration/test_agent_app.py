"""The agent as a process of its own: readings in at a pipe, messages out at the broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import aiomqtt
import pytest

from edge_agent import app
from foremend import wire
from foremend.errors import ConfigurationError
from foremend.wire import Address, Up

if TYPE_CHECKING:
    from tests.conftest import BrokerAddress

PATIENCE_S = 60
PROGRAM = (
    "import sys; from pathlib import Path; from edge_agent import app; app.run(Path(sys.argv[1]))"
)
CONFIG = """
[agent]
tenant = "{tenant}"
device = "printer-01"
frames_per_message = 1

[agent.broker]
host = "{host}"
port = {port}
username = "{user}"
password = "{password}"

[source]
family = "fdm_printer"
model = "Vela 2"
channels = [{{ name = "hotend", unit = "Cel" }}]
"""


async def test_readings_on_standard_input_reach_the_broker_until_told_to_stop(
    tmp_path: Path, broker: BrokerAddress
) -> None:
    tenant = f"t{uuid4().hex}"
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(tenant=tenant, **broker._asdict()))
    address = Address(tenant=tenant, device="printer-01")
    async with (
        asyncio.timeout(PATIENCE_S),
        aiomqtt.Client(
            broker.host, broker.port, username=broker.user, password=broker.password
        ) as client,
    ):
        await client.subscribe(f"{address.prefix}/up/+", qos=1)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(path)),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None
        child.stdin.write(b'oops\n{"ts_ms": 5, "values": {"hotend": 215.5}}\n')
        heard = [await anext(client.messages) for _ in range(3)]
        child.send_signal(signal.SIGTERM)
        last = await anext(client.messages)
        _, log = await child.communicate()

    topics = [message.topic.value for message in (*heard, last)]
    assert topics == [address.up(k) for k in (Up.BIRTH, Up.STATUS, Up.DATA, Up.STATUS)]
    assert isinstance(heard[2].payload, bytes)
    data = wire.decode_up(Up.DATA, heard[2].payload)
    assert isinstance(data, wire.Data)
    assert (data.frames.t0_ms, data.frames.values) == (5, [[215.5]])
    assert isinstance(last.payload, bytes)
    assert b'"offline"' in last.payload
    assert child.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert sorted(events) == ["a line was left out", "begins", "connected"]


def test_the_command_becomes_the_agent_and_tells_what_stops_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stack", "agent", str(tmp_path / "none.toml")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("foremend: ")
    assert "cannot be read" in done.stderr


def test_what_stops_it_is_told_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    text = CONFIG.format(tenant="t", host="127.0.0.1", port=1, user="u", password="p")
    path.write_text(text.replace("[source]", f'[source]\npath = "{path}"'))

    with pytest.raises(ConfigurationError, match="not a named pipe"):
        app.run(path)
