"""The agent killed with -9 in mid-command: nothing is run twice, and all is answered."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import aiomqtt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foremend import keys, wire
from foremend.clock import wall_ms
from foremend.wire import Address, Down, Up
from ingest.downlink import sealing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import BrokerAddress

PATIENCE_S = 60
PROGRAM = '''
import asyncio, json, sys
from pathlib import Path
from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.outbox.group import open_outbox
from edge_agent.source import Description, PushSource
from foremend.clock import wall_ms
from foremend.wire import Channel

class Press(PushSource):
    """A machine that notes each stroke on the disk, and then never comes to its end."""

    kinds = {"strike": frozenset()}

    async def run(self, kind, args):
        with (folder / "strokes").open("a") as strokes:
            strokes.write("stroke\\n")
        await asyncio.sleep(600)

async def main():
    description = Description(channels=(Channel(name="force", unit="N"),), family="f", model="m")
    config = AgentConfig(
        tenant="demo", device=told["device"], command_keys=(told["key"],),
        broker=BrokerConfig(**told["broker"]),
    )
    async with open_outbox(folder / "outbox.sqlite3", wall_ms) as file:
        agent = Agent(config, Press(description), file.device(told["device"]), wall_ms)
        await agent.run(asyncio.Event())

folder = Path(sys.argv[1])
told = json.loads((folder / "told.json").read_text())
asyncio.run(main())
'''


async def test_a_command_is_struck_once_however_often_the_agent_is_killed(
    tmp_path: Path, broker: BrokerAddress
) -> None:
    key = keys.SigningKey(keys.private_key(tmp_path / "key.pem"))
    own = Address(tenant="demo", device="press-01")
    write_told(tmp_path, key, own.device, broker)
    order = wire.Command(
        id="c1",
        tenant=own.tenant,
        device=own.device,
        counter=wall_ms(),
        kind="strike",
        issued_ms=wall_ms(),
        expires_ms=wall_ms() + 600_000,
    )
    payload = sealing.signed(wire.encode(order), key)
    async with (
        asyncio.timeout(PATIENCE_S),
        aiomqtt.Client(
            broker.host, broker.port, username=broker.user, password=broker.password
        ) as client,
    ):
        await client.subscribe(f"{own.prefix}/up/+")
        first = await struck(client, own, payload, tmp_path, "accepted")
        second = await struck(client, own, payload, tmp_path, "failed")
        third = await struck(client, own, payload, tmp_path, "failed")

    assert first == {("accepted", "")}
    assert ("failed", "interrupted") in second & third
    assert (tmp_path / "strokes").read_text() == "stroke\n"


def write_told(folder: Path, key: keys.SigningKey, device: str, broker: BrokerAddress) -> None:
    public = key.private.public_key()
    told = {
        "device": device,
        "key": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "broker": {
            "host": broker.host,
            "port": broker.port,
            "username": broker.user,
            "password": broker.password,
        },
    }
    (folder / "told.json").write_text(json.dumps(told))


async def struck(
    client: aiomqtt.Client, own: Address, payload: bytes, folder: Path, wanted: str
) -> set[tuple[str, str]]:
    """Run the agent, repeat the command until it answers as wanted, and kill it; give answers."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, str(folder))
    answers: set[tuple[str, str]] = set()
    async for message in client.messages:
        if message.topic.value == own.up(Up.STATUS):
            await client.publish(own.down(Down.COMMAND), payload)
        if message.topic.value == own.up(Up.RESULT):
            result = wire.decode_up(Up.RESULT, bytes(message.payload))
            assert isinstance(result, wire.Result)
            answers.add((result.state, result.reason))
            if result.state == wanted:
                break
    while wanted == "accepted" and not (folder / "strokes").exists():  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    return answers
