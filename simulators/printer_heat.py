"""The hot side of a printer: supply, fans, heaters under control, sensors, what warms beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.thermal import Plant, control, towards

if TYPE_CHECKING:
    from simulators.physics import Around
    from simulators.printer_build import Drawn, Effects, Kind, State, Wear
    from simulators.steps import Bools, Floats
    from simulators.thermal import Heated

NOMINAL_V: Final = 24.0
MELT: Final = 2.3e-3
"""J/(mm3 K): 1.24 mg/mm3 at 1.85 J/(g K), PLA; the others are near."""
_FAN_ON_C: Final = 50.0
_CHAMBER_TAU_S: Final = 1800.0
_BOARD_TAU_S: Final = 900.0
_SINK_TAU_S: Final = 420.0
_SINK_STILL: Final = 0.15
"""Share of its cooling that a heat sink keeps when its fan stands still."""
_SPAN_K: Final = 190.0
"""Hot end above chamber for which the heat sink's rise is told."""
_FAN_DRIFT: Final = 0.02
_SUPPLY_DRIFT_V: Final = 0.07
_CALM_K: Final = 0.22
"""Deviation of a well controlled hot end within a frame."""
_COLD_END_C: Final = -15.0
_HOT_END_C: Final = 320.0
"""What an open and a shorted thermistor read: the ends of the firmware's table."""
_SEEN_BY_CONTROL: Final = 0.5
"""Share of brief false readings that the controller has time to follow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Air:
    """Supply in volts and fans: part fan in rpm, hot-end fan as share of its top speed [n]."""

    volts: Floats
    part_rpm: Floats
    hotend_spin: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensed:
    """How the hot end's sensor errs [n], kelvin: what control follows, what is read, its spread."""

    followed: Floats
    read: Floats
    spread: Floats


def air(
    made: Drawn, fx: Effects, state: State, around: Around, wear: Wear, cmd: Floats, z: Floats
) -> Air:
    """Voltage under the load of the frame before, and the fans that it drives."""
    ohm = made.supply_ohm + fx.supply_ohm * wear.psu
    idle = NOMINAL_V * (1.0 - 0.5 * around.dip) + made.supply_offset - fx.supply_drop * wear.psu
    sag = idle - ohm * state.amps + fx.supply_ripple * wear.psu * z
    volts = sag + _SUPPLY_DRIFT_V * state.drift[0]
    speed = volts / NOMINAL_V
    spins = (state.temp[0] > _FAN_ON_C) & ~around.down
    spin = np.where(spins, speed * (1.0 - fx.hotend_fan_lost * wear.hotend_fan), 0.0)
    return Air(
        volts=volts,
        part_rpm=_part_fan(made, fx, cmd, speed, wear) * (1.0 + _FAN_DRIFT * state.drift[1]),
        hotend_spin=spin * (1.0 + _FAN_DRIFT * state.drift[2]),
    )


def _part_fan(made: Drawn, fx: Effects, cmd: Floats, speed: Floats, wear: Wear) -> Floats:
    """Speed in rpm: nearly linear in the command; friction takes more at low command."""
    share = cmd * (1.12 - 0.12 * cmd) * speed
    friction = fx.part_fan_lost * wear.part_fan * (1.25 - 0.25 * cmd)
    return made.part_fan_top * share * np.maximum(1.0 - friction, 0.0)


def sensed(made: Drawn, fx: Effects, temp: Floats, wear: Wear, z: Floats) -> Sensed:
    """Tell how far the sensor is off: drift that the controller believes, contacts that fail.

    A loose wire reads as cold as the table goes, a chafed one as hot, for moments; the controller
    follows in part, so the mean is off one way and the power the other.
    """
    sign = np.where(made.drift_cold < 0.0, -1.0, 1.0)
    drift = wear.hotend_thermistor * sign * (fx.thermistor_cold + fx.thermistor_gain * (temp - 25))
    opened = np.minimum(fx.contact_share * wear.thermistor_open, 0.6)
    closed = np.minimum(fx.contact_share * wear.thermistor_short, 0.6)
    fall, leap = fx.open_depth * (temp - _COLD_END_C), fx.short_depth * (_HOT_END_C - temp)
    false = closed * leap - opened * fall
    steps = fx.thermistor_steps * wear.hotend_thermistor
    flicker = opened * (1.0 - opened) * fall**2 + closed * (1.0 - closed) * leap**2
    return Sensed(
        followed=drift + _SEEN_BY_CONTROL * false,
        read=drift + false + 0.3 * steps * z,
        spread=np.sqrt(steps**2 + flicker),
    )


def heated(
    kind: Kind,
    made: Drawn,
    state: State,
    wear: Wear,
    *,
    blown: Air,
    targets: Floats,
    followed: Floats,
    melted: Floats,
    dt_s: float,
) -> tuple[Heated, Floats]:
    """Hold hot end and bed at what the sensors say is the target; gives the duty too, [2, n].

    A leaking switch heats the hot end by itself: to the controller the room seems warmer, and above
    the target it can do nothing but wait.
    """
    fx, speed = kind.fx, blown.volts / NOMINAL_V
    weak = np.stack([1.0 - fx.heater_watts_lost * wear.hotend_heater, np.ones_like(speed)])
    full = weak * (speed * speed) * np.stack([made.hotend_watts, made.bed_watts])
    leak = np.stack([fx.leak * full[0] * wear.mainboard, np.zeros_like(speed)])
    loss = _losses(made, fx, blown, melted)
    limit = np.maximum(full - leak, 0.02 * full)
    setpoint = targets.copy()
    setpoint[0] = np.where(targets[0] > 0.0, targets[0] - followed, 0.0)
    heat = control(
        Plant(
            ambient=state.chamber + leak / loss,
            loss=loss,
            capacity=np.stack([made.hotend_capacity, made.bed_capacity]),
            limit=limit,
        ),
        kind.pid,
        temp=state.temp,
        integral=state.integral,
        rate=state.rate,
        setpoint=setpoint,
        dt_s=dt_s,
    )
    return heat, heat.mean_watts / limit


def _losses(made: Drawn, fx: Effects, blown: Air, melted: Floats) -> Floats:
    """Heat lost per kelvin by hot end and bed, W/K [2, n]: air, cold side, melted filament."""
    still = made.hotend_loss * (1.0 + fx.heat_break_loss * (blown.hotend_spin - 1.0))
    moved = made.hotend_fan_loss * blown.part_rpm / made.part_fan_top
    return np.stack([still + moved + MELT * melted, made.bed_loss])


def chamber(made: Drawn, state: State, around: Around, heat: Heated) -> Floats:
    """Temperature around the printer, warmed by its bed."""
    goal = around.room_c + made.chamber_rise * (heat.mean_temp[1] - around.room_c)
    return towards(state.chamber, goal, around.dt_s, _CHAMBER_TAU_S)


def heatsink(made: Drawn, state: State, heat: Heated, spin: Floats, dt_s: float) -> Floats:
    """Temperature above the heat break: what climbs up against what the fan takes away."""
    cooling = _SINK_STILL + (1.0 - _SINK_STILL) * spin
    rise = made.sink_rise * (heat.mean_temp[0] - state.chamber) / _SPAN_K / cooling
    return towards(state.heatsink, state.chamber + rise, dt_s, _SINK_TAU_S)


def board(
    made: Drawn, fx: Effects, state: State, wear: Wear, heating: Bools, dt_s: float
) -> Floats:
    """Temperature of the mainboard: work, and a switch that leaks."""
    work = np.where(heating, 1.0, 0.6)
    goal = state.chamber + made.board_rise * work + fx.leak_board_rise * wear.mainboard
    return towards(state.board, goal, dt_s, _BOARD_TAU_S)


def unrest(made: Drawn, heat: Heated, state: State, spread: Floats) -> Floats:
    """Deviation of the hot end's reading within the frame, K: control, ramps, loose contacts."""
    ramp = 0.29 * (heat.temp[0] - state.temp[0])
    calm = _CALM_K * made.noise * np.exp(0.15 * state.drift[3])
    return np.asarray(np.sqrt(calm * calm + ramp * ramp + spread * spread))
