"""Hydraulic excavators: engine, cooling, oil, hydraulics, supply and bus, as J1939 tells them.

A frame carries means over `dt_s`; a digging cycle of some twenty seconds is not resolved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators import materials, specs
from simulators.excavator_build import Drawn, Effects, Ground, State, Units, Wear
from simulators.physics import Outcome, notes
from simulators.thermal import towards
from simulators.weather import wander

if TYPE_CHECKING:
    from simulators.physics import Around
    from simulators.specs import Family
    from simulators.steps import Floats

IDLE: Final = int(Phase.IDLE)
RUNNING: Final = int(Phase.RUNNING)
STOPPED: Final = int(Phase.STOPPED)
"""Plain whole numbers: NumPy takes several times as long over an enum."""
_WANDER_TAU_S: Final = 1500.0
_DRIFT_TAU_S: Final = 28_800.0
_COOLANT_TAU_S: Final = 700.0
_TANK_TAU_S: Final = 3000.0
_INDOOR_C: Final = 21.5
_OUTDOOR_SWING: Final = 2.4
"""How many times wider the weather swings outside than in the rooms of `weather`."""
_THERMOSTAT_C: Final = 82.0
_FAN_FROM_C: Final = 70.0
_FAN_SPAN_K: Final = 26.0
_FAN_HELPS: Final = 0.30
"""Share of the coolant's rise that the fan at its top takes away."""
_RESTING_V: Final = 25.4


class ExcavatorPhysics:
    """The physics of excavators; see `simulators/data/excavator.toml` for every figure."""

    def __init__(self) -> None:
        self.family: Family = specs.load("excavator")
        self.active: tuple[Phase, ...] = (Phase.RUNNING,)
        self._names = tuple(channel.name for channel in self.family.channels)
        self._fx = specs.read_figures(Effects, self.family.effects)
        self._ground = materials.read(Ground, self.family.materials)

    def draw(self, rng: np.random.Generator, n: int) -> Units:
        """Draw the constants of n units."""
        made = specs.draw_units(Drawn, self.family, rng, n)
        return Units(made=made, mix=materials.draw(self.family.materials, rng, n, shape=0.9))

    def begin(self, units: Units, room_c: Floats, rng: np.random.Generator) -> State:
        """Start digging, each somewhere in a stretch, warm."""
        n, outside = room_c.size, _outside(units.made, room_c)
        return State(
            phase=np.full(n, Phase.RUNNING, dtype=np.int16),
            left_s=rng.uniform(0.1, 1.0, n) * units.made.run_hours * 3600.0,
            ground=materials.pick(units.mix, rng.random(n)),
            batch=np.ones(n),
            wander=np.zeros(n),
            drift=rng.standard_normal((4, n)),
            coolant_c=np.full(n, _THERMOSTAT_C),
            tank_c=outside + 0.6 * units.made.hydraulic_rise,
        )

    def noise(self, units: Units) -> Floats:
        """Give each unit's own level of sensor noise [n]."""
        return units.made.noise

    def advance(
        self, units: Units, state: State, around: Around, rng: np.random.Generator
    ) -> tuple[State, Outcome]:
        """Move all units on by one frame."""
        n, ground = around.down.size, self._ground
        u, z = rng.random((5, n)), rng.standard_normal((7, n))
        turned = _turn(units, state, around, u, z)
        moved, found = _frame(units, self._fx, ground, turned, around, z[5:])
        truth = np.stack([found[name] for name in self._names])
        # What the bus does not carry nobody reads, whatever it would have been.
        truth[:, u[4] < self._fx.can_lost * Wear._make(around.wear).can_harness] = np.nan
        began = (turned.phase == RUNNING) & (state.phase != RUNNING)
        ended = (turned.phase != RUNNING) & (state.phase == RUNNING)
        told = (
            *notes(began, "job_started", lambda i: {"material": ground.names[moved.ground[i]]}),
            *notes(ended, "job_ended"),
        )
        return moved, Outcome(phase=turned.phase, truth=truth, notes=told)


def _outside(made: Drawn, room_c: Floats) -> Floats:
    return np.asarray(made.climate + _OUTDOOR_SWING * (room_c - _INDOOR_C))


def _turn(units: Units, state: State, around: Around, u: Floats, z: Floats) -> State:
    """Move the day on: digging, idling with the engine on, or the engine off."""
    dt_s, down, made = around.dt_s, around.down, units.made
    left = state.left_s - dt_s
    over = (left <= 0.0) & ~down
    digs = state.phase == RUNNING
    idles = over & digs & (u[0] < made.idle_share)
    stops = over & digs & ~idles & (u[0] < made.idle_share + made.off_share)
    fresh = (over & ~idles & ~stops) | ((state.phase == STOPPED) & ~down & over)
    phase = np.where(fresh, RUNNING, state.phase)
    phase = np.where(idles, IDLE, np.where(down | stops, STOPPED, phase))
    dig_s = made.run_hours * 3600.0 * (0.4 + 1.4 * u[1])
    left = np.where(idles, 300.0 + 1800.0 * u[1], np.where(fresh, dig_s, left))
    return State(
        phase=phase,
        left_s=np.where(down, 0.0, np.where(stops, 2400.0 + 16_000.0 * u[1], left)),
        ground=np.where(fresh, materials.pick(units.mix, u[2]), state.ground),
        batch=np.where(fresh, 0.88 + 0.24 * u[3], state.batch),
        wander=wander(state.wander, 0.05, z[0], dt_s / _WANDER_TAU_S),
        drift=wander(state.drift, 1.0, z[1:5], dt_s / _DRIFT_TAU_S),
        coolant_c=state.coolant_c,
        tank_c=state.tank_c,
    )


def _frame(
    units: Units, fx: Effects, ground: Ground, state: State, around: Around, z: Floats
) -> tuple[State, dict[str, Floats]]:
    """Give the state after a frame and its true quantities by channel."""
    made, wear, outside = units.made, Wear._make(around.wear), _outside(units.made, around.room_c)
    on = np.where(state.phase == STOPPED, 0.0, 1.0)
    work = np.where(state.phase == RUNNING, 1.0, 0.0)
    asked = np.clip(made.style * state.batch + state.wander, 0.4, 1.15)
    effort = work * asked * ground.load[state.ground]
    load = on * np.minimum(
        14.0 + made.work_load * effort * (1.0 + fx.pump_load * wear.hydraulic_pump), 100.0
    )
    speed = on * (
        made.idle_speed + work * (made.work_speed - made.idle_speed) * (0.94 + 0.06 * asked)
    )
    goal, fan = _cooling(made, fx, wear, on, load / 100.0, outside)
    leaks = 1.0 + fx.pump_heat * wear.hydraulic_pump + fx.radiator_oil * wear.radiator
    tank = outside + made.hydraulic_rise * (0.25 * on + 0.75 * effort) * leaks
    moved = replace(
        state,
        coolant_c=towards(state.coolant_c, goal, around.dt_s, _COOLANT_TAU_S),
        tank_c=towards(state.tank_c, tank, around.dt_s, _TANK_TAU_S),
    )
    kept = 1.0 - fx.pump_leak * wear.hydraulic_pump
    cycle = made.cycle * ground.cycle[state.ground] / kept / (0.8 + 0.2 * asked)
    return moved, {
        "engine_speed": speed,
        "engine_load": load,
        "fuel_rate": on
        * (made.idle_fuel + made.fuel_per_load * np.maximum(load - 14.0, 0.0) / 86.0),
        "coolant_temp": moved.coolant_c,
        "fan_speed": on * made.fan_top * (0.25 + 0.75 * fan),
        "oil_pressure": _oil(made, fx, moved, wear, speed),
        "hydraulic_pressure": _pressure(made, fx, state, wear, on, effort),
        "hydraulic_temp": moved.tank_c,
        "hydraulic_filter_dp": _filter(made, fx, moved, wear, speed, asked * work)
        * ground.dust[state.ground],
        "cycle_time": work * cycle * np.exp(0.03 * state.drift[1]),
        "battery_voltage": _supply(made, fx, state, wear, on, outside, z[0]),
        "can_error_rate": _errors(made, fx, wear, on, z[1], around.dt_s),
        "ambient_temp": outside,
    }


def _cooling(
    made: Drawn, fx: Effects, wear: Wear, on: Floats, heat: Floats, outside: Floats
) -> tuple[Floats, Floats]:
    """Where the coolant goes, and how far the fan helps; under the thermostat dirt is not seen."""
    free = outside + made.cool_rise * (0.3 + heat) * (1.0 + fx.radiator_lost * wear.radiator)
    fan = on * np.clip((free - _FAN_FROM_C) / _FAN_SPAN_K, 0.0, 1.0)
    blown = free - _FAN_HELPS * fan * (free - outside)
    return np.where(on > 0.0, np.maximum(blown, _THERMOSTAT_C), outside), fan


def _oil(made: Drawn, fx: Effects, state: State, wear: Wear, speed: Floats) -> Floats:
    """Engine oil pressure, kPa: with speed, and less where the oil is hot and thin."""
    thin = 1.0 - 0.0045 * (state.coolant_c - 85.0)
    worn = 1.0 - fx.oil_lost * wear.oil_pump
    drift = np.exp(0.02 * state.drift[0])
    turned = (speed / made.work_speed) ** 0.55
    return np.asarray(made.oil_pressure * turned * thin * worn * drift)


def _pressure(
    made: Drawn, fx: Effects, state: State, wear: Wear, on: Floats, effort: Floats
) -> Floats:
    """Mean pump pressure, kPa: what the ground asks for, less what leaks inside."""
    sound = made.standby + (made.pressure - made.standby) * effort
    lost = 1.0 - fx.pump_pressure * wear.hydraulic_pump
    return np.asarray(on * sound * lost * np.exp(0.02 * state.drift[2]))


def _filter(
    made: Drawn, fx: Effects, state: State, wear: Wear, speed: Floats, asked: Floats
) -> Floats:
    """Drop over the return filter, kPa: flow, and thick cold oil."""
    flow = speed / made.work_speed * (0.35 + 0.65 * asked)
    thick = 1.0 + 0.012 * np.maximum(50.0 - state.tank_c, 0.0)
    drop = made.filter_drop * flow**1.5 * thick * (1.0 + fx.filter_clog * wear.hydraulic_filter)
    return np.asarray(drop * np.exp(0.05 * state.drift[3]))


def _supply(
    made: Drawn, fx: Effects, state: State, wear: Wear, on: Floats, outside: Floats, z: Floats
) -> Floats:
    """Battery voltage: charged while the engine turns, cooler is higher, resting else."""
    weak = fx.charge_lost * wear.alternator * (0.8 + 0.2 * np.tanh(state.wander * 8.0))
    charged = made.charge - 0.018 * (outside - 20.0) - weak + fx.charge_ripple * wear.alternator * z
    return np.where(on > 0.0, np.maximum(charged, 23.0), _RESTING_V - 0.5 * wear.alternator)


def _errors(made: Drawn, fx: Effects, wear: Wear, on: Floats, z: Floats, dt_s: float) -> Floats:
    """Error frames on the bus in an hour: a count in the frame, about Poisson's."""
    hours = dt_s / 3600.0
    mean = (made.can_errors + fx.can_errors * wear.can_harness) * hours
    return np.asarray(on * np.rint(np.maximum(mean + np.sqrt(mean) * z, 0.0)) / hours)
