"""Printers that broadcast who they are, as Bambu Lab's do every few seconds on UDP port 2021.

The form is that of SSDP, at another port (jonans/bsnotify, README; ha-bambulab).
"""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.discovery.found import Found
from edge_agent.sources.bambu.trust import fingerprint_of
from foremend.errors import Unavailable
from foremend.values import ID_PATTERN

PORT: Final = 2021
MAX_NOTICE: Final = 4096
"""Bytes; a notice is some 500."""
MQTT_PORT: Final = 8883
_TYPE: Final = "urn:bambulab-com:device:3dprinter"


def read_notice(datagram: bytes, host: str) -> Found | None:
    """Read one; None for what is none."""
    text = datagram[:MAX_NOTICE].decode("utf-8", "replace")
    head, *lines = text.splitlines() or [""]
    if not head.upper().startswith("NOTIFY"):
        return None
    pairs = (line.partition(":") for line in lines if ":" in line)
    told = {name.strip().lower(): value.strip() for name, _, value in pairs}
    serial = told.get("usn", "")
    if not told.get("nt", "").startswith(_TYPE) or not ID_PATTERN.match(serial):
        return None
    return Found(
        kind="bambu",
        name=told.get("devname.bambu.com") or serial,
        settings={"host": host, "serial": serial},
        wants={"password": "the access code, from the printer's network settings"},
    )


class _Listener(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.found: dict[str, Found] = {}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        found = read_notice(data, addr[0])
        if found is not None:
            self.found[str(found.settings["serial"])] = found


async def listen(seconds: float, port: int = PORT) -> list[Found]:
    """Listen for so long; a printer that answers by TLS is told with its fingerprint.

    Raises:
        OSError: the port is taken, for example by a slicer that runs.
    """
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(
        _Listener, local_addr=("0.0.0.0", port), allow_broadcast=True  # noqa: S104 - broadcasts
    )  # fmt: skip
    try:
        await asyncio.sleep(seconds)
    finally:
        transport.close()
    return [await _pinned(found) for _, found in sorted(listener.found.items())]


async def _pinned(found: Found) -> Found:
    try:
        shown, _ = await asyncio.to_thread(
            fingerprint_of, str(found.settings["host"]), MQTT_PORT, 3.0
        )
    except Unavailable:
        return found
    settings = {**found.settings, "fingerprint": shown}
    return Found(kind=found.kind, name=found.name, settings=settings, wants=found.wants)
