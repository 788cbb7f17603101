"""What an emulated printer reads, as Klipper's status objects; pure.

Fields: docs/Status_Reference.md of Klipper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from simulators.emulators.bench import FAN_ON_C
from simulators.emulators.printer import FILAMENT_MM2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.emulators.printer import ObedientPrinter

MESH_MIN: Final = (20.0, 20.0)
MESH_MAX: Final = (200.0, 200.0)
MESH: Final = ((0.02, 0.05, 0.03), (-0.01, 0.0, 0.04), (-0.06, -0.02, 0.01))
"""An ordinary bed's heights, mm."""
_MELTS_C: Final = 170.0
"""Klipper's min_extrude_temp by default."""
_MM_S: Final = 60.0
_MM_S_PER_FLOW: Final = 6.0
"""Engineering estimate: a head that lays 7 mm3/s moves at some 100 mm/s."""
HALTS: Final = {
    "heater_not_heating": "Heater extruder not heating at expected rate\n"
    "See the 'verify_heater' section in docs/Config_Reference.md\n"
    "for the parameters that control this check.\n",
    "thermistor_out_of_range": "MCU 'mcu' shutdown: ADC out of range\n"
    "This generally occurs when a heater temperature exceeds\n"
    "its configured min_temp or max_temp.\n",
    "under_voltage": "Lost communication with MCU 'mcu'\n",
}
"""What a failing part makes Klipper say as it shuts down; all others only end the print."""
MOTION: Final = "filament_motion_sensor motion"
RUNOUT: Final = "filament_switch_sensor runout"


@dataclass(slots=True, kw_only=True)
class Around:
    """What Klipper knows beside its sensors."""

    state: str = "ready"
    state_message: str = "Printer is ready"
    print_state: str = "standby"
    print_message: str = ""
    homed_axes: str = ""
    filament_moves: bool = True
    sd_path: str = ""
    stats: dict[str, float] = field(
        default_factory=lambda: {"bytes_retransmit": 9, "bytes_invalid": 0, "srtt": 0.001}
    )
    """Of the connection to its microcontroller."""


def objects(printer: ObedientPrinter, around: Around) -> dict[str, dict[str, Any]]:
    """Give every object's fields."""
    read = printer.values
    flow = read["flow"] if not printer.paused else 0.0
    at_work = printer.at_work and not printer.paused
    return {
        **_fixed(around),
        "webhooks": {"state": around.state, "state_message": around.state_message},
        "extruder": _heater(read, "hotend") | {"can_extrude": read["hotend_temp"] > _MELTS_C},
        "heater_bed": _heater(read, "bed"),
        "fan": {"speed": read["part_fan_cmd"], "rpm": read["part_fan_rpm"]},
        "heater_fan hotend_fan": {
            "speed": 1.0 if read["hotend_temp"] > FAN_ON_C else 0.0,
            "rpm": read["hotend_fan_rpm"],
        },
        "temperature_sensor chamber": {"temperature": read["chamber_temp"]},
        "tmc2240 extruder": {
            "temperature": read["driver_temp"] if at_work else None,
            "drv_status": {"stst": 1} if at_work else None,
            "run_current": 0.6,
        },
        "tmc2209 stepper_x": {
            "temperature": None,
            "drv_status": {"stst": 1} if at_work else None,
            "run_current": 0.8,
        },
        "motion_report": {
            "live_velocity": round(_MM_S + _MM_S_PER_FLOW * flow, 3) if flow > 0 else 0.0,
            "live_extruder_velocity": round(flow / FILAMENT_MM2, 4),
            "live_position": [0.0, 0.0, 0.0, 0.0],
        },
        "print_stats": {
            "filename": "simulated.gcode" if around.print_state != "standby" else "",
            "total_duration": round(printer.job_s, 2),
            "print_duration": round(printer.job_s, 2),
            "filament_used": round(printer.filament_mm, 3),
            "state": around.print_state,
            "message": around.print_message,
            "info": {"total_layer": None, "current_layer": None},
        },
        "idle_timeout": {
            "state": "Printing" if at_work else "Ready",
            "printing_time": printer.job_s,
        },
        "pause_resume": {"is_paused": printer.paused},
        MOTION: {"filament_detected": around.filament_moves, "enabled": True},
        RUNOUT: {"filament_detected": True, "enabled": True},
        "mcu": {"mcu_version": "simulated", "last_stats": dict(around.stats)},
        "toolhead": {"homed_axes": around.homed_axes, "stalls": 0, "position": [0.0] * 4},
        "virtual_sdcard": {
            "is_active": at_work,
            "progress": round(printer.progress, 4),
            "file_path": None,
        },
    }


def _heater(read: Mapping[str, float], name: str) -> dict[str, Any]:
    """Klipper tells temperatures to a hundredth."""
    return {
        "temperature": round(read[f"{name}_temp"], 2),
        "target": read[f"{name}_target"],
        "power": round(read[f"{name}_power"], 4),
    }


def _fixed(around: Around) -> dict[str, dict[str, Any]]:
    sensors = ["extruder", "heater_bed", "temperature_sensor chamber"]
    config = {"virtual_sdcard": {"path": around.sd_path}} if around.sd_path else {}
    return {
        "configfile": {"config": config, "settings": config, "warnings": []},
        "heaters": {
            "available_heaters": ["extruder", "heater_bed"],
            "available_sensors": sensors,
            "available_monitors": ["tmc2240 extruder"],
        },
        "display_status": {"progress": 0.0, "message": None},
        "bed_mesh": {
            "profile_name": "default",
            "mesh_min": list(MESH_MIN),
            "mesh_max": list(MESH_MAX),
            "probed_matrix": [list(row) for row in MESH],
        },
        "resonance_tester": {},
        "gcode_move": {"speed_factor": 1.0, "extrude_factor": 1.0},
    }
