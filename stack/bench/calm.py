"""How often healthy devices of simulated fleets raise an alarm, and how many ill ones do.

Each ill device has a healthy twin: the same unit, the same jobs, no fault. What the twin says in
the same hours is what chance would have found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.clock import HOUR_MS
from models.anomaly import FleetScorer
from models.priors import context_columns, scored_columns, spec_of
from simulators import specs
from simulators.fleets import FLEETS, STEP_S
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from simulators.fleets import AnyFleet
    from simulators.specs import Mode
    from simulators.steps import Step

    Bools = NDArray[np.bool_]

_WEEK_H: Final = 168.0
_ONSET_H: Final = (240.0, 312.0)
"""Faults begin in these hours: devices are known by then."""
_FILES: Final = {
    "fdm_printer": "printer",
    "rotating_machine": "machine",
    "hydraulic_excavator": "excavator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What was told of one family's devices; every second of them is ill."""

    alarms_per_device_week: float
    by_week: tuple[float, ...]
    anomalous: float
    """Share of the judged time of healthy devices."""
    found: float
    """Share of faults with an alarm between onset and failure."""
    found_in_twins: float
    median_lead_h: float | None
    missed: dict[str, int]
    causes: dict[str, int]
    """Alarms of healthy devices by their first channel."""


def measured(family: str, *, seed: int, devices: int, weeks: int) -> Calm:
    """Run `devices` and their ill twins for some weeks, two at least, and score every frame."""
    names = [f"d{i}" for i in range(devices)]
    modes = specs.load(_FILES[family]).modes
    faults = _faults(names, modes, np.random.default_rng([seed, 77]))
    plans = (FaultPlan(random_from_h=None), FaultPlan(random_from_h=None, scheduled=faults))
    well, ill = (FLEETS[family](names=names, seed=seed, plan=plan) for plan in plans)
    frames = round(weeks * _WEEK_H * 3600.0 / STEP_S)
    channels = [{"name": c.name, "kind": c.kind} for c in well.channels]
    scorer = FleetScorer(spec_of(channels))
    columns = (*scored_columns(channels), *context_columns(channels))
    ts = np.empty(frames, np.int64)
    alarm, anomalous, known = (np.zeros((frames, 2 * devices), np.bool_) for _ in range(3))
    top = np.zeros((frames, 2 * devices), np.int64)
    slots = np.array([scorer.slot(i) for i in range(2 * devices)])
    for at, (one, other) in enumerate(_steps(well, ill, frames)):
        ts[at] = one.ts_ms
        told = scorer.score(
            slots,
            np.full(len(slots), one.ts_ms),
            np.r_[one.phase, other.phase],
            np.concatenate([one.values, other.values])[:, columns],
            np.r_[one.quality, other.quality],
        )
        alarm[at], anomalous[at] = told.alarm, told.anomalous
        known[at], top[at] = told.known, told.top_channel
    healthy = slice(0, devices)
    leads = [_leads(ill, name, ts, alarm[:, devices + i]) for i, name in enumerate(names)]
    twins = [_leads(ill, name, ts, alarm[:, i]) for i, name in enumerate(names)]
    heard = [lead for lead in leads if lead is not None]
    first = [scorer.spec.channels[i] for i in top[:, healthy][alarm[:, healthy]]]
    missed = [f.failure_mode or "" for f, lead in zip(faults, leads, strict=True) if lead is None]
    return Calm(
        alarms_per_device_week=float(alarm[:, healthy].sum()) / devices / weeks,
        by_week=tuple(
            round(float(part[:, healthy].sum()) / devices, 2)
            for part in np.array_split(alarm, weeks)
        ),
        anomalous=float(
            (anomalous & known)[:, healthy].sum() / max(int(known[:, healthy].sum()), 1)
        ),
        found=len(heard) / devices,
        found_in_twins=sum(lead is not None for lead in twins) / devices,
        median_lead_h=float(np.median(heard)) if heard else None,
        missed=_counted(missed),
        causes=_counted(first),
    )


def _faults(
    names: Sequence[str], modes: Sequence[Mode], rng: np.random.Generator
) -> tuple[ScheduledFault, ...]:
    """One fault a device, all modes by turns."""
    return tuple(
        ScheduledFault(
            device=name,
            component=mode.component,
            onset_h=float(rng.uniform(*_ONSET_H)),
            hours_to_failure=float(rng.uniform(*mode.growth_h)),
            failure_mode=mode.failure_mode,
        )
        for name, mode in zip(names, list(modes) * len(names), strict=False)
    )


def _steps(well: AnyFleet, ill: AnyFleet, frames: int) -> Iterator[tuple[Step, Step]]:
    for _ in range(frames):
        yield well.step(), ill.step()


def _leads(ill: AnyFleet, name: str, ts: NDArray[np.int64], alarm: Bools) -> float | None:
    """Hours from the first alarm after a device's onset to its failure; None if there is none."""
    fault = next((t for t in ill.truth() if t.device == name), None)
    if fault is None:
        return None
    raised = ts[alarm & (ts > fault.onset_ms) & (ts <= fault.due_ms)]
    return float(fault.due_ms - raised[0]) / HOUR_MS if len(raised) else None


def _counted(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names), key=names.count, reverse=True)}
