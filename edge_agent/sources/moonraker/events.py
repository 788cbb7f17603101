"""Klipper's messages as events with stable codes; pure.

Texts: Klipper's sources (`klippy/mcu.py`, `klippy/extras/verify_heater.py`, `tmc.py`, `heaters.py`,
`virtual_sdcard.py`, `homing.py`) and its FAQ. What is not listed keeps its text under one code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["info", "warning", "error", "critical"]
UNKNOWN_ERROR: Final = "printer_error"
MOST_TEXT: Final = 256
"""Characters of a message that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a message of the printer's is known as."""

    code: str
    severity: Severity = "error"
    component: str | None = None


_TABLE: Final[tuple[tuple[str, str, Severity, str | None], ...]] = (
    (r"thermal runaway", "thermal_runaway", "critical", None),
    (r"Heater \S+ not heating at expected rate", "heater_not_heating", "critical", None),
    (r"ADC out of range|temperature .* not in range", "thermistor_out_of_range", "critical", None),
    (r"reports error: .*\buv_cp=1", "driver_under_voltage", "error", "psu"),
    (r"reports error: .*\b(ot|otpw)=1", "driver_over_temperature", "error", None),
    (r"reports error: .*\breset=1", "driver_reset", "error", None),
    (r"reports error: .*\b(s2g|s2vs)[ab]=1", "driver_short", "critical", None),
    (r"TMC \S+ failed to init|Unable to read tmc", "driver_lost", "error", None),
    (r"Lost communication with MCU", "mcu_lost", "critical", None),
    (
        r"MCU '\S+' error during connect|Unable to connect|mcu .* connect",
        "mcu_not_there",
        "error",
        None,
    ),
    (r"Timer too close|Rescheduled timer in the past", "mcu_timer", "error", None),
    (r"Missed scheduling of next", "mcu_late", "error", None),
    (r"M112 command|webhooks request|emergency stop", "emergency_stop", "error", None),
    (r"No trigger on|still triggered after retract", "endstop_failed", "error", None),
    (r"Probe triggered prior|Probe samples exceed|probe .* not", "probe_failed", "error", None),
    (r"below minimum temp", "cold_extrusion", "warning", None),
    (r"virtual_sdcard.*read|SD read error|Unable to open file", "sd_read_error", "error", None),
    (r"filament runout", "filament_runout", "warning", None),
    (r"Move out of range|Must home axis", "move_refused", "warning", None),
)
_HEATERS: Final = {
    "extruder": {
        "heater_not_heating": "hotend_heater",
        "thermistor_out_of_range": "hotend_thermistor",
    },
    "heater_bed": {"heater_not_heating": "bed_heater", "thermistor_out_of_range": "bed_thermistor"},
}
"""Which part a message means that names a heater of Klipper's."""


def known(message: str) -> Known:
    r"""Tell what a message is known as.

    >>> known("Heater extruder not heating at expected rate\nSee the ...").component
    'hotend_heater'
    """
    for pattern, code, severity, component in _TABLE:
        if re.search(pattern, message, re.IGNORECASE):
            return Known(code=code, severity=severity, component=component or _part(code, message))
    return Known(code=UNKNOWN_ERROR)


def _part(code: str, message: str) -> str | None:
    for heater, parts in _HEATERS.items():
        if re.search(rf"\b{heater}\b", message):
            return parts.get(code)
    return None


def first_line(message: str) -> str:
    """Give what of a message is kept: its first line, without Klipper's marks."""
    lines = message.strip().removeprefix("!!").strip().splitlines()
    return lines[0][:MOST_TEXT] if lines else ""


_UNDER_VOLTAGE: Final = 0b0001
_CAPPED: Final = 0b0110
_HOT: Final = 0b1000
"""Of `vcgencmd get_throttled`: now too low; frequency capped or throttled; soft limit of heat."""
_HOST_CODES: Final = (
    (_UNDER_VOLTAGE, "host_under_voltage"),
    (_CAPPED, "host_throttled"),
    (_HOT, "host_hot"),
)


def throttled(before: int, bits: int) -> list[str]:
    """Give the codes of what began between two states of the host's processor.

    >>> throttled(0, 0x50005)
    ['host_under_voltage', 'host_throttled']
    """
    return [code for mask, code in _HOST_CODES if bits & mask and not before & mask]
