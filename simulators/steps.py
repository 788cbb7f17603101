"""What a simulated fleet gives out and takes in: steps, events, plans, fittings, truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from foremend.values import AsFound, Severity

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Shorts = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimEvent:
    """One thing that a device says happened."""

    device_index: int
    ts_ms: int
    code: str
    severity: Severity
    component: str | None = None
    details: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One frame of every device of a fleet; n devices, c channels. Holds no truth about faults.

    `values` are means or samples over the frame that ends at `ts_ms`; NaN where none was read.
    """

    ts_ms: int
    phase: Shorts
    quality: Shorts
    values: Floats
    events: tuple[SimEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledFault:
    """One fault that is to happen at a known time, in hours after the fleet's start.

    It is of full size at failure, never comes and goes, and shows as early as its kind may.
    """

    device: str
    component: str
    onset_h: float
    hours_to_failure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Which faults are to come.

    `hazard_scale` says how many times faster than in the field parts age (their ages at the start
    shrink with it, so age tells as much as in the field). Random faults begin no earlier than
    `random_from_h` hours after the start; None means never. A scheduled fault takes the place of
    the random ones of the part that is fitted at the start. `growth_scale` says how many times as
    long as in the data files random faults grow from onset to failure.
    """

    hazard_scale: float = 1.0
    growth_scale: float = 1.0
    random_from_h: float | None = 0.0
    scheduled: tuple[ScheduledFault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What a technician who fitted a new part found in the old one, and whether a fault went."""

    as_found: AsFound
    cured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One fault as it really was; kept apart from all that devices say.

    `due_ms` is when it fails, or when it would have failed had the part been left in;
    `preventive` says that the part was changed before it failed.
    """

    device: str
    component: str
    failure_mode: str
    onset_ms: int
    failed_ms: int | None
    due_ms: int
    repaired_ms: int | None
    preventive: bool
