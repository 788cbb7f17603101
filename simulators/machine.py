"""Motor, gearbox and pump: speed, load, vibration, heat, pressure, filter and seal.

A frame carries means or samples over `dt_s`; speed and load settle faster than that.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators import specs
from simulators.machine_build import Drawn, Effects, Medium, State, Units, Vibration, Wear
from simulators.physics import Note, Outcome
from simulators.weather import wander

if TYPE_CHECKING:
    from simulators.physics import Around
    from simulators.specs import Family
    from simulators.steps import Bools, Floats

IDLE: Final = int(Phase.IDLE)
RUNNING: Final = int(Phase.RUNNING)
STOPPED: Final = int(Phase.STOPPED)
"""Plain whole numbers: NumPy takes several times as long over an enum."""
DAY_H: Final = 24.0
_BEARING_TAU_S: Final = 2400.0
_WANDER_TAU_S: Final = 2700.0
_DRIFT_TAU_S: Final = 28_800.0
"""Slow changes of vibration that mean nothing: heat, mounting, hydraulics."""
_DRIFT: Final = np.array([[0.10], [0.12], [0.08], [0.10], [0.05]])
_UPSETS_PER_H: Final = 1 / 90
"""Engineering estimate: air drawn in or a slug of solids, for some minutes."""
_FULL_LEVEL: Final = 96.0
_TRIP_LEVEL: Final = 8.0
_TOP_UP: Final = 0.012
"""Chance in a frame that an operator notices a low level and tops it up."""


class MachinePhysics:
    """The physics of motor-gearbox-pumps; see `simulators/data/machine.toml` for every figure."""

    def __init__(self) -> None:
        self.family: Family = specs.load("machine")
        self.active: tuple[Phase, ...] = (Phase.RUNNING,)
        self._effects = specs.read_effects(Effects, self.family)
        rows = self.family.materials
        self._weights = np.asarray([m["weight"] for m in rows.values()])
        self._medium = Medium(
            names=tuple(rows),
            current=np.asarray([m["current"] for m in rows.values()]),
            pressure=np.asarray([m["pressure"] for m in rows.values()]),
            fouling=np.asarray([m["fouling"] for m in rows.values()]),
        )

    def draw(self, rng: np.random.Generator, n: int) -> Units:
        """Draw the constants of n units."""
        made = specs.draw_units(Drawn, self.family, rng, n)
        taste = self._weights[:, None] * rng.gamma(0.9, size=(self._weights.size, n))
        mix = np.cumsum(taste / taste.sum(axis=0), axis=0)
        return Units(made=made, mix=mix, peak_h=rng.uniform(0.0, DAY_H, n))

    def begin(self, units: Units, room_c: Floats, rng: np.random.Generator) -> State:
        """Start running, each somewhere in a batch."""
        n = room_c.size
        return State(
            phase=np.full(n, Phase.RUNNING, dtype=np.int16),
            left_s=rng.uniform(0.1, 1.0, n) * units.made.run_hours * 3600.0,
            medium=np.minimum((rng.random(n) > units.mix).sum(axis=0), len(self._medium.names) - 1),
            batch=np.ones(n),
            wander=np.zeros(n),
            drift=rng.standard_normal((5, n)),
            bearing_c=room_c + 0.6 * units.made.bearing_rise,
            level=rng.uniform(70.0, _FULL_LEVEL, n),
            upset=np.zeros(n, dtype=np.int64),
            hours=np.zeros(n),
        )

    def noise(self, units: Units) -> Floats:
        """Give each unit's own level of sensor noise [n]."""
        return units.made.noise

    def advance(
        self, units: Units, state: State, around: Around, rng: np.random.Generator
    ) -> tuple[State, Outcome]:
        """Move all units on by one frame."""
        n = around.down.size
        u, z = rng.random((7, n)), rng.standard_normal((6, n))
        turned = _turn(units, state, around, u, z, len(self._medium.names))
        running = turned.phase == RUNNING
        moved, truth = _frame(units, self._effects, self._medium, turned, around)
        filled, refilled = _refill(units.made, moved, running, u[6])
        begun = running & (state.phase != RUNNING)
        ended = ~running & (state.phase == RUNNING)
        notes: tuple[Note, ...] = ()
        if (begun | ended | refilled).any():
            notes = _notes(begun, ended, refilled, moved, self._medium)
        return filled, Outcome(phase=turned.phase, truth=truth, notes=notes)


def _turn(units: Units, state: State, around: Around, u: Floats, z: Floats, media: int) -> State:
    """Move batches on: a new one, a stand-still, or a stop because the machine is down."""
    dt_s, down = around.dt_s, around.down
    left = state.left_s - dt_s
    was_running = state.phase == RUNNING
    over = (left <= 0.0) & ~down
    released = (state.phase == STOPPED) & ~down
    rests = over & was_running & (u[0] < units.made.idle_share)
    fresh = (over & ~rests) | released
    phase = np.where(down, STOPPED, np.where(rests, IDLE, np.where(fresh, RUNNING, state.phase)))
    run_s = units.made.run_hours * 3600.0 * (0.35 + 1.5 * u[1])
    starts_upset = (state.upset <= 0) & (u[4] < _UPSETS_PER_H * dt_s / 3600.0)
    medium = np.minimum((u[2] > units.mix).sum(axis=0), media - 1)
    return State(
        phase=phase,
        left_s=np.where(rests, 1200.0 + 4200.0 * u[1], np.where(fresh, run_s, left)),
        medium=np.where(fresh, medium, state.medium),
        batch=np.where(fresh, 0.86 + 0.28 * u[3], state.batch),
        wander=wander(state.wander, 0.035, z[0], dt_s / _WANDER_TAU_S),
        drift=wander(state.drift, 1.0, z[1:6], dt_s / _DRIFT_TAU_S),
        bearing_c=state.bearing_c,
        level=state.level,
        upset=np.where(starts_upset, 2 + (u[5] * 4).astype(np.int64), state.upset - 1),
        hours=state.hours + dt_s / 3600.0,
    )


def _frame(
    units: Units, fx: Effects, medium: Medium, state: State, around: Around
) -> tuple[State, Floats]:
    """Give the state after a frame and its true quantities in the order of the channels."""
    made, wear = units.made, Wear._make(around.wear)
    on = np.where(state.phase == RUNNING, 1.0, 0.0)
    load = on * _demand(units, state)
    ratio = on * (0.72 + 0.28 * load)
    shape = _vibration(made, fx, state, wear, ratio, load)
    knock = 0.055 * shape.bearing
    de = np.sqrt(shape.once**2 + shape.twice**2 + shape.broad**2 + knock**2)
    nde = made.nde_transfer * np.sqrt(
        shape.once**2 + 1.3 * shape.twice**2 + shape.broad**2 + 0.1 * knock**2
    )
    bearing_c = _bearing(made, fx, state, wear, load * ratio, around)
    flow = made.rated_flow * load * (1.0 - 0.04 * wear.filter)
    current = _current(made, medium, state, wear, ratio, load, around.dip) * on
    filter_dp = (
        made.filter_drop
        * load**2
        * medium.fouling[state.medium]
        * (1.0 + fx.clog_resistance * wear.filter)
    )
    leak = (
        on * (made.seal_loss + fx.leak_rate * wear.seal)
        + (1.0 - on) * 0.5 * fx.leak_rate * wear.seal
    )
    level = np.maximum(state.level - leak * around.dt_s / 3600.0, _TRIP_LEVEL)
    pressure = _pressure(made, fx, medium, state, wear, ratio, load)
    truth = np.stack([
        made.rated_speed * ratio, flow, current, de, nde, on * shape.kurtosis, shape.once,
        shape.twice, shape.bearing, bearing_c, pressure,
        filter_dp, level, around.room_c,
    ])  # fmt: skip
    return replace(state, bearing_c=bearing_c, level=level), truth


def _demand(units: Units, state: State) -> Floats:
    """Share of rated flow that is asked for: habit, batch, time of day, wander."""
    turn = 2.0 * np.pi * (state.hours - units.peak_h) / DAY_H
    asked = units.made.demand * state.batch + units.made.demand_swing * np.cos(turn)
    return np.clip(asked + state.wander, 0.35, 1.1)


def _vibration(
    made: Drawn, fx: Effects, state: State, wear: Wear, ratio: Floats, load: Floats
) -> Vibration:
    upset, drift = np.where(state.upset > 0, 1.0, 0.0), np.exp(_DRIFT * state.drift)
    once = 1.0 + fx.imbalance_1x * wear.impeller + fx.misalignment_1x * wear.coupling
    twice = 1.0 + fx.misalignment_2x * wear.coupling
    late = wear.bearing_de * wear.bearing_de
    broad = 1.0 + fx.bearing_broad * late + fx.clog_broad * wear.filter**3 + 1.1 * upset
    spalls = wear.bearing_de * np.exp(1.0 - wear.bearing_de / fx.bearing_spread) / fx.bearing_spread
    return Vibration(
        once=made.vibration_1x * ratio**2 * once * drift[0],
        twice=made.vibration_2x * ratio * twice * drift[1],
        broad=made.vibration_broad * ratio * (0.7 + 0.4 * load) * broad * drift[2],
        bearing=made.bearing_hum
        * drift[3]
        * ratio**1.5
        * (0.6 + 0.5 * load)
        * (1.0 + fx.bearing_hum * late**0.8),
        kurtosis=made.impulse * drift[4] + fx.bearing_impulse * spalls + 2.5 * upset,
    )


def _bearing(
    made: Drawn, fx: Effects, state: State, wear: Wear, work: Floats, around: Around
) -> Floats:
    """Bearing temperature, degC: first order towards ambient and friction."""
    extra = fx.bearing_heat * wear.bearing_de**2 + fx.misalignment_heat * wear.coupling
    goal = around.room_c + (made.bearing_rise + extra) * work
    share = 1.0 - math.exp(-around.dt_s / _BEARING_TAU_S)
    return state.bearing_c + (goal - state.bearing_c) * share


def _current(
    made: Drawn, medium: Medium, state: State, wear: Wear, ratio: Floats, load: Floats, dip: Floats
) -> Floats:
    """Motor current, A: no-load part and load part; a weak supply asks for more of it."""
    drag = 1.0 + 0.025 * wear.bearing_de + 0.03 * wear.coupling + 0.02 * wear.filter
    pulled = 0.30 + 0.70 * load * ratio**2 * medium.current[state.medium] * drag
    return made.rated_current * pulled / (1.0 - dip)


def _pressure(
    made: Drawn, fx: Effects, medium: Medium, state: State, wear: Wear, ratio: Floats, load: Floats
) -> Floats:
    """Discharge pressure, bar: the pump's curve by the affinity laws, less what defects take."""
    head = made.shutoff_pressure * ratio**2 - made.curve_drop * load**2
    lost = (
        fx.imbalance_head * wear.impeller
        + fx.leak_pressure * wear.seal
        + fx.clog_pressure * wear.filter
    )
    upset = np.where(state.upset > 0, 0.88, 1.0)
    return np.maximum(head, 0.0) * medium.pressure[state.medium] * (1.0 - lost) * upset


def _refill(made: Drawn, state: State, running: Bools, u: Floats) -> tuple[State, Bools]:
    """Let operators top the barrier fluid up when they notice, which takes them some hours."""
    refilled = (state.level < made.refill_below) & running & (u < _TOP_UP)
    level = np.where(refilled, _FULL_LEVEL, state.level)
    return replace(state, level=level), refilled


def _notes(
    begun: Bools, ended: Bools, refilled: Bools, state: State, medium: Medium
) -> tuple[Note, ...]:
    def each(mask: Bools) -> list[int]:
        return [int(i) for i in np.flatnonzero(mask)]

    return (
        *(
            Note(device=i, code="job_started", details={"material": medium.names[state.medium[i]]})
            for i in each(begun)
        ),
        *(Note(device=i, code="job_ended") for i in each(ended)),
        *(Note(device=i, code="barrier_fluid_refilled") for i in each(refilled)),
    )
