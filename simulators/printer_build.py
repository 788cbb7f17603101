"""What a simulated printer is made of: constants, effects of defects, and what it carries along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from simulators import jobs
    from simulators.steps import Floats


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
    extruder_load: Floats
    belt_tone: Floats
    belt_thermal: Floats
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
    clog_flow_lost: float
    clog_driver_rise: float
    clog_load: float
    part_fan_lost: float
    hotend_fan_lost: float
    heat_break_loss: float
    belt_tone_lost: float
    supply_drop: float
    supply_ohm: float
    supply_ripple: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What a printer carries along [n]; `temp` and `walk` are [2, n], `drift` is [4, n]."""

    jobs: jobs.Jobs
    temp: Floats
    sensor_error: Floats
    amps: Floats
    chamber: Floats
    driver: Floats
    walk: Floats
    drift: Floats
    belt_hz: Floats


class Wear(NamedTuple):
    """Size of each part's defect [n], in the order of the parts in the data file."""

    hotend_heater: Floats
    hotend_thermistor: Floats
    nozzle: Floats
    part_fan: Floats
    hotend_fan: Floats
    belt_x: Floats
    psu: Floats
