"""asyncua's own server."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography.x509.oid import ExtendedKeyUsageOID

from edge_agent.site import Site
from edge_agent.sources.opcua.peer import OpcUaConfig, make
from tests.peers.relay import Relayed, tcp_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncua import Node

    from tests.peers.relay import TcpRelay

URI: Final = "urn:example:machine"
READER, PASSWORD = "reader", "s3cret"
AT_REST: Final = (
    ("Speed", 1478.5),
    ("Current", 78.25),
    ("DeviceHealth", 0),
    ("State", ua.LocalizedText("Executing")),
)
TYPES: Final = {"DeviceHealth": ua.VariantType.Int32}
MAPPING: Final = f"""
family = "rotating_machine"
model = "Machine with a server"
source = "made up for tests"
delta = true
[[channels]]
name = "speed"
path = "nsu={URI};s=Speed"
unit = "/min"
[[channels]]
name = "motor_current"
path = "/Objects/{{{URI}}}Machine/{{{URI}}}Motor/{{{URI}}}Current"
unit = "A"
[[channels]]
name = "device_health"
path = "nsu={URI};s=DeviceHealth"
unit = "1"
kind = "state"
[[channels]]
name = "nowhere"
path = "nsu={URI};s=Nowhere"
unit = "1"
[job]
path = "nsu={URI};s=State"
words = {{ Executing = "running", NotExecuting = "idle" }}
"""


async def certified(folder: Path, name: str, use: object) -> dict[str, str]:
    """Make a key and a certificate signed with it; gives their files."""
    key, certificate = folder / f"{name}.key.pem", folder / f"{name}.der"
    await setup_self_signed_certificate(
        key, certificate, f"urn:foremend:{name}", "localhost", [use], {"commonName": name}
    )
    return {"certificate": str(certificate), "private_key": str(key)}


class Readers(UserManager):
    """Lets in anybody who says no name, and one who does."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        known = username is None or (username, password) == (READER, PASSWORD)
        return User(role=UserRole.Admin) if known else None


class Machine:
    """A server with a machine in it, in a thread: building its address space takes seconds, so
    that all tests of a process share one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(1))
        threading.Thread(target=self.loop.run_forever, name="opcua peer", daemon=True).start()
        self.nodes: dict[str, Node] = {}
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(60)

    async def write(self, name: str, value: object) -> None:
        """Write a variable; a DataValue goes out with the status and the time that it has."""
        writing = self.nodes[name].write_value(value)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(writing, self.loop))

    async def _start(self) -> int:
        self.server = Server(user_manager=Readers())
        await self.server.init()
        folder = Path(tempfile.mkdtemp(prefix="opcua-peer-"))
        files = await certified(folder, "server", ExtendedKeyUsageOID.SERVER_AUTH)
        await self.server.set_application_uri("urn:foremend:server")
        await self.server.load_certificate(files["certificate"])
        await self.server.load_private_key(files["private_key"])
        self.certificate = files["certificate"]
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self.server.set_endpoint("opc.tcp://127.0.0.1:0/")
        both = ("NoSecurity", "Basic256Sha256_SignAndEncrypt")
        self.server.set_security_policy([ua.SecurityPolicyType[name] for name in both])
        await self._furnish()
        await self.server.start()
        return self.server.bserver._server.sockets[0].getsockname()[1]

    async def _furnish(self) -> None:
        # Another namespace before ours, so that ours has no index that anyone could guess.
        await self.server.register_namespace("urn:example:other")
        index = await self.server.register_namespace(URI)

        def named(name: str) -> tuple[ua.NodeId, ua.QualifiedName]:
            return ua.NodeId(name, index), ua.QualifiedName(name, index)

        machine = await self.server.nodes.objects.add_object(*named("Machine"))
        motor = await machine.add_object(*named("Motor"))
        for place, (name, value) in zip((machine, motor, machine, machine), AT_REST, strict=True):
            node = await place.add_variable(*named(name), ua.Variant(value, TYPES.get(name)))
            self.nodes[name] = node
        state = await machine.add_object(*named("MachineryItemState"))
        told = ua.Variant(ua.LocalizedText("Executing"))
        await state.add_variable(*named("CurrentState"), told)
        unit = ua.EUInformation(DisplayName=ua.LocalizedText("r/min"))
        for name, value in (("EngineeringUnits", unit), ("EURange", ua.Range(0.0, 3000.0))):
            await self.nodes["Speed"].add_property(index, name, ua.Variant(value))


@functools.cache
def machine() -> Machine:
    """Give the server of this process."""
    return Machine()


async def at_rest() -> Machine:
    """Give it with the values that it began with."""
    running = await asyncio.to_thread(machine)
    for name, value in AT_REST:
        await running.write(name, ua.Variant(value, TYPES.get(name)))
    return running


def config(folder: Path, **more: object) -> OpcUaConfig:
    mapping = folder / "opcua.toml"
    mapping.write_text(MAPPING)
    periods = {"every_s": 0.05, "publish_s": 0.05, "timeout_s": 2.0}
    bounds = {"stale_after_s": 1.5, "silence_s": 1.2}
    return OpcUaConfig(mapping=str(mapping), **(periods | bounds | more))


class OpcUaStage(Relayed):
    tolerance = 1e-9
    patience_s = 10.0

    def __init__(self, machine: Machine, relay: TcpRelay, folder: Path) -> None:
        self.machine, self.relay = machine, relay
        self.shows = {"speed": 1478.5, "motor_current": 78.25}
        url = f"opc.tcp://127.0.0.1:{relay.port}/"
        self.source = make(config(folder, url=url), Site(device="machine", folder=folder))

    async def show(self) -> None:
        self.shows = {name: value + 3 for name, value in self.shows.items()}
        await self.machine.write("Speed", self.shows["speed"])
        await self.machine.write("Current", self.shows["motor_current"])

    async def babble(self) -> None:
        bad = ua.StatusCode(ua.StatusCodes.BadSensorFailure)
        await self.machine.write("Current", ua.DataValue(ua.Variant(4e9), StatusCode=bad))
        await self.machine.write("Speed", float("nan"))
        await self.relay.babble(b"MSGF\x40\x00\x00\x00" + os.urandom(56))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[OpcUaStage]:
    running = await at_rest()
    async with tcp_relay(running.port) as relay:
        yield OpcUaStage(running, relay, folder)
