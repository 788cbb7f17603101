"""What is particular to OPC UA: status codes, times, health and states, and who may read."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from asyncua import ua
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_agent.live.mapping import Mapped
from edge_agent.live.words import Told
from edge_agent.site import Site
from edge_agent.source import Happening
from edge_agent.sources.kinds import make_source
from edge_agent.sources.opcua.peer import OpcUaPeer
from foremend.errors import ConfigurationError, Unavailable
from tests.peers.opcua import PASSWORD, READER, URI, at_rest, certified, config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.live.words import Word

SPEED = f"nsu={URI};s=Speed"
HEALTH = f"nsu={URI};s=DeviceHealth"


async def until(listening: AsyncIterator[Word], seen: Callable[[Word], bool]) -> Word:
    async for word in listening:
        if seen(word):
            return word
    raise AssertionError("it ended")


def tells(path: str, value: object) -> Callable[[Word], bool]:
    return lambda word: isinstance(word, Told) and word.values.get(path, "?") == value


def happens(code: str) -> Callable[[Word], bool]:
    return lambda word: isinstance(word, Happening) and word.code == code


@pytest.fixture
async def machine():
    return await at_rest()


@pytest.fixture
def peer(machine, tmp_path: Path) -> OpcUaPeer:
    settings = config(tmp_path, url=f"opc.tcp://127.0.0.1:{machine.port}/")
    return OpcUaPeer(settings, Site(device="machine", folder=tmp_path))


async def test_a_bad_value_is_none_and_an_uncertain_one_is_doubtful(machine, peer) -> None:
    bad = ua.StatusCode(ua.StatusCodes.BadSensorFailure)
    uncertain = ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue)
    async with asyncio.timeout(10), aclosing(peer.listen()) as listening:
        good = await until(listening, tells(SPEED, 1478.5))
        await machine.write("Speed", ua.DataValue(ua.Variant(9.0), StatusCode=uncertain))
        doubted = await until(listening, tells(SPEED, 9.0))
        await machine.write("Speed", ua.DataValue(ua.Variant(8.0), StatusCode=bad))
        await until(listening, tells(SPEED, None))
    assert not good.doubtful
    assert doubted.doubtful


async def test_a_value_is_as_old_as_its_server_says(machine, peer) -> None:
    async with asyncio.timeout(10), aclosing(peer.listen()) as listening:
        await until(listening, tells(SPEED, 1478.5))
        earlier = datetime.now(UTC) - timedelta(seconds=0.1)
        await asyncio.sleep(0.2)
        await machine.write("Speed", ua.DataValue(ua.Variant(7.0), SourceTimestamp=earlier))
        told = await until(listening, tells(SPEED, 7.0))
    assert 300 <= told.age_ms <= 1_500


async def test_health_and_state_are_told_as_events_when_they_change_over_reconnects_too(
    machine, peer
) -> None:
    async with asyncio.timeout(10):
        async with aclosing(peer.listen()) as listening:
            await until(listening, tells(HEALTH, 0))
            await machine.write("DeviceHealth", ua.Variant(4, ua.VariantType.Int32))
            due = await until(listening, happens("health_maintenance_required"))
            await machine.write("State", ua.LocalizedText("NotExecuting"))
            stopped = await until(listening, happens("state_changed"))
        async with aclosing(peer.listen()) as listening:
            words = [await anext(listening) for _ in range(6)]
            await machine.write("DeviceHealth", ua.Variant(0, ua.VariantType.Int32))
            cured = await until(listening, happens("health_normal"))
    assert due.severity == "warning"
    assert stopped.details == {"state": "NotExecuting", "before": "Executing"}
    assert not any(isinstance(word, Happening) for word in words)
    assert cured.severity == "info"


async def test_a_node_and_a_namespace_that_are_not_there_are_named_in_the_log(
    machine, tmp_path: Path, caplog
) -> None:
    more = [{"name": "x", "path": "nsu=urn:none;i=1", "unit": "1"},
            {"name": "y", "path": "/Objects/Nobody", "unit": "1"}]  # fmt: skip
    settings = config(tmp_path, url=f"opc.tcp://127.0.0.1:{machine.port}/")
    mine = {"kind": "opcua", "mapping": settings.mapping, "url": settings.url, "channels": more}
    source = make_source(mine, Site(device="machine", folder=tmp_path))
    with caplog.at_level(logging.WARNING, "edge_agent"):
        async with asyncio.timeout(10), aclosing(source._peer.listen()) as listening:
            await until(listening, tells(SPEED, 1478.5))
    said = {getattr(r, "path", getattr(r, "uri", None)) for r in caplog.records}
    assert {f"nsu={URI};s=Nowhere", "urn:none", "/Objects/Nobody"} <= said


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"policy": "Basic256Sha256"}, "`policy` needs"),
        ({"username": "u", "password": "p"}, "needs a `policy` that encrypts, or `allow_clear`"),
        ({"channels": [{"name": "x", "path": "ns=2;s=x", "unit": "1"}]}, "neither nsu="),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_at_the_start(told, says, tmp_path) -> None:
    settings = {"kind": "opcua", "mapping": "opcua_machine", "url": "opc.tcp://h:1", **told}
    with pytest.raises(ConfigurationError, match=says):
        make_source(settings, Site(device="machine", folder=tmp_path))


async def test_only_who_proves_itself_over_an_encrypted_channel_reads(
    machine, tmp_path: Path
) -> None:
    ours = await certified(tmp_path, "edge-agent", ExtendedKeyUsageOID.CLIENT_AUTH)
    reach = {"url": f"opc.tcp://127.0.0.1:{machine.port}/", "username": READER, **ours}
    policy = {"policy": "Basic256Sha256", "server_certificate": machine.certificate}

    def listens(password: str) -> AsyncIterator[Word]:
        settings = config(tmp_path, password=password, **reach, **policy)
        return OpcUaPeer(settings, Site(device="machine", folder=tmp_path)).listen()

    async with asyncio.timeout(20):
        async with aclosing(listens(PASSWORD)) as listening:
            await until(listening, tells(SPEED, 1478.5))
        async with aclosing(listens("guess")) as listening:
            with pytest.raises(Unavailable):
                await anext(listening)


async def test_a_server_that_shows_another_certificate_is_refused(machine, tmp_path: Path) -> None:
    ours = await certified(tmp_path, "edge-agent", ExtendedKeyUsageOID.CLIENT_AUTH)
    other = await certified(tmp_path, "other", ExtendedKeyUsageOID.SERVER_AUTH)
    settings = config(
        tmp_path,
        url=f"opc.tcp://127.0.0.1:{machine.port}/",
        policy="Basic256Sha256",
        server_certificate=other["certificate"],
        **ours,
    )
    listening = OpcUaPeer(settings, Site(device="machine", folder=tmp_path)).listen()
    async with asyncio.timeout(20), aclosing(listening):
        with pytest.raises((Unavailable, OSError)):
            await anext(listening)


async def test_diagnostics_tell_how_the_server_is_and_which_nodes_it_lacks(
    machine, tmp_path: Path
) -> None:
    missing = {"name": "nowhere", "path": f"nsu={URI};s=Nowhere", "unit": "1"}
    settings = config(
        tmp_path, url=f"opc.tcp://127.0.0.1:{machine.port}/", channels=(Mapped(**missing),)
    )
    peer = OpcUaPeer(settings, Site(device="machine", folder=tmp_path))
    with pytest.raises(Unavailable, match="not connected"):
        await peer.run("diagnostics", {})
    async with asyncio.timeout(10), aclosing(peer.listen()) as listening:
        await until(listening, tells(SPEED, 1478.5))
        told = await peer.run("diagnostics", {})
    assert told["state"] == "Running"
    assert told["product"] == "FreeOpcUa Python Server"
    assert told["nodes_not_read"] == f"nsu={URI};s=Nowhere"
