"""The moving side of a printer: filament, drivers, belts and bearings, bed, card, radio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators import jobs
from simulators.thermal import towards

if TYPE_CHECKING:
    from simulators.printer_build import Drawn, Effects, Kind, State, Wear
    from simulators.steps import Bools, Floats

_DRIVER_TAU_S: Final = 900.0
_BELT_NOISE_HZ: Final = 1.1
_DAMPING_NOISE: Final = 0.035
_MESH_NOISE_MM: Final = 0.009
_MESH_THERMAL: Final = 0.0004
"""mm/K: a hotter bed bows more."""
_WIFI_WANDER_DB: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filament:
    """What the extruder is told and does [n]: mm3/s, moved over told, percent of torque."""

    flow: Floats
    melted: Floats
    moved: Floats
    load: Floats


def filament(kind: Kind, made: Drawn, state: State, job: jobs.Jobs, wear: Wear) -> Filament:
    """Push filament: a clog holds against it, a worn gear lets go, a tangle pulls back.

    Before a clog a gear presses harder for long; only past its grip does it skip.
    """
    fx = kind.fx
    asked = job.flow * np.exp(kind.usual.flow_walk * state.walk[0])
    printing = job.phase == jobs.RUNNING
    flow = np.where(printing, asked * (1.0 - fx.stall_flow_lost * wear.sd_card), 0.0)
    slip = np.minimum(fx.gear_slip * wear.extruder_gear * (0.5 + 0.07 * flow), 0.9)
    held = fx.tangle_slip * wear.filament_tangle
    skips = np.clip((wear.nozzle - fx.clog_grip) / (1.0 - fx.clog_grip), 0.0, 1.0)
    moved = (1.0 - fx.clog_flow_lost * skips) * (1.0 - slip) * np.maximum(1.0 - held, 0.0)
    moved = np.maximum(moved, 0.0)
    pulled = 1.0 + fx.tangle_load * wear.filament_tangle + fx.runout_load * wear.spool
    grip = 1.0 - fx.gear_load * wear.extruder_gear
    push = made.extruder_load * (0.5 + 0.07 * flow) * kind.stock.drag[job.material]
    return Filament(
        flow=flow,
        melted=flow * moved,
        moved=made.encoder * np.where(flow > 0.0, moved, 1.0),
        load=np.where(flow > 0.0, push * (1.0 + fx.clog_load * wear.nozzle) * pulled * grip, 0.0),
    )


def driver(
    made: Drawn, fx: Effects, state: State, printing: Bools, wear: Wear, dt_s: float
) -> Floats:
    """Temperature of the extruder's driver: follows the work, and the torque against a clog."""
    work = np.where(printing, 0.85 + 0.02 * state.jobs.flow, 0.4)
    against = fx.clog_driver_rise * (wear.nozzle + 0.6 * wear.filament_tangle)
    rise = made.driver_rise * work + np.where(printing, against, 0.0)
    return towards(state.driver, state.chamber + rise, dt_s, _DRIVER_TAU_S)


def driver_x(
    made: Drawn, fx: Effects, state: State, printing: Bools, wear: Wear, dt_s: float
) -> Floats:
    """Temperature of the X axis' driver: follows the work, and the friction of a dry bearing."""
    rise = np.where(printing, made.driver_x_rise + fx.bearing_driver_rise * wear.bearing_x, 6.0)
    return towards(state.driver_x, state.chamber + rise, dt_s, _DRIVER_TAU_S)


def belt(made: Drawn, fx: Effects, state: State, wear: Wear, z: Floats) -> Floats:
    """Resonance measured at the start of a job, Hz."""
    tone = made.belt_tone * (1.0 - fx.belt_tone_lost * wear.belt_x)
    return tone + made.belt_thermal * (state.chamber - 22.0) + _BELT_NOISE_HZ * made.noise * z


def damping(made: Drawn, fx: Effects, wear: Wear, z: Floats) -> Floats:
    """Damping ratio of that resonance: friction broadens it."""
    more = 1.0 + fx.bearing_damping * wear.bearing_x + fx.belt_damping * wear.belt_x
    return np.asarray(made.belt_damping * more * np.exp(_DAMPING_NOISE * made.noise * z))


def mesh(made: Drawn, fx: Effects, job: jobs.Jobs, wear: Wear, z: Floats) -> Floats:
    """Range of the bed's probed heights at the start of a job, mm."""
    bowed = _MESH_THERMAL * (job.bed - 60.0)
    found = made.mesh_range + bowed + fx.mesh_drift * wear.bed_mount + _MESH_NOISE_MM * z
    return np.maximum(found, 0.01)


def stalls(made: Drawn, fx: Effects, wear: Wear, printing: Bools, z: Floats, dt_s: float) -> Floats:
    """How often in an hour the motion ran dry: a count in the frame, about Poisson's."""
    hours = dt_s / 3600.0
    mean = (made.stalls + fx.stalls * wear.sd_card) * hours
    count = np.rint(np.maximum(mean + np.sqrt(mean) * z, 0.0))
    return np.where(printing, count / hours, 0.0)


def wifi(made: Drawn, state: State) -> Floats:
    """Received signal, dBm: the place, and whoever walks between."""
    return np.asarray(made.wifi + _WIFI_WANDER_DB * state.walk[2])
