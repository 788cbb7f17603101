"""Machines' servers on hosts that are named: looked through, so that a mapping can be drafted."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_agent.discovery.found import Found

OPC_UA_PORT: Final = 4840
MTCONNECT_PORT: Final = 5000


async def ask(places: list[str]) -> list[Found]:
    """Ask each place: `HOST`, `HOST:PORT`, `opc.tcp://...` or `http://...`."""
    found = await asyncio.gather(*(_ask(place) for place in places))
    return [one for some in found for one in some]


def is_url(place: str) -> bool:
    """Whether a place names its protocol, so that nothing else is asked there."""
    return "://" in place


async def _ask(place: str) -> list[Found]:
    # Each library comes with the extra `machines` alone.
    found: list[Found] = []
    if not place.startswith("http") and find_spec("asyncua"):
        from edge_agent.discovery import opcua  # noqa: PLC0415 - where it is installed

        server = await opcua.ask(_url("opc.tcp", place, OPC_UA_PORT))
        found += [] if server is None else [server]
    if not place.startswith("opc.tcp") and find_spec("defusedxml"):
        from edge_agent.discovery import mtconnect  # noqa: PLC0415 - likewise

        found += await mtconnect.ask(_url("http", place, MTCONNECT_PORT))
    return found


def _url(protocol: str, place: str, port: int) -> str:
    """Give an address.

    >>> _url("opc.tcp", "mill.lan", 4840)
    'opc.tcp://mill.lan:4840/'
    """
    if is_url(place):
        return place
    return f"{protocol}://{place}/" if ":" in place else f"{protocol}://{place}:{port}/"
