"""Codes and figures in words, for the console's pages; pure.

What has no entry is shown as its code with spaces, so that a new component is never a blank.
"""

# ruff: noqa: RUF001, RUF002 - typographic signs are what people read

from __future__ import annotations

import math
from typing import Any, Final

UNKNOWN: Final = "–"
THIN: Final = "\N{NARROW NO-BREAK SPACE}"

UNITS: Final = {
    "Cel": "°C",
    "K": "K",
    "/min": "rpm",
    "{rpm}": "rpm",
    "1": "",
    "%": "%",
    "mm3/s": "mm³/s",
    "m3/h": "m³/h",
    "m/s2": "m/s²",
    "mm/s": "mm/s",
    "ms": "ms",
    "dB[mW]": "dBm",
    "By": "bytes",
    "/h": "per hour",
}
NAMES: Final = {
    "hotend_heater": "hot-end heater",
    "hotend_thermistor": "hot-end thermistor",
    "hotend_fan": "hot-end fan",
    "hotend_temp": "hot-end temperature",
    "hotend_temp_std": "hot-end temperature spread",
    "hotend_target": "hot-end target",
    "hotend_power": "hot-end power",
    "hotend_fan_rpm": "hot-end fan speed",
    "hotend_fan_cmd": "hot-end fan command",
    "aux_fan_cmd": "auxiliary fan command",
    "chamber_fan_cmd": "chamber fan command",
    "bed_power": "bed power",
    "bed_thermistor": "bed thermistor",
    "bed_heater": "bed heater",
    "driver_hot": "driver too hot",
    "mcu_bytes_resent": "bytes sent again to the board",
    "mcu_bytes_invalid": "bytes that the board garbled",
    "mcu_round_trip": "round trip to the board",
    "host_temp": "host's processor temperature",
    "odo_heat_cycles": "heat cycles, in all",
    "odo_extruded": "filament extruded, in all",
    "odo_travel": "way travelled, in all",
    "odo_running": "running hours, in all",
    "source_lost": "cannot be read",
    "source_back": "can be read again",
    "klippy_ready": "Klipper is ready",
    "klippy_shutdown": "Klipper has shut down",
    "klippy_error": "Klipper reports an error",
    "klippy_disconnected": "Klipper is gone",
    "part_fan": "part fan",
    "part_fan_rpm": "part fan speed",
    "part_fan_cmd": "part fan command",
    "bed_temp": "bed temperature",
    "bed_target": "bed target",
    "chamber_temp": "chamber temperature",
    "driver_temp": "driver temperature",
    "ambient_temp": "ambient temperature",
    "bearing_temp": "bearing temperature",
    "belt_x": "X belt",
    "belt_x_hz": "X belt resonance",
    "belt_x_damping": "X belt damping",
    "bearing_x": "X linear bearing",
    "driver_x_temp": "X driver temperature",
    "bed_mount": "bed mount",
    "bed_mesh_range": "bed mesh range",
    "heatsink_temp": "heat sink temperature",
    "board_temp": "mainboard temperature",
    "sd_card": "SD card",
    "sd_read_errors": "SD read errors",
    "wifi_rssi": "Wi-Fi signal",
    "heatup_gain": "heat-up gain",
    "hold_power": "hot-end hold power",
    "bed_hold_power": "bed hold power",
    "target_error": "hot-end temperature off target",
    "warmth_unasked": "hot-end warmth without heating",
    "part_fan_response": "part fan speed at full command",
    "hotend_fan_response": "hot-end fan speed at nominal voltage",
    "heatsink_rise": "heat sink above chamber",
    "driver_rise": "extruder driver above chamber",
    "driver_x_rise": "X driver above chamber",
    "board_rise": "mainboard above chamber",
    "extruder_effort": "extruder load for its flow",
    "zone": "vibration zone (0 is A, 3 is D)",
    "band_1x_at_speed": "vibration at 1×, for its speed",
    "band_2x_at_speed": "vibration at 2×, for its speed",
    "band_half_at_speed": "vibration at ½×, for its speed",
    "bearing_hum": "bearing band, for its speed",
    "gear_hum": "gear band, for its speed",
    "bearing_rise": "bearing above ambient",
    "gearbox_rise": "gearbox above ambient",
    "winding_rise": "windings above ambient at rated current",
    "filter_resistance": "filter resistance",
    "seal_loss": "barrier fluid lost",
    "head_at_speed": "discharge pressure, for its speed",
    "pressure_for_load": "hydraulic pressure for its load",
    "hydraulic_rise": "hydraulic oil above ambient",
    "fan_for_load": "fan speed for its load",
    "coolant_rise": "coolant above ambient",
    "oil_pressure_at_speed": "oil pressure, for its speed",
    "filter_drop_for_load": "hydraulic filter pressure drop, for its load",
    "psu": "power supply",
    "supply_v": "supply voltage",
    "bearing_de": "drive-end bearing",
    "vib_de": "vibration, drive end",
    "vib_nde": "vibration, non-drive end",
    "kurtosis_de": "kurtosis, drive end",
    "band_half": "vibration at ½×",
    "band_gear": "gear band",
    "gearbox_temp": "gearbox temperature",
    "motor_temp": "motor temperature",
    "coolant_temp": "coolant temperature",
    "hydraulic_temp": "hydraulic temperature",
    "hydraulic_filter_dp": "hydraulic filter pressure drop",
    "can_harness": "CAN harness",
    "can_fault": "CAN fault",
    "can_error_rate": "CAN error rate",
    "band_1x": "vibration at 1×",
    "band_2x": "vibration at 2×",
    "band_bearing": "bearing band",
    "filter_dp": "filter pressure drop",
    "fdm_printer": "FDM printer",
    "rotating_machine": "rotating machine",
    "self_repair": "self-repair kit",
    "self_repair_kit": "self-repair kit",
    "on_site": "on-site visit",
    "walk_in": "walk-in",
    "mail_in": "mail-in",
    "trade_in": "trade-in",
    "north_america": "North America",
    "europe": "Europe",
    "china": "China",
    "asia_pacific": "Asia-Pacific",
    "no_word": "nothing more was said of it",
    "stayed_below": "the risk stayed below the threshold",
    "never_confirmed": "it was never confirmed",
    "told": "the device told it",
    "told_again": "the device told it again",
    "well_again": "the device says that it is over",
    "runs_again": "the device runs again",
    "ran_on": "the device ran on without it",
    "fire": "fired",
    "wait": "waited",
    "resolve": "resolved",
    "acknowledge": "acknowledged",
    "no_fault_found": "no fault found",
    "remote_fix": "remote fix",
    "self_test": "self-test",
    "fan_verdict": "part fan",
    "fan_rpm": "part fan, rpm",
    "fan_spin_up_s": "part fan up to speed, s",
    "heater_verdict": "hot-end heater",
    "heater_gain_k_s": "heater gain, K/s",
    "heater_power": "heater power meanwhile",
    "heater_lag_s": "heater warmer by 2 K after, s",
    "heater_rise_k": "heater warmed by, K",
    "heater_start_c": "heater started at, °C",
    "heater_target_c": "heater told to reach, °C",
    "belt_x_verdict": "X belt",
    "belt_x_peak_hz": "X belt rings at, Hz",
    "belt_x_width_hz": "X belt, width of peak, Hz",
    "belt_y_verdict": "Y belt",
    "belt_y_peak_hz": "Y belt rings at, Hz",
    "belt_y_width_hz": "Y belt, width of peak, Hz",
}
_LEVELS: Final = {
    "last": "last hour",
    "short": "6-hour mean",
    "long": "24-hour mean",
    "spread": "spread",
    "peak": "peak",
    "heating": "while heating",
    "rest": "at rest",
}


def words(code: str | None) -> str:
    """Give a code in words.

    >>> words("hotend_fan")
    'hot-end fan'
    >>> words("nozzle_clog")
    'nozzle clog'
    """
    if not code:
        return UNKNOWN
    return NAMES.get(code) or code.replace("_", " ")


def title(code: str | None) -> str:
    """Give a code in words that begin a line; the rest keeps its capitals."""
    text = words(code)
    return text[:1].upper() + text[1:]


def unit(ucum: str | None) -> str:
    """Give a UCUM code as people write it."""
    return UNITS.get(ucum or "", ucum or "")


def number(value: float | None, digits: int = 3) -> str:
    """Give a number with so many significant digits and thin spaces between thousands.

    >>> number(0.12345)
    '0.123'
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, min(places, 6))
    text = f"{rounded:,.{min(places, 6)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace(",", THIN).replace("-", "\N{MINUS SIGN}")


def quantity(value: float | None, ucum: str | None) -> str:
    """Give a number with its unit.

    >>> quantity(61.24, "Cel")
    '61.2\N{NARROW NO-BREAK SPACE}°C'
    """
    shown, suffix = number(value), unit(ucum)
    return shown if shown == UNKNOWN or not suffix else f"{shown}{THIN}{suffix}"


def percent(share: float | None) -> str:
    """Give a share as a percentage; never a bare 0 or 100 for what is not quite that.

    >>> percent(0.9996)
    '>99%'
    """
    if share is None or not math.isfinite(share):
        return UNKNOWN
    if 0 < share < 0.01:  # noqa: PLR2004 - one per cent
        return "<1%"
    if 0.99 < share < 1:  # noqa: PLR2004 - ninety-nine
        return ">99%"
    return f"{100 * share:.0f}%"


def change(percent_change: float | None) -> str:
    """Give a signed change in per cent."""
    if percent_change is None or not math.isfinite(percent_change):
        return UNKNOWN
    sign = "+" if percent_change >= 0 else "\N{MINUS SIGN}"
    return f"{sign}{number(abs(percent_change), 2)}%"


def hours(value: float | None) -> str:
    """Give hours in the unit that a person would choose.

    >>> [hours(h).replace(THIN, " ") for h in (0.5, 9.4, 120.0)]
    ['30 min', '9.4 h', '5 d']
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size < 1:
        return f"{round(value * 60)}{THIN}min"
    if size < 72:  # noqa: PLR2004 - up to three days in hours
        return f"{number(value, 2)}{THIN}h"
    if size < 24 * 730:
        return f"{number(value / 24, 2 if size < 2400 else 3)}{THIN}d"  # noqa: PLR2004 - a hundred days
    return f"{number(value / 8766, 2)}{THIN}y"


def span(p10_h: float | None, p90_h: float | None) -> str:
    """Give an interval of hours.

    >>> span(5.2, 8.9)
    '5.2–8.9\N{NARROW NO-BREAK SPACE}h'
    """
    if p10_h is None and p90_h is None:
        return UNKNOWN
    if p90_h is None:
        return f"over {hours(p10_h)}"
    if p10_h is None:
        return f"within {hours(p90_h)}"
    low, high = hours(p10_h), hours(p90_h)
    one_unit = low.split(THIN)[-1] == high.split(THIN)[-1]
    return f"{low.split(THIN)[0] if one_unit else low}–{high}"


def money(amount: float | None, currency: str | None) -> str:
    """Give an amount with its currency."""
    if amount is None:
        return UNKNOWN
    return f"{amount:,.2f}".removesuffix(".00").replace(",", THIN) + (
        f"{THIN}{currency}" if currency else ""
    )


def level(code: Any) -> str:  # noqa: ANN401 - from a reason's parameters
    """Name the statistic that a reason compares."""
    return _LEVELS.get(str(code), words(str(code))) if code else ""
