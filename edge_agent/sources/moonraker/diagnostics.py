"""What a printer says of itself, in a bounded number of short answers; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge_agent.downlink.answers import fitting
from edge_agent.sources.moonraker.status import class_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.wire import Details

QUERIED: Final[dict[str, list[str]]] = {
    "canbus_stats": ["rx_error", "tx_error", "bus_state"],
    "extruder": ["temperature", "target", "power"],
    "heater_bed": ["temperature", "target", "power"],
    "mcu": ["mcu_version", "last_stats"],
    "print_stats": ["state", "message"],
    "tmc": ["drv_status", "temperature"],
    "toolhead": ["homed_axes", "stalls"],
    "webhooks": ["state", "state_message"],
}
_OF_MCU: Final = ("bytes_retransmit", "bytes_invalid", "srtt", "freq")


def summarise(
    *,
    server: Mapping[str, Any],
    printer: Mapping[str, Any],
    host: Mapping[str, Any],
    status: Mapping[str, Any],
) -> Details:
    """Give the answers, the most telling first; what is not known is left out."""
    throttled = host.get("throttled_state") or {}
    told: dict[str, object] = {
        "klippy_state": server.get("klippy_state"),
        "state_message": printer.get("state_message") or printer.get("refused"),
        "software": printer.get("software_version"),
        "moonraker": server.get("moonraker_version"),
        "failed_components": _joined(server.get("failed_components")),
        "warnings": len(server.get("warnings") or ()),
        "host_cpu_temp": host.get("cpu_temp"),
        "host_throttled": _joined(throttled.get("flags")),
        "host_uptime_s": host.get("system_uptime"),
    }
    for name, fields in status.items():
        if isinstance(fields, dict):
            told |= _of_object(name, fields)
    return fitting(told)


def _of_object(name: str, fields: Mapping[str, Any]) -> dict[str, object]:
    if class_of(name) == "mcu":
        stats = fields.get("last_stats") or {}
        kept = {key: stats.get(key) for key in _OF_MCU}
        told: dict[str, object] = {"version": fields.get("mcu_version"), **kept}
    elif class_of(name) == "tmc":
        flags = fields.get("drv_status")
        told = {"flags": _joined(flags), "temperature": fields.get("temperature")}
    else:
        told = dict(fields)
    return {f"{name}.{key}": value for key, value in told.items()}


def _joined(told: object) -> str | None:
    """Spell a list, or a table of flags, as one line."""
    if isinstance(told, dict):
        return " ".join(f"{key}={value}" for key, value in told.items())
    return ", ".join(map(str, told)) if isinstance(told, list) and told else None
