"""What every link does, the one over MQTT and the fake alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import aiomqtt
import pytest

from edge_agent.config import BrokerConfig
from edge_agent.link import Connector, Heard, LinkDown, MemoryConnector, Said
from edge_agent.mqtt_link import MqttConnector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import BrokerAddress

PATIENCE_S = 30


class FarSide(Protocol):
    """What stands at the other end of a link."""

    name: str
    connector: Connector

    async def tell(self, heard: Heard) -> None: ...

    async def cut(self) -> None: ...

    async def next_said(self) -> tuple[str, bytes]: ...


class InMemory:
    def __init__(self) -> None:
        self.name = "d1"
        self.connector = MemoryConnector()
        self._seen = 0

    async def tell(self, heard: Heard) -> None:
        self.connector.links[-1].tell(heard)

    async def cut(self) -> None:
        self.connector.links[-1].cut()

    async def next_said(self) -> tuple[str, bytes]:
        said = self.connector.links[-1].said[self._seen]
        self._seen += 1
        return said.topic, said.payload


class OverMqtt:
    def __init__(self, broker: BrokerConfig, client: aiomqtt.Client, name: str) -> None:
        self.name = name
        self.connector = MqttConnector(broker, name)
        self._broker = broker
        self._client = client

    async def tell(self, heard: Heard) -> None:
        await self._client.publish(heard.topic, heard.payload)

    async def cut(self) -> None:
        # A second client of the same id throws the first off (MQTT 3.1.1, 3.1.4-2).
        async with client_of(self._broker, self.name):
            pass

    async def next_said(self) -> tuple[str, bytes]:
        message = await anext(self._client.messages)
        assert isinstance(message.payload, bytes)
        return message.topic.value, message.payload


def client_of(broker: BrokerConfig, name: str) -> aiomqtt.Client:
    return aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=name,
    )


@pytest.fixture(params=["memory", "mqtt"])
async def far(request: pytest.FixtureRequest) -> AsyncIterator[FarSide]:
    if request.param == "memory":
        yield InMemory()
        return
    address: BrokerAddress = request.getfixturevalue("broker")
    broker = BrokerConfig(
        host=address.host, port=address.port, username=address.user, password=address.password
    )
    name = f"link-{uuid4().hex}"
    async with client_of(broker, f"far-{name}") as client:
        await client.subscribe(f"{name}/up", qos=1)
        yield OverMqtt(broker, client, name)


def will(far: FarSide) -> Said:
    return Said(topic=f"{far.name}/will", payload=b"gone")


async def test_what_is_published_arrives_in_order(far: FarSide) -> None:
    async with asyncio.timeout(PATIENCE_S), far.connector.connect(will(far)) as link:
        for number in range(3):
            await link.publish(Said(topic=f"{far.name}/up", payload=b"%d" % number))

        arrived = [await far.next_said() for _ in range(3)]

    assert arrived == [(f"{far.name}/up", b"%d" % number) for number in range(3)]


async def test_what_is_told_is_heard_on_its_topic(far: FarSide) -> None:
    async with asyncio.timeout(PATIENCE_S), far.connector.connect(will(far)) as link:
        await link.subscribe(f"{far.name}/down/#")
        told = Heard(topic=f"{far.name}/down/ack", payload=b"{}")

        await far.tell(told)

        assert await anext(aiter(link.heard())) == told


async def test_a_cut_link_ends_what_is_heard_and_refuses_what_is_said(far: FarSide) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(LinkDown):
            await speak_on_a_cut_link(far)


async def speak_on_a_cut_link(far: FarSide) -> None:
    async with far.connector.connect(will(far)) as link:
        await link.subscribe(f"{far.name}/down/#")
        await far.cut()
        with pytest.raises(LinkDown):
            await anext(aiter(link.heard()))
        await link.publish(Said(topic=f"{far.name}/up", payload=b"late"))


async def test_after_a_cut_a_new_link_can_be_made(far: FarSide) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(LinkDown):
            await listen_on_a_cut_link(far)

        async with far.connector.connect(will(far)) as link:
            await link.publish(Said(topic=f"{far.name}/up", payload=b"back"))
            assert await far.next_said() == (f"{far.name}/up", b"back")


async def listen_on_a_cut_link(far: FarSide) -> None:
    async with far.connector.connect(will(far)) as link:
        await far.cut()
        await anext(aiter(link.heard()))


async def test_a_broker_that_is_not_there_is_a_link_that_is_down(unused_tcp_port: int) -> None:
    memory = MemoryConnector()
    memory.up = False
    nobody = MqttConnector(BrokerConfig(port=unused_tcp_port), "d1")

    for connector in (memory, nobody):
        with pytest.raises(LinkDown):
            async with connector.connect(Said(topic="t", payload=b"")):
                pytest.fail("connected to nobody")


async def test_a_wrong_password_is_a_link_that_is_down(broker: BrokerAddress) -> None:
    config = BrokerConfig(port=broker.port, username=broker.user, password="wrong")

    with pytest.raises(LinkDown):
        async with MqttConnector(config, f"link-{uuid4().hex}").connect(
            Said(topic="t", payload=b"")
        ):
            pytest.fail("let in with a wrong password")


async def test_a_door_that_closes_at_once_is_noticed_at_once() -> None:
    server = await asyncio.start_server(lambda _, far: far.transport.abort(), "127.0.0.1", 0)
    broker = BrokerConfig(port=server.sockets[0].getsockname()[1], timeout_s=PATIENCE_S)
    async with server, asyncio.timeout(PATIENCE_S / 3):
        with pytest.raises(LinkDown, match="closed before it was open"):
            async with MqttConnector(broker, "d1").connect(Said(topic="t", payload=b"")):
                pytest.fail("nobody let it in")
