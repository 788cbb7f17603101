"""A printer's working day: jobs of random material and length, with phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.steps import Bools, Floats, Ints, Shorts

HEATING_LIMIT_S: Final = 2400.0
"""A job begins even if a weak heater has not quite got there by then."""
COOLING_S: Final = 2400.0
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


def materials(table: Mapping[str, Mapping[str, float]]) -> Materials:
    """Lay a family's materials out as arrays."""

    def column(name: str) -> Floats:
        return np.asarray([row[name] for row in table.values()], dtype=np.float64)

    return Materials(
        names=tuple(table),
        hotend=column("hotend"),
        bed=column("bed"),
        fan=column("fan"),
        flow=column("flow"),
    )


def draw_mix(weights: Floats, rng: np.random.Generator, n: int) -> Floats:
    """Draw each owner's taste in materials as cumulative shares [m, n]."""
    taste = weights[:, None] * rng.gamma(1.2, size=(weights.size, n))
    return np.asarray(np.cumsum(taste / taste.sum(axis=0), axis=0))


def begin(habits: Habits, rng: np.random.Generator) -> Jobs:
    """Start with every device idle, waiting for its first job."""
    n = habits.idle_s.size
    zero = np.zeros(n)
    return Jobs(
        phase=np.full(n, Phase.IDLE, dtype=np.int16),
        left_s=rng.uniform(0.0, 2.0, n) * habits.idle_s,
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
    left = jobs.left_s - dt_s
    over = left <= 0.0
    was = jobs.phase
    starts = (was == Phase.IDLE) & over & ~down
    runs = (was == Phase.HEATING) & (warm | over) & ~down
    cools = (was == Phase.RUNNING) & over & ~down
    rests = (((was == Phase.COOLING) & over) | (was == Phase.ERROR)) & ~down
    ended = cools | (down & ((was == Phase.RUNNING) | (was == Phase.HEATING)))
    job = _next_job(jobs, habits, materials, u) if starts.any() else jobs
    phase = np.select(
        [down, starts, runs, cools, rests],
        [Phase.ERROR, Phase.HEATING, Phase.RUNNING, Phase.COOLING, Phase.IDLE],
        was,
    ).astype(np.int16)
    idle_s = habits.idle_s * -np.log1p(-u[6])
    left_s = np.select(
        [starts, runs, cools, rests], [HEATING_LIMIT_S, jobs.job_s, COOLING_S, idle_s], left
    )
    moved = Jobs(
        phase=phase,
        left_s=left_s,
        material=np.where(starts, job.material, jobs.material),
        hotend=np.where(starts, job.hotend, jobs.hotend),
        bed=np.where(starts, job.bed, jobs.bed),
        fan=np.where(starts, job.fan, jobs.fan),
        flow=np.where(starts, job.flow, jobs.flow),
        job_s=np.where(starts, job.job_s, jobs.job_s),
    )
    return Turn(jobs=moved, started=starts, ended=ended)


def _next_job(jobs: Jobs, habits: Habits, materials: Materials, u: Floats) -> Jobs:
    """Draw a job for every device; only those that start one will take it."""
    material = np.minimum((u[0] > habits.mix).sum(axis=0), len(materials.names) - 1)
    length = np.exp(0.75 * np.clip(_normal(u[1]), -2.0, 2.0))
    return Jobs(
        phase=jobs.phase,
        left_s=jobs.left_s,
        material=material,
        hotend=np.rint(materials.hotend[material] + 12.0 * (u[2] - 0.5)),
        bed=np.rint(materials.bed[material] + 8.0 * (u[3] - 0.5)),
        fan=np.clip(materials.fan[material] * (0.8 + 0.4 * u[4]), 0.0, 1.0),
        flow=materials.flow[material] * habits.flow_scale * (0.65 + 0.7 * u[5]),
        job_s=habits.job_s * length,
    )


def _normal(u: Floats) -> Floats:
    """Give about normal variates: the logistic quantile with unit variance."""
    inner = np.clip(u, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(inner / (1.0 - inner)) * (np.sqrt(3.0) / np.pi))
