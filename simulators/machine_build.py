"""What a simulated machine is made of: constants, effects of defects, and what it carries along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from simulators.steps import Floats, Ints, Shorts

_KNOCK: Final = 0.055
"""mm/s of overall velocity for each m/s2 in the bearing band."""


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
    vibration_half: Floats
    gear_mesh: Floats
    bearing_rise: Floats
    gear_rise: Floats
    motor_rise: Floats
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
    looseness_half: float
    looseness_harmonics: float
    looseness_impulse: float
    gear_mesh: float
    gear_broad: float
    gear_heat: float
    cooling_lost: float
    cooling_drag: float
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
    """What a machine carries from frame to frame [n]; `drift` is [7, n].

    `hours` since the start are the same for all.
    """

    phase: Shorts
    left_s: Floats
    medium: Ints
    batch: Floats
    wander: Floats
    drift: Floats
    bearing_c: Floats
    gear_c: Floats
    motor_c: Floats
    level: Floats
    upset: Ints
    hours: Floats


class Wear(NamedTuple):
    """Size of each defect [n], in the order of the modes in the data file."""

    bearing_de: Floats
    coupling: Floats
    impeller: Floats
    seal: Floats
    filter: Floats
    foundation: Floats
    gearbox: Floats
    motor: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vibration:
    """Bands in mm/s RMS, those of bearing and gear in m/s2, and the kurtosis [n]."""

    half: Floats
    once: Floats
    twice: Floats
    broad: Floats
    bearing: Floats
    gear: Floats
    kurtosis: Floats

    @property
    def drive_end(self) -> Floats:
        """Overall velocity at the drive end, mm/s RMS."""
        knock = _KNOCK * self.bearing
        bands = self.half**2 + self.once**2 + self.twice**2 + self.broad**2
        return np.asarray(np.sqrt(bands + knock**2))

    @property
    def other_end(self) -> Floats:
        """Overall velocity at the other end before its transfer, mm/s RMS."""
        knock = _KNOCK * self.bearing
        bands = self.half**2 + self.once**2 + 1.3 * self.twice**2 + self.broad**2
        return np.asarray(np.sqrt(bands + 0.1 * knock**2))
