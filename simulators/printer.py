"""FDM printers: heaters, fans, extruder, belts and supply, and what jobs do to them.

A frame carries means over `dt_s`; the supply's load is that of the frame before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators import jobs, specs
from simulators.physics import Note, Outcome
from simulators.printer_build import Drawn, Effects, State, Units, Wear
from simulators.thermal import Heated, hold
from simulators.weather import wander

if TYPE_CHECKING:
    from simulators.physics import Around
    from simulators.specs import Family
    from simulators.steps import Bools, Floats, Shorts

NOMINAL_V: Final = 24.0
MELT: Final = 2.3e-3
"""J/(mm3 K): 1.24 mg/mm3 at 1.85 J/(g K), PLA; the others are near."""
_FAN_ON_C: Final = 50.0
_DRIVER_TAU_S: Final = 900.0
_CHAMBER_TAU_S: Final = 1800.0
_WALK_TAU_S: Final = 1500.0
"""How long a print keeps asking for more or less flow and fan than its mean."""
_FLOW_WALK: Final = 0.16
_FAN_WALK: Final = 0.07
_DRIFT_TAU_S: Final = 36_000.0
"""Slow changes that mean nothing: dust, bearings' grease, the mains."""
_FAN_DRIFT: Final = 0.02
_SUPPLY_DRIFT_V: Final = 0.07
_CALM_K: Final = 0.22
"""Deviation of a well controlled hot end within a frame."""
_NOISES: Final = 9
_BELT_NOISE_HZ: Final = 1.1


class PrinterPhysics:
    """The physics of FDM printers; see `simulators/data/printer.toml` for every figure."""

    def __init__(self) -> None:
        self.family: Family = specs.load("printer")
        self.active: tuple[Phase, ...] = (Phase.HEATING, Phase.RUNNING)
        self._effects = specs.read_effects(Effects, self.family)
        self._materials = jobs.materials(self.family.materials)
        self._weights = np.asarray([m["weight"] for m in self.family.materials.values()])

    def draw(self, rng: np.random.Generator, n: int) -> Units:
        """Draw the constants of n units."""
        made = specs.draw_units(Drawn, self.family, rng, n)
        habits = jobs.Habits(
            mix=jobs.draw_mix(self._weights, rng, n),
            idle_s=made.idle_hours * 3600.0,
            job_s=made.job_hours * 3600.0,
            flow_scale=made.flow_scale,
        )
        return Units(made=made, habits=habits)

    def begin(self, units: Units, room_c: Floats, rng: np.random.Generator) -> State:
        """Start cold, idle, with belts not yet measured in this run but known from before."""
        zero = np.zeros_like(room_c)
        return State(
            jobs=jobs.begin(units.habits, rng),
            temp=np.stack([room_c, room_c]),
            sensor_error=zero,
            amps=units.made.idle_amps,
            chamber=room_c,
            driver=room_c + 0.4 * units.made.driver_rise,
            walk=rng.standard_normal((2, room_c.size)),
            drift=rng.standard_normal((4, room_c.size)),
            belt_hz=units.made.belt_tone,
        )

    def noise(self, units: Units) -> Floats:
        """Give each unit's own level of sensor noise [n]."""
        return units.made.noise

    def advance(
        self, units: Units, state: State, around: Around, rng: np.random.Generator
    ) -> tuple[State, Outcome]:
        """Move all units on by one frame."""
        n, warm = around.down.size, _is_warm(state)
        u, z = rng.random((jobs.DRAWS, n)), rng.standard_normal((_NOISES, n))
        turn = jobs.advance(
            state.jobs,
            units.habits,
            self._materials,
            warm=warm,
            down=around.down,
            u=u,
            dt_s=around.dt_s,
        )
        moved, truth = _frame(units.made, self._effects, self._materials, state, turn, around, z)
        notes = _notes(turn, self._materials) if (turn.started | turn.ended).any() else ()
        return moved, Outcome(phase=turn.jobs.phase, truth=truth, notes=notes)


def _is_warm(state: State) -> Bools:
    """Whether hot end (as its sensor says) and bed are within a few kelvin of their targets."""
    seen = state.temp[0] + state.sensor_error
    return np.asarray((seen > state.jobs.hotend - 4.0) & (state.temp[1] > state.jobs.bed - 3.0))


def _frame(
    made: Drawn,
    fx: Effects,
    stock: jobs.Materials,
    state: State,
    turn: jobs.Turn,
    around: Around,
    z: Floats,
) -> tuple[State, Floats]:
    """Give the state after a frame and its true quantities in the order of the channels."""
    wear, dt_s, job = Wear._make(around.wear), around.dt_s, turn.jobs
    printing = job.phase == jobs.RUNNING
    heating = printing | (job.phase == jobs.HEATING)
    walk = wander(state.walk, 1.0, z[0:2], dt_s / _WALK_TAU_S)
    drift = wander(state.drift, 1.0, z[2:6], dt_s / _DRIFT_TAU_S)
    flow = np.where(printing, job.flow * np.exp(_FLOW_WALK * walk[0]), 0.0)
    asked = np.minimum(np.maximum(job.fan + _FAN_WALK * walk[1], 0.0), 1.0)
    fan_cmd = np.where(printing, asked, 0.0)
    volts = _supply(made, fx, state, around, wear.psu, z[6]) + _SUPPLY_DRIFT_V * drift[0]
    speed = volts / NOMINAL_V
    part_rpm = _part_fan(made, fx, fan_cmd, speed, wear.part_fan) * (1.0 + _FAN_DRIFT * drift[1])
    spins = (state.temp[0] > _FAN_ON_C) & ~around.down
    hotend_spin = np.where(spins, speed * (1.0 - fx.hotend_fan_lost * wear.hotend_fan), 0.0)
    hotend_spin = hotend_spin * (1.0 + _FAN_DRIFT * drift[2])
    error = _sensor_error(made, fx, state.temp[0], wear.hotend_thermistor)
    weak = np.stack([1.0 - fx.heater_watts_lost * wear.hotend_heater, np.ones_like(volts)])
    limit = weak * (speed * speed) * np.stack([made.hotend_watts, made.bed_watts])
    loss = _losses(made, fx, part_rpm, hotend_spin, flow * (1.0 - fx.clog_flow_lost * wear.nozzle))
    targets = np.where(heating, np.stack([job.hotend, job.bed]), 0.0)
    heat = _heat(made, state, targets, error, loss, limit, dt_s)
    chamber = _chamber(made, state, around, heat)
    driver = _driver(made, fx, state, job.phase, wear.nozzle, chamber, dt_s)
    belt = np.where(turn.started, _belt(made, fx, wear.belt_x, chamber, z[7]), state.belt_hz)
    duty, jitter = heat.mean_watts / limit, fx.thermistor_steps * wear.hotend_thermistor
    amps = made.idle_amps + heat.mean_watts.sum(axis=0) / volts
    moved = State(
        jobs=job, temp=heat.temp, sensor_error=error, amps=amps, chamber=chamber, driver=driver,
        walk=walk, drift=drift, belt_hz=belt,
    )  # fmt: skip
    return moved, np.stack([
        heat.mean_temp[0] + error + 0.3 * jitter * z[8], targets[0], duty[0],
        heat.mean_temp[1], targets[1], duty[1],
        made.hotend_fan_top * hotend_spin, part_rpm, fan_cmd, flow, driver, belt, volts, chamber,
        _unrest(made, heat, state, jitter, drift[3]),
        _load(made, fx, stock, job, flow, wear.nozzle),
    ])  # fmt: skip


def _chamber(made: Drawn, state: State, around: Around, heat: Heated) -> Floats:
    """Temperature around the printer, warmed by its bed."""
    goal = around.room_c + made.chamber_rise * (heat.mean_temp[1] - around.room_c)
    share = 1.0 - math.exp(-around.dt_s / _CHAMBER_TAU_S)
    return np.asarray(state.chamber + (goal - state.chamber) * share)


def _supply(
    made: Drawn, fx: Effects, state: State, around: Around, wear: Floats, z: Floats
) -> Floats:
    """Voltage under the load of the frame before; mains dips come through in part."""
    ohm = made.supply_ohm + fx.supply_ohm * wear
    idle = NOMINAL_V * (1.0 - 0.5 * around.dip) + made.supply_offset - fx.supply_drop * wear
    return idle - ohm * state.amps + fx.supply_ripple * wear * z


def _part_fan(made: Drawn, fx: Effects, cmd: Floats, speed: Floats, wear: Floats) -> Floats:
    """Speed in rpm: nearly linear in the command; friction takes more at low command."""
    share = cmd * (1.12 - 0.12 * cmd) * speed
    friction = fx.part_fan_lost * wear * (1.25 - 0.25 * cmd)
    return made.part_fan_top * share * np.maximum(1.0 - friction, 0.0)


def _sensor_error(made: Drawn, fx: Effects, temp: Floats, wear: Floats) -> Floats:
    """How far the hot end's sensor is off, kelvin; the controller believes it."""
    sign = np.where(made.drift_cold < 0.0, -1.0, 1.0)
    drift = sign * (fx.thermistor_cold + fx.thermistor_gain * (temp - 25.0))
    return wear * drift


def _losses(
    made: Drawn, fx: Effects, part_rpm: Floats, fan_share: Floats, melted: Floats
) -> Floats:
    """Heat lost per kelvin by hot end and bed, W/K [2, n]: air, cold side, melted filament."""
    still = made.hotend_loss * (1.0 + fx.heat_break_loss * (fan_share - 1.0))
    air = made.hotend_fan_loss * part_rpm / made.part_fan_top
    return np.stack([still + air + MELT * melted, made.bed_loss])


def _heat(
    made: Drawn,
    state: State,
    targets: Floats,
    error: Floats,
    loss: Floats,
    limits: Floats,
    dt_s: float,
) -> Heated:
    setpoint = targets.copy()
    setpoint[0] = np.where(targets[0] > 0.0, targets[0] - error, 0.0)
    return hold(
        temp=state.temp,
        setpoint=setpoint,
        ambient=np.stack([state.chamber, state.chamber]),
        loss=loss,
        capacity=np.stack([made.hotend_capacity, made.bed_capacity]),
        limit=limits,
        dt_s=dt_s,
    )


def _driver(
    made: Drawn,
    fx: Effects,
    state: State,
    phase: Shorts,
    clog: Floats,
    chamber: Floats,
    dt_s: float,
) -> Floats:
    """Temperature of the extruder's driver: follows the work, and the torque against a clog."""
    printing = phase == jobs.RUNNING
    work = np.where(printing, 0.85 + 0.02 * state.jobs.flow, 0.4)
    rise = made.driver_rise * work + np.where(printing, fx.clog_driver_rise * clog, 0.0)
    share = 1.0 - math.exp(-dt_s / _DRIVER_TAU_S)
    return state.driver + (chamber + rise - state.driver) * share


def _unrest(made: Drawn, heat: Heated, state: State, jitter: Floats, drift: Floats) -> Floats:
    """Deviation of the hot end's reading within the frame, K: control, ramps, loose contacts."""
    ramp = 0.29 * (heat.temp[0] - state.temp[0])
    calm = _CALM_K * made.noise * np.exp(0.15 * drift)
    return np.asarray(np.sqrt(calm * calm + ramp * ramp + jitter * jitter))


def _load(
    made: Drawn, fx: Effects, stock: jobs.Materials, job: jobs.Jobs, flow: Floats, clog: Floats
) -> Floats:
    """Torque on the extruder, percent of its limit: flow, viscosity, back pressure."""
    push = made.extruder_load * (0.5 + 0.07 * flow) * stock.drag[job.material]
    return np.where(flow > 0.0, push * (1.0 + fx.clog_load * clog), 0.0)


def _belt(made: Drawn, fx: Effects, wear: Floats, chamber: Floats, z: Floats) -> Floats:
    """Resonance measured at the start of a job, Hz."""
    tone = made.belt_tone * (1.0 - fx.belt_tone_lost * wear)
    return tone + made.belt_thermal * (chamber - 22.0) + _BELT_NOISE_HZ * made.noise * z


def _notes(turn: jobs.Turn, materials: jobs.Materials) -> tuple[Note, ...]:
    job = turn.jobs
    begun = [
        Note(
            device=i,
            code="job_started",
            details={
                "material": str(materials.names[job.material[i]]),
                "hours": round(float(job.job_s[i]) / 3600.0, 2),
            },
        )
        for i in np.flatnonzero(turn.started).tolist()
    ]
    done = [Note(device=i, code="job_ended") for i in np.flatnonzero(turn.ended).tolist()]
    return (*begun, *done)
