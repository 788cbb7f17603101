"""Machines' servers on hosts that are named: looked through, so that a mapping can be drafted."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_agent.discovery.found import Found

OPC_UA: Final = "opc.tcp://"
OPC_UA_PORT: Final = 4840


async def ask(places: list[str]) -> list[Found]:
    """Ask each place: `HOST`, `HOST:PORT` or `opc.tcp://...`."""
    # asyncua is large, and comes with the extra `machines` alone.
    if not places or find_spec("asyncua") is None:
        return []
    from edge_agent.discovery import opcua  # noqa: PLC0415 - where it is installed

    found = await asyncio.gather(*(opcua.ask(_url(place)) for place in places))
    return [one for one in found if one is not None]


def is_url(place: str) -> bool:
    """Whether a place names its protocol, so that nothing else is asked there."""
    return "://" in place


def _url(place: str) -> str:
    """Give the address of an OPC UA server.

    >>> _url("mill.lan")
    'opc.tcp://mill.lan:4840/'
    """
    if is_url(place):
        return place
    return f"{OPC_UA}{place}/" if ":" in place else f"{OPC_UA}{place}:{OPC_UA_PORT}/"
