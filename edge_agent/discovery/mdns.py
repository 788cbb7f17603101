"""Servers that announce themselves by multicast DNS: Moonraker's, OctoPrint's, PrusaLink's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from edge_agent.discovery.found import Found

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICES: Final = {"_moonraker._tcp.local.": "moonraker", "_octoprint._tcp.local.": "octoprint"}
ANSWER_MS: Final = 3000
_WANTS: Final = {
    "moonraker": {},
    "octoprint": {"api_key": "an application key, from OctoPrint's settings"},
}


async def browse(seconds: float, interfaces: Sequence[str] | None = None) -> list[Found]:
    """Listen for so long; `interfaces` are addresses of this machine, by default all.

    Raises:
        OSError: there is no network to ask.
    """
    seen: set[tuple[str, str]] = set()

    def noticed(
        zeroconf: Zeroconf,  # noqa: ARG001 - given by keyword
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        if state_change is not ServiceStateChange.Removed:
            seen.add((service_type, name))

    where = {} if interfaces is None else {"interfaces": list(interfaces)}
    async with AsyncZeroconf(ip_version=IPVersion.V4Only, **where) as zeroconf:  # type: ignore[arg-type]
        browser = AsyncServiceBrowser(zeroconf.zeroconf, list(SERVICES), handlers=[noticed])
        await asyncio.sleep(seconds)
        await browser.async_cancel()
        return [
            found
            for service, name in sorted(seen)
            if (found := await _asked(zeroconf, service, name)) is not None
        ]


async def _asked(zeroconf: AsyncZeroconf, service: str, name: str) -> Found | None:
    told = AsyncServiceInfo(service, name)
    if not await told.async_request(zeroconf.zeroconf, ANSWER_MS):
        return None
    addresses = told.parsed_addresses(IPVersion.V4Only)
    kind = SERVICES[service]
    if not addresses or told.port is None:
        return None
    path = (told.decoded_properties.get("path") or "").rstrip("/")
    prefix = told.decoded_properties.get("route_prefix") or path
    url = f"http://{addresses[0]}:{told.port}{_path(prefix)}"
    label = name.removesuffix(f".{service}")
    return Found(kind=kind, name=label, settings={"url": url}, wants=_WANTS[kind])


def _path(prefix: str) -> str:
    words = prefix.strip("/")
    return f"/{words}" if words else ""
