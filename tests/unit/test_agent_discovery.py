"""What is found, how it is told apart from the rest, and configurations that are right."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from edge_agent.config import read_config
from edge_agent.discovery import hosts, machines, mdns, notices, ports
from edge_agent.discovery.command import once, write
from edge_agent.discovery.drafts import Draft, Seen
from edge_agent.discovery.found import Found, Home
from edge_agent.live.mapping import Mapping, load
from edge_agent.site import Site
from edge_agent.sources.kinds import make_source
from tests.peers.mtconnect import Agent, running
from tests.peers.opcua import URI, at_rest

if TYPE_CHECKING:
    from pathlib import Path

NOTICE = (
    b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nUSN: 01S00A123\r\n"
    b"NT: urn:bambulab-com:device:3dprinter:1\r\nDevName.bambu.com: Lab 3\r\n\r\n"
)


def test_a_notice_names_the_printer_and_what_its_owner_must_add() -> None:
    found = notices.read_notice(NOTICE, "10.0.0.7")

    assert found is not None
    assert (found.kind, found.device) == ("bambu", "Lab-3")
    assert found.settings == {"host": "10.0.0.7", "serial": "01S00A123"}
    assert set(found.wants) == {"password"}


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"M-SEARCH * HTTP/1.1\r\n",
        NOTICE.replace(b"bambulab", b"another"),
        NOTICE.replace(b"01S00A123", b"../../etc"),
        b"\xff" * 9000,
    ],
)
def test_what_is_no_notice_finds_nothing(datagram: bytes) -> None:
    assert notices.read_notice(datagram, "10.0.0.7") is None


async def test_a_notice_is_heard_from_the_network() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    listening = asyncio.create_task(notices.listen(0.5, port))
    await asyncio.sleep(0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as printer:
        printer.sendto(NOTICE, ("127.0.0.1", port))
        printer.sendto(NOTICE, ("127.0.0.1", port))
    assert [found.device for found in await listening] == ["Lab-3"]


async def test_servers_that_announce_themselves_are_found() -> None:
    service = "_octoprint._tcp.local."
    told = AsyncServiceInfo(
        service,
        f'OctoPrint "Lab" on pi.{service}',
        addresses=[socket.inet_aton("127.0.0.1")],
        port=5000,
        properties={"path": "/octo/"},
        server="foremend-test.local.",
    )
    async with AsyncZeroconf(ip_version=IPVersion.V4Only, interfaces=["127.0.0.1"]) as zeroconf:
        await zeroconf.async_register_service(told)
        found = await mdns.browse(1.0, ["127.0.0.1"])
        await zeroconf.async_unregister_service(told)

    (one,) = [one for one in found if "Lab" in one.name]
    assert (one.kind, one.settings["url"]) == ("octoprint", "http://127.0.0.1:5000/octo")


async def test_a_named_host_is_asked_and_one_that_is_something_else_is_not_taken() -> None:
    answers = {
        "/server/info": b'{"result": {"klippy_state": "ready"}}',
        "/api/version": b'{"api": "0.1", "text": "OctoPrint 1.11"}',
    }
    async with serving(answers) as port:
        found = await hosts.ask([f"127.0.0.1:{port}"])
    async with serving({"/server/info": b'"result"', "/api/version": b"<html>"}) as other:
        nothing = await hosts.ask([f"127.0.0.1:{other}", "127.0.0.1:1"])

    assert {one.kind for one in found} == {"moonraker", "octoprint"}
    assert nothing == []


def serving(answers: dict[str, bytes]):
    from contextlib import asynccontextmanager  # noqa: PLC0415 - beside its use

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = answers.get(path, b"")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def opened():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    return opened()


def test_usb_serial_ports_are_told_and_others_are_not() -> None:
    usb = SimpleNamespace(device="/dev/ttyUSB0", serial_number="A50285BI", vid=0x0403)
    board = SimpleNamespace(device="/dev/ttyS0", serial_number=None, vid=None)

    (found,) = ports.serial_ports([usb, board])  # type: ignore[list-item]

    assert (found.kind, found.device) == ("marlin", "marlin-A50285BI")
    assert found.settings["port"] == "/dev/ttyUSB0"


def test_can_interfaces_are_told_by_their_type(tmp_path: Path) -> None:
    for name, kind in (("can0", "280"), ("eth0", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "type").write_text(f"{kind}\n")

    (found,) = ports.can_interfaces(tmp_path)

    assert (found.kind, found.settings["channel"]) == ("j1939", "can0")


def test_a_configuration_that_is_written_can_be_read_and_is_never_overwritten(
    tmp_path: Path,
) -> None:
    found = Found(
        kind="moonraker", name='Voron "2.4" #1\\', settings={"url": "http://10.0.0.5:7125"}
    )
    home = Home(tenant="demo", broker="broker.example:8883", url="https://f.example", token="t")

    _, told = write(found, home, tmp_path / "agents")
    _, again = write(found, home, tmp_path / "agents")

    file = tmp_path / "agents" / f"{found.device}.toml"
    config = read_config(file)
    assert f"foremend agent run {file}" in told
    assert "is there already" in again
    assert file.stat().st_mode & 0o077 == 0
    assert (config.agent.device, config.agent.broker.port) == ("Voron-2-4-1", 8883)
    assert config.source == {"kind": "moonraker", "url": "http://10.0.0.5:7125"}
    assert config.enrol is not None


def test_each_configuration_that_is_written_is_one_that_an_agent_takes(tmp_path: Path) -> None:
    (tmp_path / "can0").mkdir()
    (tmp_path / "can0" / "type").write_text("280\n")
    usb = SimpleNamespace(device="/dev/ttyUSB0", serial_number="A5", vid=0x0403)
    printer = notices.read_notice(NOTICE, "10.0.0.7")
    assert printer is not None
    found = [
        *ports.can_interfaces(tmp_path),
        *ports.serial_ports([usb]),  # type: ignore[list-item]
        Found(kind="moonraker", name="voron", settings={"url": "http://10.0.0.5:7125"}),
        Found(kind="octoprint", name="octo", settings={"url": "http://o", "api_key": "k"}),
        replace(printer, settings={**printer.settings, "password": "12345678"}, wants={}),
    ]

    for one in found:
        file, _ = write(one, Home(), tmp_path / "agents")
        assert file is not None
        make_source(read_config(file).source, Site(device=one.device, folder=tmp_path))


def test_without_a_token_it_says_how_a_device_is_let_in(tmp_path: Path) -> None:
    _, told = write(Found(kind="moonraker", name="voron", settings={}), Home(), tmp_path)

    assert "foremend device claim voron" in told
    assert f"foremend agent enrol {tmp_path / 'voron.toml'} --url URL --token TOKEN" in told


async def test_a_server_on_this_machine_bears_the_machines_own_name() -> None:
    answers = {"/server/info": b'{"result": {"klippy_state": "ready"}}'}
    async with serving(answers) as port:
        (one,) = await hosts.ask([f"127.0.0.1:{port}"])

    assert one.name == f"moonraker-{socket.gethostname()}"


def test_one_server_under_two_addresses_of_this_machine_is_one_device() -> None:
    near = Found(kind="moonraker", name="voron", settings={"url": "http://127.0.0.1:7125"})
    same = Found(kind="moonraker", name="again", settings={"url": "http://127.0.0.2:7125"})
    other = Found(kind="moonraker", name="other", settings={"url": "http://192.0.2.9:7125"})

    assert [one.name for one in once([near, same, other])] == ["voron", "other"]


def test_the_command_says_what_it_found_as_json() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "edge_agent", "discover", "--seconds", "0.1", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert isinstance(json.loads(run.stdout), list)


async def test_a_machine_that_can_be_looked_at_gets_a_mapping_that_reads_it(tmp_path: Path) -> None:
    server = await at_rest()
    (found,) = await machines.ask([f"127.0.0.1:{server.port}"])
    write(found, Home(), tmp_path)
    config = read_config(tmp_path / f"{found.device}.toml")
    mapping = load(str(tmp_path / config.source["mapping"]))
    paths = {channel.name: channel.path for channel in mapping.channels}
    assert paths["speed"] == f"nsu={URI};s=Speed"
    assert {"current", "device_health"} <= set(paths)
    speed = next(channel for channel in mapping.channels if channel.name == "speed")
    assert (speed.unit, speed.low, speed.high) == ("/min", 0.0, 3000.0)
    assert mapping.job is not None
    assert mapping.job.path == f"nsu={URI};s=CurrentState"
    assert mapping.job.read("Executing") == "running"


async def test_an_mtconnect_agents_machine_gets_a_mapping_that_reads_it(tmp_path: Path) -> None:
    async with running(Agent()) as port:
        (found,) = await machines.ask([f"http://127.0.0.1:{port}"])
    write(found, Home(), tmp_path)
    mapping = load(str(tmp_path / found.mapping_file))
    assert (found.kind, found.device, mapping.model) == ("mtconnect", "Lathe", "Acme L7")
    told = {channel.name: (channel.path, channel.unit) for channel in mapping.channels}
    assert told == {
        "sspeed": ("Rotary[C]/ROTARY_VELOCITY/ACTUAL", "/min"),
        "commanded_rotary_velocity": ("Rotary[C]/ROTARY_VELOCITY/COMMANDED", "1"),
        "amps": ("Rotary[C]/AMPERAGE", "1"),
        "temperature": ("Rotary[C]/TEMPERATURE", "1"),
        "static_stiffness": ("Rotary[C]/x:STIFFNESS/x:STATIC", "1"),
        "position": ("Linear[X]/POSITION", "1"),
        "z_position": ("Linear[Z]/POSITION", "1"),
    }
    assert mapping.job is not None
    assert mapping.job.path == "Controller/EXECUTION"


async def test_where_no_machine_answers_nothing_is_found() -> None:
    async with serving({"/": b"<html>"}) as web:
        assert await machines.ask([f"127.0.0.1:{web}", "opc.tcp://127.0.0.1:1/"]) == []


def test_whatever_is_found_gets_a_configuration_that_a_source_can_be_made_of(
    tmp_path: Path,
) -> None:
    (tmp_path / "net" / "can0").mkdir(parents=True)
    (tmp_path / "net" / "can0" / "type").write_text("280\n")
    usb = SimpleNamespace(device="/dev/ttyUSB0", serial_number="A50285BI", vid=0x0403)
    for found in (*ports.can_interfaces(tmp_path / "net"), *ports.serial_ports([usb])):  # type: ignore[list-item]
        write(found, Home(), tmp_path / "agents")
        config = read_config(tmp_path / "agents" / f"{found.device}.toml")
        make_source(config.source, Site(device=found.device, folder=tmp_path))


NAMES = st.tuples(st.text(max_size=80), st.text(max_size=80))


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=12))
def test_whatever_values_are_called_each_gets_a_name_of_its_own(
    called: list[tuple[str, ...]],
) -> None:
    seen = tuple(
        Seen(path=f"i={at}", names=names, unit=names[-1]) for at, names in enumerate(called)
    )
    text = Draft(model='a "b" \\', source="s", seen=seen).toml()
    mapping = msgspec.toml.decode(text, type=Mapping)
    assert [channel.path for channel in mapping.channels] == [one.path for one in seen]
