"""A machine's shaft line: vibration by bands, and the heat of bearing, gears and motor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.machine_build import Vibration
from simulators.thermal import towards

if TYPE_CHECKING:
    from simulators.machine_build import Drawn, Effects, State, Wear
    from simulators.physics import Around
    from simulators.steps import Floats

_DRIFT: Final = np.array([[0.10], [0.12], [0.08], [0.10], [0.05], [0.16], [0.09]])
DRIFTS: Final = len(_DRIFT)
_BEARING_TAU_S: Final = 2400.0
_GEAR_TAU_S: Final = 4200.0
_MOTOR_TAU_S: Final = 2700.0


def vibration(
    made: Drawn, fx: Effects, state: State, wear: Wear, ratio: Floats, load: Floats
) -> Vibration:
    """Give the bands: each defect has its own, and looseness shakes all of them at half speed too.

    Imbalance grows with the square of speed; gears hum with the torque that they carry.
    """
    upset, drift = np.where(state.upset > 0, 1.0, 0.0), np.exp(_DRIFT * state.drift)
    loose = fx.looseness_harmonics * wear.foundation
    once = 1.0 + fx.imbalance_1x * wear.impeller + fx.misalignment_1x * wear.coupling + loose
    twice = 1.0 + fx.misalignment_2x * wear.coupling + loose
    late = wear.bearing_de * wear.bearing_de
    broad = 1.0 + fx.bearing_broad * late + fx.clog_broad * wear.filter**3 + 1.1 * upset
    broad += fx.gear_broad * wear.gearbox + 0.4 * loose
    spalls = wear.bearing_de * np.exp(1.0 - wear.bearing_de / fx.bearing_spread) / fx.bearing_spread
    hum = ratio**1.5 * (0.6 + 0.5 * load)
    half = made.vibration_half * ratio * drift[5] * (1.0 + fx.looseness_half * wear.foundation)
    rattle = fx.looseness_impulse * wear.foundation
    return Vibration(
        half=half,
        once=made.vibration_1x * ratio**2 * once * drift[0],
        twice=made.vibration_2x * ratio * twice * drift[1],
        broad=made.vibration_broad * ratio * (0.7 + 0.4 * load) * broad * drift[2],
        bearing=made.bearing_hum * drift[3] * hum * (1.0 + fx.bearing_hum * late**0.8),
        gear=made.gear_mesh * drift[6] * hum * (1.0 + fx.gear_mesh * wear.gearbox),
        kurtosis=made.impulse * drift[4] + fx.bearing_impulse * spalls + rattle + 2.5 * upset,
    )


def bearing(
    made: Drawn, fx: Effects, state: State, wear: Wear, work: Floats, around: Around
) -> Floats:
    """Bearing temperature, degC: first order towards ambient and friction."""
    extra = fx.bearing_heat * wear.bearing_de**2 + fx.misalignment_heat * wear.coupling
    goal = around.room_c + (made.bearing_rise + extra) * work
    return towards(state.bearing_c, goal, around.dt_s, _BEARING_TAU_S)


def gearbox(
    made: Drawn, fx: Effects, state: State, wear: Wear, work: Floats, around: Around
) -> Floats:
    """Temperature of the gearbox's oil, degC."""
    goal = around.room_c + (made.gear_rise + fx.gear_heat * wear.gearbox) * work
    return towards(state.gear_c, goal, around.dt_s, _GEAR_TAU_S)


def motor(
    made: Drawn, fx: Effects, state: State, wear: Wear, share: Floats, around: Around
) -> Floats:
    """Temperature of the motor's windings, degC: copper losses against what still cools them."""
    rise = made.motor_rise * share**2 * (1.0 + fx.cooling_lost * wear.motor)
    return towards(state.motor_c, around.room_c + rise, around.dt_s, _MOTOR_TAU_S)
