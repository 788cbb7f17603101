"""The fleet that `foremend up` shows: 12 printers and 4 machines with a schedule of first faults.

After a day or more in which every device only shows what is usual for it, eight faults begin on
eight devices and fail between hours 63 and 110; the other eight devices stay well until then. As
in the field it is old parts that go. From hour 120 on faults are random, for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.fleet import START_MS
from simulators.fleets import MACHINE_HASTE, PRINTER_HASTE, STEP_S, MachineFleet, PrinterFleet
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.fleets import AnyFleet

PRINTERS: Final = tuple(f"printer-{i:02d}" for i in range(1, 13))
MACHINES: Final = tuple(f"machine-{i:02d}" for i in range(1, 5))
QUIET_UNTIL_H: Final = 120.0
_DUE_H: Final = (64.0, 70.0, 76.0, 82.0, 88.0, 94.0, 101.0, 108.0)
"""When the scheduled faults fail, within an hour."""
_GROWTH_H: Final = (24.0, 32.0)
"""How long a scheduled fault grows, at least and at most."""
_PRINTER_FAULTS: Final = (
    "hotend_heater", "hotend_thermistor", "nozzle", "part_fan", "belt_x", "psu",
)  # fmt: skip
_MACHINE_FAULTS: Final = ("bearing_de", "coupling", "impeller", "seal", "filter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What is to go wrong in each family."""

    printers: FaultPlan
    machines: FaultPlan


def plans(seed: int) -> Plans:
    """Draw the demonstration's schedule: six printers and two machines, all with other parts.

    A hot-end fan is the first to fail: its signature is the plainest to see.
    """
    rng = np.random.Generator(np.random.PCG64([seed, 0xDE]))
    dues = [due + rng.uniform(-1.0, 1.0) for due in _DUE_H]
    worn = ("hotend_fan", *_pick(_PRINTER_FAULTS, 5, rng))
    torn = _pick(_MACHINE_FAULTS, 2, rng)
    calm = FaultPlan(hazard_scale=PRINTER_HASTE, random_from_h=None)
    printers = _oldest(PrinterFleet(names=PRINTERS, seed=seed, plan=calm), worn)
    calm = FaultPlan(hazard_scale=MACHINE_HASTE, random_from_h=None)
    pumps = _oldest(MachineFleet(names=MACHINES, seed=seed, plan=calm), torn)
    pump_slots = (2, 5)
    printer_dues = [due for slot, due in enumerate(dues) if slot not in pump_slots]
    machine_dues = [dues[slot] for slot in pump_slots]
    return Plans(
        printers=_plan(PRINTER_HASTE, printers, worn, printer_dues, rng),
        machines=_plan(MACHINE_HASTE, pumps, torn, machine_dues, rng),
    )


def _oldest(fleet: AnyFleet, parts: Sequence[str]) -> tuple[str, ...]:
    """Choose for each part the device, a different one each time, that carries the oldest."""
    chosen: list[int] = []
    for part in parts:
        left = [i for i in range(len(fleet.names)) if i not in chosen]
        chosen.append(min(left, key=lambda i: _installed_ms(fleet, i, part)))
    return tuple(fleet.names[i] for i in chosen)


def _installed_ms(fleet: AnyFleet, device: int, part: str) -> int:
    fitted = {c.instance: c.installed_at_ms for c in fleet.components(device)}
    return fitted[part] or 0


def _pick(options: Sequence[str], count: int, rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(str(name) for name in rng.choice(options, count, replace=False))


def _plan(
    haste: float,
    devices: Sequence[str],
    parts: Sequence[str],
    dues: Sequence[float],
    rng: np.random.Generator,
) -> FaultPlan:
    """Schedule one fault for each device, growing for a day or more before it is due."""
    scheduled = []
    for device, part, due in zip(devices, parts, dues, strict=True):
        growth = float(rng.uniform(*_GROWTH_H))
        fault = ScheduledFault(
            device=device, component=part, onset_h=due - growth, hours_to_failure=growth
        )
        scheduled.append(fault)
    return FaultPlan(hazard_scale=haste, random_from_h=QUIET_UNTIL_H, scheduled=tuple(scheduled))


def fleets(
    seed: int, *, start_ms: int = START_MS, step_s: float = STEP_S
) -> tuple[PrinterFleet, MachineFleet]:
    """Make the demonstration's two fleets, with units that differ from any history's."""
    plan = plans(seed)
    return (
        PrinterFleet(
            names=PRINTERS, seed=seed, start_ms=start_ms, step_s=step_s, plan=plan.printers
        ),
        MachineFleet(
            names=MACHINES, seed=seed, start_ms=start_ms, step_s=step_s, plan=plan.machines
        ),
    )
