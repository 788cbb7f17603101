"""FDM printers: what jobs ask of heaters, fans, extruder and axes, frame by frame.

A frame carries means over `dt_s`; the supply's load is that of the frame before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators import jobs, materials, printer_heat, printer_motion, specs
from simulators.physics import Outcome, notes
from simulators.printer_build import Drawn, Effects, Kind, State, Units, Wear
from simulators.thermal import pid
from simulators.weather import wander

if TYPE_CHECKING:
    from simulators.physics import Around, Note
    from simulators.specs import Family
    from simulators.steps import Bools, Floats

_DRIFT_TAU_S: Final = 36_000.0
"""Slow changes that mean nothing: dust, bearings' grease, the mains."""
_NOISES: Final = 13
"""Normal variates of a frame: three walks, four drifts, six of what is measured."""


class PrinterPhysics:
    """The physics of FDM printers; see `simulators/data/printer.toml` for every figure."""

    def __init__(self, *, at_once: bool = False) -> None:
        self._at_once = at_once
        self.family: Family = specs.load("printer")
        self.active: tuple[Phase, ...] = (Phase.HEATING, Phase.RUNNING)
        self._names = tuple(channel.name for channel in self.family.channels)
        self._runout = [m.defect for m in self.family.modes].index("spool")
        self._kind = Kind(
            fx=specs.read_figures(Effects, self.family.effects),
            stock=materials.read(jobs.Materials, self.family.materials),
            usual=specs.read_figures(jobs.Statistics, self.family.habits),
            pid=pid(self.family.control, ("hotend", "bed")),
        )

    def draw(self, rng: np.random.Generator, n: int) -> Units:
        """Draw the constants of n units."""
        made = specs.draw_units(Drawn, self.family, rng, n)
        habits = jobs.Habits(
            mix=materials.draw(self.family.materials, rng, n, shape=1.2),
            idle_s=made.idle_hours * 3600.0,
            job_s=made.job_hours * 3600.0,
            flow_scale=made.flow_scale,
        )
        return Units(made=made, habits=habits)

    def begin(self, units: Units, room_c: Floats, rng: np.random.Generator) -> State:
        """Start cold, idle, with belts and bed measured before this run."""
        zero, made = np.zeros_like(room_c), units.made
        return State(
            jobs=jobs.begin(units.habits, rng, at_once=self._at_once),
            temp=np.stack([room_c, room_c]),
            integral=np.zeros((2, room_c.size)),
            rate=np.zeros((2, room_c.size)),
            sensor_error=zero,
            amps=made.idle_amps,
            chamber=room_c,
            driver=room_c + 0.4 * made.driver_rise,
            driver_x=room_c + 6.0,
            heatsink=room_c,
            board=room_c + 0.6 * made.board_rise,
            walk=rng.standard_normal((3, room_c.size)),
            drift=rng.standard_normal((4, room_c.size)),
            belt_hz=made.belt_tone,
            damping=made.belt_damping,
            mesh=made.mesh_range,
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
            self._kind.stock,
            self._kind.usual,
            warm=warm,
            down=around.down,
            u=u,
            dt_s=around.dt_s,
        )
        stirred = replace(
            state,
            walk=wander(state.walk, 1.0, z[0:3], around.dt_s / self._kind.usual.walk_s),
            drift=wander(state.drift, 1.0, z[3:7], around.dt_s / _DRIFT_TAU_S),
        )
        moved, found = _frame(self._kind, units.made, stirred, turn, around, z[7:])
        found["filament_present"] = np.where(around.spent[self._runout], 0.0, 1.0)
        truth = np.stack([found[name] for name in self._names])
        told = _notes(turn, self._kind.stock)
        return moved, Outcome(phase=turn.jobs.phase, truth=truth, notes=told)


def _is_warm(state: State) -> Bools:
    """Whether hot end (as its sensor says) and bed are within a few kelvin of their targets."""
    seen = state.temp[0] + state.sensor_error
    return np.asarray((seen > state.jobs.hotend - 4.0) & (state.temp[1] > state.jobs.bed - 3.0))


def _frame(
    kind: Kind, made: Drawn, state: State, turn: jobs.Turn, around: Around, z: Floats
) -> tuple[State, dict[str, Floats]]:
    """Give the state after a frame and its true quantities by channel."""
    wear, dt_s, job, fx = Wear._make(around.wear), around.dt_s, turn.jobs, kind.fx
    printing = job.phase == jobs.RUNNING
    heating = printing | (job.phase == jobs.HEATING)
    asked = np.clip(job.fan + kind.usual.fan_walk * state.walk[1], 0.0, 1.0)
    fan_cmd = np.where(printing, asked, 0.0)
    pushed = printer_motion.filament(kind, made, state, job, wear)
    blown = printer_heat.air(made, fx, state, around, wear, fan_cmd, z[0])
    sensed = printer_heat.sensed(made, fx, state.temp[0], wear, z[1])
    targets = np.where(heating, np.stack([job.hotend, job.bed]), 0.0)
    heat, duty = printer_heat.heated(
        kind, made, state, wear, blown=blown, targets=targets, followed=sensed.followed,
        melted=pushed.melted, dt_s=dt_s,
    )  # fmt: skip
    moved = State(
        jobs=job,
        temp=heat.temp,
        integral=heat.integral,
        rate=heat.rate,
        sensor_error=sensed.followed,
        amps=made.idle_amps + heat.mean_watts.sum(axis=0) / blown.volts,
        chamber=printer_heat.chamber(made, state, around, heat),
        driver=printer_motion.driver(made, fx, state, printing, wear, dt_s),
        driver_x=printer_motion.driver_x(made, fx, state, printing, wear, dt_s),
        heatsink=printer_heat.heatsink(made, state, heat, blown.hotend_spin, dt_s),
        board=printer_heat.board(made, fx, state, wear, heating, dt_s),
        walk=state.walk,
        drift=state.drift,
        **_measured(made, fx, state, turn, wear, z),
    )
    return moved, {
        "hotend_temp": heat.mean_temp[0] + sensed.read,
        "hotend_target": targets[0],
        "hotend_power": duty[0],
        "bed_temp": heat.mean_temp[1],
        "bed_target": targets[1],
        "bed_power": duty[1],
        "hotend_fan_rpm": made.hotend_fan_top * blown.hotend_spin,
        "part_fan_rpm": blown.part_rpm,
        "part_fan_cmd": fan_cmd,
        "flow": pushed.flow,
        "driver_temp": moved.driver,
        "belt_x_hz": moved.belt_hz,
        "supply_v": blown.volts,
        "chamber_temp": moved.chamber,
        "hotend_temp_std": printer_heat.unrest(made, heat, state, sensed.spread),
        "extruder_load": pushed.load,
        "filament_motion": pushed.moved,
        "driver_x_temp": moved.driver_x,
        "belt_x_damping": moved.damping,
        "bed_mesh_range": moved.mesh,
        "stall_rate": printer_motion.stalls(made, fx, wear, printing, z[5], dt_s),
        "heatsink_temp": moved.heatsink,
        "board_temp": moved.board,
        "wifi_rssi": printer_motion.wifi(made, state),
    }


def _measured(
    made: Drawn, fx: Effects, state: State, turn: jobs.Turn, wear: Wear, z: Floats
) -> dict[str, Floats]:
    """Measure belt and bed anew where a job has just begun."""
    if not turn.started.any():
        return {"belt_hz": state.belt_hz, "damping": state.damping, "mesh": state.mesh}
    fresh = {
        "belt_hz": printer_motion.belt(made, fx, state, wear, z[2]),
        "damping": printer_motion.damping(made, fx, wear, z[3]),
        "mesh": printer_motion.mesh(made, fx, turn.jobs, wear, z[4]),
    }
    return {name: np.where(turn.started, fresh[name], getattr(state, name)) for name in fresh}


def _notes(turn: jobs.Turn, stock: jobs.Materials) -> tuple[Note, ...]:
    job = turn.jobs

    def told(i: int) -> dict[str, str | int | float]:
        material = str(stock.names[job.material[i]])
        return {"material": material, "hours": round(float(job.job_s[i]) / 3600.0, 2)}

    return (*notes(turn.started, "job_started", told), *notes(turn.ended, "job_ended"))
