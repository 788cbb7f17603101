"""Serial ports and CAN interfaces of this machine; none is opened, which may reset a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from serial.tools import list_ports

from edge_agent.discovery.found import Found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serial.tools.list_ports_common import ListPortInfo

CAN_TYPE: Final = "280"
"""ARPHRD_CAN, of a network interface (linux/if_arp.h)."""
USUAL_BAUD: Final = 115_200


def serial_ports(told: Iterable[ListPortInfo] | None = None) -> list[Found]:
    """Give USB serial ports, by the name that survives plugging in elsewhere where there is one."""
    ports = list_ports.comports() if told is None else told
    return [
        Found(
            kind="marlin",
            name=f"marlin-{port.serial_number or Path(port.device).name}",
            settings={"port": _lasting(port.device), "baud": USUAL_BAUD},
        )
        for port in sorted(ports, key=lambda port: port.device)
        if port.vid is not None
    ]


def _lasting(device: str, by_id: Path = Path("/dev/serial/by-id")) -> str:
    links = sorted(by_id.iterdir()) if by_id.is_dir() else []
    return next((str(link) for link in links if link.resolve() == Path(device)), device)


def can_interfaces(net: Path = Path("/sys/class/net")) -> list[Found]:
    """Give the CAN interfaces."""
    return [
        Found(
            kind="j1939",
            name=f"machine-{interface.name}",
            settings={
                "interface": "socketcan",
                "channel": interface.name,
                "mapping": "excavator",
            },
        )
        for interface in sorted(net.iterdir() if net.is_dir() else ())
        if _type_of(interface) == CAN_TYPE
    ]


def _type_of(interface: Path) -> str:
    try:
        return (interface / "type").read_text().strip()
    except OSError:
        return ""
