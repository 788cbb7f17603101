"""A printer's working day: jobs of random material and length, with phases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foremend.values import Phase
from simulators.materials import pick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.steps import Bools, Floats, Ints, Shorts

IDLE: Final = int(Phase.IDLE)
HEATING: Final = int(Phase.HEATING)
RUNNING: Final = int(Phase.RUNNING)
COOLING: Final = int(Phase.COOLING)
ERROR: Final = int(Phase.ERROR)
"""Plain whole numbers: NumPy takes several times as long over an enum."""
DRAWS: Final = 8
"""Uniform variates that a step takes for each device."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Materials:
    """Names, and constants of each material [m]."""

    names: tuple[str, ...]
    hotend: Floats
    bed: Floats
    fan: Floats
    flow: Floats
    drag: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How jobs go, whoever prints; the data file names units and sources."""

    flow_walk: float
    fan_walk: float
    walk_s: float
    job_spread: float
    hotend_spread: float
    bed_spread: float
    fan_spread: float
    flow_spread: float
    heating_limit_s: float
    cooling_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Habits:
    """How each device is used [n]; `mix` is the cumulative share of materials [m, n]."""

    mix: Floats
    idle_s: Floats
    job_s: Floats
    flow_scale: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jobs:
    """Each device's phase, seconds left in it, and its present or next job [n]."""

    phase: Shorts
    left_s: Floats
    material: Ints
    hotend: Floats
    bed: Floats
    fan: Floats
    flow: Floats
    job_s: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """Jobs after a frame, and which devices have just begun or ended one [n]."""

    jobs: Jobs
    started: Bools
    ended: Bools


def begin(habits: Habits, rng: np.random.Generator, *, at_once: bool = False) -> Jobs:
    """Start with every device idle, its first job to come in a while or `at_once`."""
    n = habits.idle_s.size
    waits_s = rng.uniform(0.0, 2.0, n) * habits.idle_s
    zero = np.zeros(n)
    return Jobs(
        phase=np.full(n, Phase.IDLE, dtype=np.int16),
        left_s=zero if at_once else waits_s,
        material=np.zeros(n, dtype=np.int64),
        hotend=zero,
        bed=zero,
        fan=zero,
        flow=zero,
        job_s=zero,
    )


def advance(
    jobs: Jobs,
    habits: Habits,
    materials: Materials,
    usual: Statistics,
    *,
    warm: Bools,
    down: Bools,
    u: Floats,
    dt_s: float,
) -> Turn:
    """Move every device's jobs on by one frame.

    `warm` says which devices have reached their targets, `down` which stand in error; `u` are
    uniform variates [DRAWS, n], the same number whatever happens.
    """
    left, was = jobs.left_s - dt_s, jobs.phase
    over = (left <= 0.0) & ~down
    starts = (was == IDLE) & over
    runs = (was == HEATING) & (warm | over) & ~down
    cools = (was == RUNNING) & over
    rests = ((was == COOLING) & over) | ((was == ERROR) & ~down)
    ended = cools | (down & ((was == RUNNING) | (was == HEATING)))
    begun = _begin_jobs(jobs, habits, materials, usual, starts, u) if starts.any() else jobs
    idle_s = habits.idle_s * -np.log1p(-u[6])
    moved = replace(
        begun,
        phase=_choose(
            was, (down, ERROR), (starts, HEATING), (runs, RUNNING), (cools, COOLING), (rests, IDLE)
        ),
        left_s=_choose(
            left,
            (starts, usual.heating_limit_s),
            (runs, jobs.job_s),
            (cools, usual.cooling_s),
            (rests, idle_s),
        ),
    )
    return Turn(jobs=moved, started=starts, ended=ended)


def _choose(otherwise: NDArray[Any], *cases: tuple[Bools, Floats | float]) -> NDArray[Any]:
    """Take the value of the one case that holds; the cases exclude each other."""
    for holds, value in cases:
        otherwise = np.where(holds, value, otherwise)
    return otherwise


def _begin_jobs(
    jobs: Jobs, habits: Habits, materials: Materials, usual: Statistics, starts: Bools, u: Floats
) -> Jobs:
    """Draw the jobs of those that start one."""
    at = np.flatnonzero(starts)
    v = u[:, at]
    material = pick(habits.mix[:, at], v[0])
    length = np.exp(usual.job_spread * np.clip(_normal(v[1]), -2.0, 2.0))
    flow = (
        materials.flow[material] * habits.flow_scale[at] * (1.0 + usual.flow_spread * (v[5] - 0.5))
    )
    fan = np.clip(materials.fan[material] * (1.0 + usual.fan_spread * (v[4] - 0.5)), 0.0, 1.0)
    return replace(
        jobs,
        material=_set(jobs.material, at, material),
        hotend=_set(
            jobs.hotend,
            at,
            np.rint(materials.hotend[material] + usual.hotend_spread * (v[2] - 0.5)),
        ),
        bed=_set(jobs.bed, at, np.rint(materials.bed[material] + usual.bed_spread * (v[3] - 0.5))),
        fan=_set(jobs.fan, at, fan),
        flow=_set(jobs.flow, at, flow),
        job_s=_set(jobs.job_s, at, habits.job_s[at] * length),
    )


def _set(array: NDArray[Any], at: Ints, values: NDArray[Any]) -> NDArray[Any]:
    changed = array.copy()
    changed[at] = values
    return changed


def _normal(u: Floats) -> Floats:
    """Give about normal variates: the logistic quantile with unit variance."""
    inner = np.clip(u, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(inner / (1.0 - inner)) * (np.sqrt(3.0) / np.pi))
