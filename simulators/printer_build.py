"""What a simulated printer is made of: constants, effects of defects, and what it carries along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from simulators import jobs
    from simulators.steps import Floats
    from simulators.thermal import Pid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Constants of each unit [n] that the data file describes."""

    hotend_capacity: Floats
    hotend_loss: Floats
    hotend_fan_loss: Floats
    hotend_watts: Floats
    bed_capacity: Floats
    bed_loss: Floats
    bed_watts: Floats
    idle_amps: Floats
    supply_offset: Floats
    supply_ohm: Floats
    hotend_fan_top: Floats
    part_fan_top: Floats
    driver_rise: Floats
    driver_x_rise: Floats
    extruder_load: Floats
    encoder: Floats
    belt_tone: Floats
    belt_thermal: Floats
    belt_damping: Floats
    mesh_range: Floats
    stalls: Floats
    sink_rise: Floats
    board_rise: Floats
    wifi: Floats
    chamber_rise: Floats
    drift_cold: Floats
    flow_scale: Floats
    idle_hours: Floats
    job_hours: Floats
    noise: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Constants of each unit, and how it is used."""

    made: Drawn
    habits: jobs.Habits


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a defect of full size does; units in the data file."""

    heater_watts_lost: float
    thermistor_cold: float
    thermistor_gain: float
    thermistor_steps: float
    contact_share: float
    open_depth: float
    short_depth: float
    leak: float
    leak_board_rise: float
    clog_flow_lost: float
    clog_grip: float
    clog_driver_rise: float
    clog_load: float
    gear_slip: float
    gear_load: float
    part_fan_lost: float
    hotend_fan_lost: float
    heat_break_loss: float
    belt_tone_lost: float
    belt_damping: float
    bearing_driver_rise: float
    bearing_damping: float
    mesh_drift: float
    supply_drop: float
    supply_ohm: float
    supply_ripple: float
    stalls: float
    stall_flow_lost: float
    runout_load: float
    tangle_load: float
    tangle_slip: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """What all printers of this kind have in common."""

    fx: Effects
    stock: jobs.Materials
    usual: jobs.Statistics
    pid: Pid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What a printer carries along [n]; `temp`, `integral`, `rate` are [2, n], `walk` is [3, n].

    `drift` is [4, n]. What is measured at the start of a job stands until the next one begins.
    """

    jobs: jobs.Jobs
    temp: Floats
    integral: Floats
    rate: Floats
    sensor_error: Floats
    amps: Floats
    chamber: Floats
    driver: Floats
    driver_x: Floats
    heatsink: Floats
    board: Floats
    walk: Floats
    drift: Floats
    belt_hz: Floats
    damping: Floats
    mesh: Floats


class Wear(NamedTuple):
    """Size of each defect [n], in the order of the modes in the data file."""

    hotend_heater: Floats
    hotend_thermistor: Floats
    thermistor_open: Floats
    thermistor_short: Floats
    mainboard: Floats
    nozzle: Floats
    extruder_gear: Floats
    part_fan: Floats
    hotend_fan: Floats
    belt_x: Floats
    bearing_x: Floats
    bed_mount: Floats
    psu: Floats
    sd_card: Floats
    spool: Floats
    filament_tangle: Floats
