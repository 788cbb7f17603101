"""What a simulated excavator is made of: constants, effects of defects, what it carries along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from simulators.steps import Floats, Ints, Shorts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Constants of each unit [n] that the data file describes."""

    idle_speed: Floats
    work_speed: Floats
    work_load: Floats
    idle_fuel: Floats
    fuel_per_load: Floats
    cool_rise: Floats
    fan_top: Floats
    oil_pressure: Floats
    pressure: Floats
    standby: Floats
    hydraulic_rise: Floats
    filter_drop: Floats
    cycle: Floats
    charge: Floats
    can_errors: Floats
    climate: Floats
    style: Floats
    run_hours: Floats
    idle_share: Floats
    off_share: Floats
    noise: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Constants of each unit; `mix` is the cumulative share of what is dug [m, n]."""

    made: Drawn
    mix: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a defect of full size does; units in the data file."""

    pump_pressure: float
    pump_leak: float
    pump_heat: float
    pump_load: float
    filter_clog: float
    radiator_lost: float
    radiator_oil: float
    oil_lost: float
    charge_lost: float
    charge_ripple: float
    can_errors: float
    can_lost: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """How what is dug moves load, cycle and the filter's drop [m]."""

    names: tuple[str, ...]
    load: Floats
    cycle: Floats
    dust: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What an excavator carries from frame to frame [n]; `drift` is [4, n]."""

    phase: Shorts
    left_s: Floats
    ground: Ints
    batch: Floats
    wander: Floats
    drift: Floats
    coolant_c: Floats
    tank_c: Floats


class Wear(NamedTuple):
    """Size of each defect [n], in the order of the modes in the data file."""

    hydraulic_pump: Floats
    hydraulic_filter: Floats
    radiator: Floats
    oil_pump: Floats
    alternator: Floats
    can_harness: Floats
