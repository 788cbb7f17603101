"""Every fault that the simulators know, half grown, with the channels that truly show it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from simulators import specs
from simulators.fleets import FLEETS
from simulators.histories import History as Simulated
from simulators.steps import FaultPlan, ScheduledFault
from stack.histories import as_history

if TYPE_CHECKING:
    from foremend.wire import Channel
    from models.history import History

STEP_S = 600.0
ONSET_H, GROWTH_H, LATEST = 48.0, 30.0, 0.75
"""When faults begin, how long they take, and the share of it that is looked at."""
FILES = {
    "fdm_printer": "printer",
    "rotating_machine": "machine",
    "hydraulic_excavator": "excavator",
}
UNSEEN = {("spool", "filament_runout")}
"""What shows in nothing that is measured until it happens: a spool ends."""
ELSEWHERE = {
    ("hotend_thermistor", "thermistor_drift"): {"hotend_power"},
    ("mainboard", "thermal_runaway"): {"hotend_temp", "hotend_power"},
    ("nozzle", "nozzle_clog"): {"hotend_power", "filament_motion"},
    ("extruder_gear", "extruder_gear_wear"): {"extruder_load"},
    ("bearing_x", "linear_bearing_wear"): set(),
    ("spool", "filament_tangle"): {"filament_motion", "extruder_load"},
    ("hydraulic_pump", "hydraulic_pump_wear"): {"engine_load"},
}
"""Besides a component's own channels, those on which the physics has the fault act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of one device, and the channels that show it."""

    device: str
    component: str
    failure_mode: str
    channels: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailing:
    """A fleet of one family, each of whose devices has one fault, half grown at the end."""

    history: History
    model: str
    faults: tuple[Fault, ...]


@cache
def ailing(family: str, seed: int) -> Ailing:
    """Record a fleet in which every fault of the family grows on a device of its own."""
    parts = specs.load(FILES[family]).parts
    modes = [m for p in parts for m in p.modes if (m.component, m.failure_mode) not in UNSEEN]
    names = [f"u{i}" for i in range(len(modes))]
    plan = tuple(
        ScheduledFault(
            device=name,
            component=mode.component,
            failure_mode=mode.failure_mode,
            onset_h=ONSET_H,
            hours_to_failure=GROWTH_H,
        )
        for name, mode in zip(names, modes, strict=True)
    )
    simulated = _recorded(_fleet(family, names, seed, plan))
    return Ailing(
        history=as_history(simulated),
        model=simulated.model,
        faults=tuple(
            Fault(
                device=name,
                component=mode.component,
                failure_mode=mode.failure_mode,
                channels=_true(simulated.channels, mode.component, mode.failure_mode),
            )
            for name, mode in zip(names, modes, strict=True)
        ),
    )


def _true(channels: tuple[Channel, ...], component: str, failure_mode: str) -> frozenset[str]:
    own = {c.name for c in channels if c.component == component}
    return frozenset(own | ELSEWHERE.get((component, failure_mode), set()))


def _fleet(family: str, names: list[str], seed: int, plan: tuple[ScheduledFault, ...]) -> Any:
    faults = FaultPlan(random_from_h=None, scheduled=plan)
    return FLEETS[family](names=names, seed=seed, step_s=STEP_S, plan=faults)


def _recorded(fleet: Any) -> Simulated:
    start = tuple(fleet.components(i) for i in range(len(fleet.names)))
    hours = ONSET_H + LATEST * GROWTH_H
    steps = [fleet.step() for _ in range(round(hours * 3600 / STEP_S) + 1)]
    return Simulated(
        family=fleet.family, model=fleet.model, firmware=fleet.firmware, names=fleet.names,
        channels=fleet.channels, ts=np.array([s.ts_ms for s in steps]),
        phase=np.stack([s.phase for s in steps]), quality=np.stack([s.quality for s in steps]),
        values=np.stack([s.values for s in steps]),
        events=tuple(e for s in steps for e in s.events), components=start, findings=(),
        truth=fleet.truth(),
    )  # fmt: skip
