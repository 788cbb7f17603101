"""`foremend agent discover`: find devices, and write what an agent needs to read each."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.discovery import hosts, machines, mdns, notices, ports
from edge_agent.discovery.found import Found, Home, configuration
from edge_agent.door.enrol import checked

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from typing import Any


def main(words: list[str]) -> None:
    """Find, print, and write where told to."""
    parser = _parser()
    told = parser.parse_args(words)
    # What a library thinks of a stranger's certificate is nothing that was asked here.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    if (told.url is None) is not (told.token is None):
        parser.error("--url and --token go together: name both, or enrol each device later")
    if told.url is not None:
        checked(told.url, allow_http=told.allow_http)
    found = asyncio.run(discover(told.seconds, told.host))
    if told.json:
        sys.stdout.write(json.dumps([asdict(one) | {"device": one.device} for one in found]) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))
    if told.write is not None:
        home = Home(
            tenant=told.tenant,
            broker=told.broker,
            url=told.url,
            token=told.token,
            allow_http=told.allow_http,
        )
        for one in found:
            file, sentence = write(one, home, told.write)
            sys.stdout.write(f"{sentence}\n")
            if file is not None:
                # A token lets one device in.
                home = replace(home, token=None)


async def discover(seconds: float, named: list[str]) -> list[Found]:
    """Ask all ways at once; one that is not open to us is told on standard error."""
    places = [*named, *([] if hosts.THIS in named else [hosts.THIS])]
    ways = {
        "multicast DNS": mdns.browse(seconds),
        "printers' notices": notices.listen(seconds),
        "named hosts": hosts.ask([place for place in places if not machines.is_url(place)]),
        "machines": machines.ask(places),
    }
    told = await asyncio.gather(*(_tried(name, way) for name, way in ways.items()))
    found = [one for some in told for one in some]
    return once([*found, *ports.serial_ports(), *ports.can_interfaces()])


async def _tried(name: str, way: Coroutine[Any, Any, list[Found]]) -> list[Found]:
    try:
        return await way
    except OSError as error:
        sys.stderr.write(f"foremend: {name} could not be asked: {error}\n")
        return []


def once(found: list[Found]) -> list[Found]:
    """Leave out what was found twice: one device, one address, however it was heard of."""
    first: dict[tuple[str, str], Found] = {}
    for one in found:
        url = one.settings.get("url")
        address = _address(str(url)) if url else one.settings.get("serial") or one.device
        first.setdefault((one.kind, str(address)), one)
    return list(first.values())


def _address(url: str) -> tuple[str, int | None]:
    """Give host and port; this machine is one host, whichever of its addresses is named."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((host, 0))
        host = hosts.THIS
    return host, parts.port


def write(one: Found, home: Home, folder: Path) -> tuple[Path | None, str]:
    """Write a device's configuration where none is; gives the file, and a sentence for a person."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{one.device}.toml"
    if one.mapping:
        _write_new(folder / one.mapping_file, one.mapping)
    if not _write_new(file, configuration(one, home)):
        return None, f"{file} is there already, and was left as it is"
    return file, "\n".join([str(file), *(f"  {step}" for step in _steps(one, home, file))])


def _steps(one: Found, home: Home, file: Path) -> Iterator[str]:
    """Say what is left to do until the device reports."""
    if one.mapping:
        yield f"look through:  {file.with_name(one.mapping_file)}, a draft of what it offers"
    if one.wants:
        yield f"write into it: {', '.join(one.wants)}"
    if home.token is None:
        yield f"let it in:     foremend device claim {one.device}, where the API runs; then here"
        yield f"               foremend agent enrol {file} --url URL --token TOKEN"
    yield f"start it:      foremend agent run {file}"


def _write_new(file: Path, text: str) -> bool:
    """Write a file where none is, for us alone, since it may come to hold secrets."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as sink:
        sink.write(text)
    return True


def _lines(found: list[Found]) -> list[str]:
    if not found:
        return [
            "nothing was found: is the printer on this network, and its announcements switched on?",
            "name its address with --host, or see docs/devices/ for a configuration by hand",
        ]
    return [
        f"{one.kind:<10} {one.device:<32} "
        + "  ".join(f"{name} = {value}" for name, value in one.settings.items())
        for one in found
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="foremend agent discover",
        description="Find printers and machines on the local network and on this machine's ports."
        " No port is opened, and nothing on a device is changed.",
    )
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="how long to listen (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="also ask this one, where announcements do not reach: a printer's host, or a machine's"
        " OPC UA server or MTConnect agent, whose values are drafted as a mapping; may be given"
        " again (this machine is asked in any case)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write a configuration for each device there"
    )
    parser.add_argument(
        "--tenant", default="demo", help="whose devices they are (default: %(default)s)"
    )
    parser.add_argument(
        "--broker",
        default="127.0.0.1:1883",
        metavar="HOST:PORT",
        help="where they report to, where an enrolment does not say so (default: %(default)s)",
    )
    parser.add_argument(
        "--url", help="of the API, from which the first device gets credentials of its own"
    )
    parser.add_argument("--token", help="from `foremend device claim`; good for one device")
    parser.add_argument("--allow-http", action="store_true", help="on a trusted network only")
    return parser
