"""Faults as they develop: a part ages, a fault begins, grows, and at last stops the device.

Everything runs on each device's own clock of hours, which stands still while the device is down.
Arrays are [k, n]: parts by devices. No draw depends on another device or on the order of repairs.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.errors import NotFound
from foremend.values import AsFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.specs import Part
    from simulators.steps import Bools, FaultPlan, Floats, Ints

NEVER: Final = -1
HOUR_MS: Final = 3_600_000
_GATE_PER_H: Final = 1.5
"""How often an intermittent fault may come or go."""
_ABSENT: Final = 0.15
"""Share of an intermittent defect that stays while it is away."""
_FOUND_DEGRADED: Final = 0.03
"""Wear below which a technician finds nothing."""
_OLDEST: Final = 1.1
"""Age of the oldest part at the start, in units of its life."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rates:
    """The parts' constants as columns [k, 1]."""

    warning_from: Floats
    warnings_per_h: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Faults:
    """State of every part [k, n] and each device's clock [n]; changed in place by repairs only.

    `onset_h` is on the device's clock; `onset_ms` and `failed_ms` are NEVER until they happen.
    """

    clock_h: Floats
    onset_h: Floats
    growth_h: Floats
    exponent: Floats
    strength: Floats
    intermittent: Bools
    gate: Bools
    generation: Ints
    installed_ms: Ints
    onset_ms: Ints
    failed_ms: Ints

    @property
    def remaining_h(self) -> Floats:
        """Hours of the device's clock until each part fails if left; infinite if none is known."""
        return np.maximum(self.onset_h + self.growth_h - self.clock_h, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ageing:
    """Faults after a frame: progress from onset to failure and wear [k, n], and who fails now.

    Wear is 0 when healthy and about 1 (0.7 to 1.3) at failure; `down` [n] are the devices that
    stand still with a failed part.
    """

    faults: Faults
    progress: Floats
    wear: Floats
    fails: Bools
    down: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What fate has for one fitted part: hours to onset and to failure, and how it grows."""

    to_onset_h: float
    growth_h: float
    exponent: float
    strength: float
    intermittent: bool


def rates(parts: Sequence[Part]) -> Rates:
    """Lay the parts' constants out for arithmetic on [k, n]."""
    return Rates(
        warning_from=np.asarray([[p.warning_from] for p in parts]),
        warnings_per_h=np.asarray([[p.warnings_per_h] for p in parts]),
    )


def fate(seed: int, device: int, row: int, generation: int) -> np.random.Generator:
    """Give one part's own random numbers, the same whatever happened before it was fitted."""
    return np.random.Generator(np.random.PCG64([seed, 0xFA, device, row, generation]))


def draw_life(part: Part, plan: FaultPlan, rng: np.random.Generator, *, age_h: float) -> Life:
    """Draw when a part of this age (hours) will develop its fault, given that it has none yet.

    Weibull: the cumulative hazard (age / scale) ** shape has grown by a standard exponential
    variate when the fault begins.
    """
    scale = part.life_h / plan.hazard_scale
    begun, spent = age_h / scale, rng.standard_exponential()
    onset_age = scale * (begun**part.shape + spent) ** (1.0 / part.shape)
    return Life(
        to_onset_h=float(onset_age - age_h),
        growth_h=float(rng.uniform(*part.growth_h)) * plan.growth_scale,
        exponent=float(rng.uniform(*part.exponent)),
        strength=float(np.clip(1.0 + 0.12 * rng.standard_normal(), 0.7, 1.3)),
        intermittent=bool(rng.random() < part.intermittent),
    )


def begin(
    parts: Sequence[Part], plan: FaultPlan, names: Sequence[str], seed: int, start_ms: int
) -> Faults:
    """Fit every device with parts of different ages, none at fault yet."""
    blank = _blank(len(parts), len(names))
    for row, part in enumerate(parts):
        for device in range(len(names)):
            rng = fate(seed, device, row, 0)
            age_h = float(rng.uniform(0.0, _OLDEST)) * part.life_h / plan.hazard_scale
            blank.installed_ms[row, device] = start_ms - int(age_h * HOUR_MS)
            hold_h = np.inf if plan.random_from_h is None else plan.random_from_h
            known_age = age_h if np.isinf(hold_h) else age_h + hold_h
            _fit(blank, row, device, draw_life(part, plan, rng, age_h=known_age), hold_h)
    _schedule(blank, parts, plan, names)
    return blank


def _blank(k: int, n: int) -> Faults:
    floats = {f.name: np.zeros((k, n)) for f in fields(Faults) if f.type == "Floats"}
    bools = {f.name: np.zeros((k, n), dtype=np.bool_) for f in fields(Faults) if f.type == "Bools"}
    ints = {f.name: np.full((k, n), NEVER) for f in fields(Faults) if f.type == "Ints"}
    made = Faults(**{**floats, **bools, **ints})
    return replace(made, clock_h=np.zeros(n), generation=np.zeros((k, n), dtype=np.int64))


def _fit(faults: Faults, row: int, device: int, life: Life, hold_h: float) -> None:
    at = (row, device)
    faults.onset_h[at] = faults.clock_h[device] + hold_h + life.to_onset_h
    faults.growth_h[at] = life.growth_h
    faults.exponent[at] = life.exponent
    faults.strength[at] = life.strength
    faults.intermittent[at] = life.intermittent
    faults.gate[at] = True
    faults.onset_ms[at] = faults.failed_ms[at] = NEVER


def _schedule(faults: Faults, parts: Sequence[Part], plan: FaultPlan, names: Sequence[str]) -> None:
    rows = {part.instance: row for row, part in enumerate(parts)}
    for fault in plan.scheduled:
        if fault.device not in names or fault.component not in rows:
            raise NotFound(f"no {fault.component} on a {fault.device} here: see the fault plan")
        at = (rows[fault.component], list(names).index(fault.device))
        faults.onset_h[at] = fault.onset_h
        faults.growth_h[at] = fault.hours_to_failure
        faults.exponent[at] = parts[at[0]].exponent[0]
        faults.strength[at] = 1.0
        faults.intermittent[at] = False


def advance(faults: Faults, *, ts_ms: int, dt_h: float, active: Bools, u: Floats) -> Ageing:
    """Move every device's clock on by one frame that ends at `ts_ms`.

    A fault whose time has come fails its device only where the device is `active` [n]: a firmware
    notices only what it uses. `u` are uniform variates [k, n].
    """
    healthy = faults.failed_ms == NEVER
    up = healthy.all(axis=0)
    clock_h = faults.clock_h + up * dt_h
    progress = np.minimum(np.maximum((clock_h - faults.onset_h) / faults.growth_h, 0.0), 1.0)
    begins = (progress > 0.0) & (faults.onset_ms == NEVER)
    fails = (progress >= 1.0) & healthy & (active & up)
    gate = _gate(faults, progress, u, dt_h)
    moved = replace(
        faults,
        clock_h=clock_h,
        gate=gate,
        onset_ms=np.where(begins, ts_ms, faults.onset_ms),
        failed_ms=np.where(fails, ts_ms, faults.failed_ms),
    )
    size = np.zeros_like(progress)
    np.power(progress, faults.exponent, out=size, where=progress > 0.0)
    return Ageing(
        faults=moved,
        progress=progress,
        wear=size * faults.strength * np.where(gate, 1.0, _ABSENT),
        fails=fails,
        down=~up | fails.any(axis=0),
    )


def _gate(faults: Faults, progress: Floats, u: Floats, dt_h: float) -> Bools:
    """Let intermittent faults come and go, ever more often present as they grow."""
    share = _GATE_PER_H * dt_h
    afresh = (u < share) & faults.intermittent
    return np.where(afresh, u < share * (0.35 + 0.65 * progress), faults.gate)


def warns(ageing: Ageing, rates: Rates, u: Floats, *, dt_h: float, active: Bools) -> Bools:
    """Which parts make their device's firmware warn in this frame [k, n]."""
    late = (ageing.progress - rates.warning_from) / (1.0 - rates.warning_from)
    return (u < late * (rates.warnings_per_h * dt_h)) & (active & ~ageing.down)


def as_found(faults: Faults, row: int, device: int) -> AsFound:
    """Say what a technician sees who takes this part out."""
    if faults.failed_ms[row, device] != NEVER:
        return AsFound.FAILED
    grown_h = float(faults.clock_h[device] - faults.onset_h[row, device])
    progress = max(0.0, grown_h / float(faults.growth_h[row, device]))
    size = progress ** float(faults.exponent[row, device])
    return AsFound.DEGRADED if size > _FOUND_DEGRADED else AsFound.NO_FAULT_FOUND


def renew(
    faults: Faults,
    parts: Sequence[Part],
    plan: FaultPlan,
    seed: int,
    at: tuple[int, int],
    ts_ms: int,
) -> None:
    """Fit a new part at (row, device) and draw its life."""
    row, device = at
    faults.generation[at] += 1
    faults.installed_ms[at] = ts_ms
    rng = fate(seed, device, row, int(faults.generation[at]))
    life = draw_life(parts[row], plan, rng, age_h=0.0)
    if plan.random_from_h is None:
        hold_h = np.inf
    else:
        hold_h = max(0.0, plan.random_from_h - float(faults.clock_h[device]))
    _fit(faults, row, device, life, hold_h)


def serial(part: Part, seed: int, device: str, generation: int) -> str:
    """Give a fitted part's serial number; another for each that is fitted."""
    mark = zlib.crc32(f"{seed}/{device}/{part.instance}/{generation}".encode())
    return f"{part.serial_prefix}-{mark:08X}"
