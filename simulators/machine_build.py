"""What a simulated machine is made of: constants, effects of defects, and what it carries along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from simulators.steps import Floats, Ints, Shorts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """Constants of each unit [n] that the data file describes."""

    rated_speed: Floats
    rated_flow: Floats
    rated_current: Floats
    shutoff_pressure: Floats
    curve_drop: Floats
    vibration_1x: Floats
    vibration_2x: Floats
    vibration_broad: Floats
    nde_transfer: Floats
    bearing_hum: Floats
    impulse: Floats
    bearing_rise: Floats
    filter_drop: Floats
    seal_loss: Floats
    refill_below: Floats
    demand: Floats
    demand_swing: Floats
    run_hours: Floats
    idle_share: Floats
    noise: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Constants of each unit; `mix` is the cumulative share of what is pumped [m, n]."""

    made: Drawn
    mix: Floats
    peak_h: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a defect of full size does; units in the data file."""

    bearing_hum: float
    bearing_impulse: float
    bearing_spread: float
    bearing_broad: float
    bearing_heat: float
    misalignment_2x: float
    misalignment_1x: float
    misalignment_heat: float
    imbalance_1x: float
    imbalance_head: float
    leak_rate: float
    leak_pressure: float
    clog_resistance: float
    clog_pressure: float
    clog_broad: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Medium:
    """How what is pumped moves current, pressure and the filter's drop [m]."""

    names: tuple[str, ...]
    current: Floats
    pressure: Floats
    fouling: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """What a machine carries from frame to frame [n]; `drift` is [5, n].

    `hours` since the start are the same for all.
    """

    phase: Shorts
    left_s: Floats
    medium: Ints
    batch: Floats
    wander: Floats
    drift: Floats
    bearing_c: Floats
    level: Floats
    upset: Ints
    hours: Floats


class Wear(NamedTuple):
    """Size of each part's defect [n], in the order of the parts in the data file."""

    bearing_de: Floats
    coupling: Floats
    impeller: Floats
    seal: Floats
    filter: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vibration:
    """Bands in mm/s RMS, the bearing band in m/s2, and the kurtosis [n]."""

    once: Floats
    twice: Floats
    broad: Floats
    bearing: Floats
    kurtosis: Floats
