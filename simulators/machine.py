"""Motor, gearbox and pump: speed, load, vibration, heat, pressure, filter and seal.

A frame carries means or samples over `dt_s`; speed and load settle faster than that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators import materials, specs
from simulators.machine_build import Drawn, Effects, Medium, State, Units, Wear
from simulators.machine_shaft import DRIFTS, bearing, gearbox, motor, vibration
from simulators.physics import Outcome, notes
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
_WANDER_TAU_S: Final = 2700.0
_DRIFT_TAU_S: Final = 28_800.0
"""Slow changes of vibration that mean nothing: heat, mounting, hydraulics."""
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
        self._effects = specs.read_figures(Effects, self.family.effects)
        self._names = tuple(channel.name for channel in self.family.channels)
        self._medium = materials.read(Medium, self.family.materials)

    def draw(self, rng: np.random.Generator, n: int) -> Units:
        """Draw the constants of n units."""
        made = specs.draw_units(Drawn, self.family, rng, n)
        mix = materials.draw(self.family.materials, rng, n, shape=0.9)
        return Units(made=made, mix=mix, peak_h=rng.uniform(0.0, DAY_H, n))

    def begin(self, units: Units, room_c: Floats, rng: np.random.Generator) -> State:
        """Start running, each somewhere in a batch."""
        n = room_c.size
        return State(
            phase=np.full(n, Phase.RUNNING, dtype=np.int16),
            left_s=rng.uniform(0.1, 1.0, n) * units.made.run_hours * 3600.0,
            medium=materials.pick(units.mix, rng.random(n)),
            batch=np.ones(n),
            wander=np.zeros(n),
            drift=rng.standard_normal((DRIFTS, n)),
            bearing_c=room_c + 0.6 * units.made.bearing_rise,
            gear_c=room_c + 0.6 * units.made.gear_rise,
            motor_c=room_c + 0.6 * units.made.motor_rise,
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
        n, medium = around.down.size, self._medium
        u, z = rng.random((7, n)), rng.standard_normal((1 + DRIFTS, n))
        turned = _turn(units, state, around, u, z)
        running = turned.phase == RUNNING
        moved, found = _frame(units, self._effects, medium, turned, around)
        truth = np.stack([found[name] for name in self._names])
        filled, refilled = _refill(units.made, moved, running, u[6])
        begun = running & (state.phase != RUNNING)
        ended = ~running & (state.phase == RUNNING)
        told = (
            *notes(begun, "job_started", lambda i: {"material": medium.names[moved.medium[i]]}),
            *notes(ended, "job_ended"),
            *notes(refilled, "barrier_fluid_refilled"),
        )
        return filled, Outcome(phase=turned.phase, truth=truth, notes=told)


def _turn(units: Units, state: State, around: Around, u: Floats, z: Floats) -> State:
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
    return State(
        phase=phase,
        left_s=np.where(rests, 1200.0 + 4200.0 * u[1], np.where(fresh, run_s, left)),
        medium=np.where(fresh, materials.pick(units.mix, u[2]), state.medium),
        batch=np.where(fresh, 0.86 + 0.28 * u[3], state.batch),
        wander=wander(state.wander, 0.035, z[0], dt_s / _WANDER_TAU_S),
        drift=wander(state.drift, 1.0, z[1:], dt_s / _DRIFT_TAU_S),
        bearing_c=state.bearing_c,
        gear_c=state.gear_c,
        motor_c=state.motor_c,
        level=state.level,
        upset=np.where(starts_upset, 2 + (u[5] * 4).astype(np.int64), state.upset - 1),
        hours=state.hours + dt_s / 3600.0,
    )


def _frame(
    units: Units, fx: Effects, medium: Medium, state: State, around: Around
) -> tuple[State, dict[str, Floats]]:
    """Give the state after a frame and its true quantities by channel."""
    made, wear = units.made, Wear._make(around.wear)
    on = np.where(state.phase == RUNNING, 1.0, 0.0)
    load = on * _demand(units, state)
    ratio = on * (0.72 + 0.28 * load)
    shaken = vibration(made, fx, state, wear, ratio, load)
    current = _current(made, fx, medium, state, wear, ratio, load, around.dip) * on
    resistance = medium.fouling[state.medium] * (1.0 + fx.clog_resistance * wear.filter)
    wept = fx.leak_rate * wear.seal
    leak = on * (made.seal_loss + wept) + (1.0 - on) * 0.5 * wept
    moved = replace(
        state,
        bearing_c=bearing(made, fx, state, wear, load * ratio, around),
        gear_c=gearbox(made, fx, state, wear, load * ratio, around),
        motor_c=motor(made, fx, state, wear, current / made.rated_current, around),
        level=np.maximum(state.level - leak * around.dt_s / 3600.0, _TRIP_LEVEL),
    )
    return moved, {
        "speed": made.rated_speed * ratio,
        "flow_rate": made.rated_flow * load * (1.0 - 0.04 * wear.filter),
        "motor_current": current,
        "vib_de": shaken.drive_end,
        "vib_nde": made.nde_transfer * shaken.other_end,
        "kurtosis_de": on * shaken.kurtosis,
        "band_half": shaken.half,
        "band_1x": shaken.once,
        "band_2x": shaken.twice,
        "band_bearing": shaken.bearing,
        "band_gear": shaken.gear,
        "bearing_temp": moved.bearing_c,
        "gearbox_temp": moved.gear_c,
        "motor_temp": moved.motor_c,
        "discharge_pressure": _pressure(made, fx, medium, state, wear, ratio, load),
        "filter_dp": made.filter_drop * load**2 * resistance,
        "seal_level": moved.level,
        "ambient_temp": around.room_c,
    }


def _demand(units: Units, state: State) -> Floats:
    """Share of rated flow that is asked for: habit, batch, time of day, wander."""
    turn = 2.0 * np.pi * (state.hours - units.peak_h) / DAY_H
    asked = units.made.demand * state.batch + units.made.demand_swing * np.cos(turn)
    return np.clip(asked + state.wander, 0.35, 1.1)


def _current(
    made: Drawn,
    fx: Effects,
    medium: Medium,
    state: State,
    wear: Wear,
    ratio: Floats,
    load: Floats,
    dip: Floats,
) -> Floats:
    """Motor current, A: no-load part and load part; a weak supply asks for more of it."""
    drag = 1.0 + 0.025 * wear.bearing_de + 0.03 * wear.coupling + 0.02 * wear.filter
    drag += 0.02 * wear.gearbox + fx.cooling_drag * wear.motor
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
