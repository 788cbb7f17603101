"""Histories to learn from: fleets run to failure, repaired late, now and then before.

Their units, sites and faults come from seeds of their own: give a seed that no live fleet has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.fleets import (
    EXCAVATOR_HASTE,
    MACHINE_HASTE,
    PRINTER_HASTE,
    STEP_S,
    ExcavatorFleet,
    MachineFleet,
    PrinterFleet,
)
from simulators.steps import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foremend.values import AsFound
    from foremend.wire import Channel, Component
    from simulators.fleets import AnyFleet
    from simulators.steps import Floats, Ints, Shorts, SimEvent, Step, Truth

_PREVENTIVE_PER_H: Final = 1 / 500
"""How often some part of a device is changed on suspicion or by the calendar."""
_SUSPICION: Final = 0.4
"""Share of preventive replacements that go for the part which is worst."""
_DOWN_H: Final = (4.0, 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in a part that was taken out; a label."""

    device: str
    component: str
    ts_ms: int
    as_found: AsFound


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """What a family's devices said over some days, and what was true of them.

    t frames, n devices, c channels: ts [t] in ms, phase and quality [t, n], values [t, n, c] with
    NaN where none was read. Events lie in order of time; `components` is what was fitted at the
    start, by device; each later one has its `part_replaced` event and its finding. `truth` also
    tells of faults that nobody has found yet: for judges, not for training.
    """

    family: str
    model: str
    firmware: str
    names: tuple[str, ...]
    channels: tuple[Channel, ...]
    ts: Ints
    phase: Shorts
    quality: Shorts
    values: Floats
    events: tuple[SimEvent, ...]
    components: tuple[tuple[Component, ...], ...]
    findings: tuple[Finding, ...]
    truth: tuple[Truth, ...]


def histories(
    seed: int,
    *,
    printers: int = 300,
    machines: int = 100,
    excavators: int = 0,
    days: float = 10.0,
    step_s: float = STEP_S,
    hazard_scale: float = 1.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[History]:
    """Give one history of all printers, one of all machines, then one of all excavators.

    Args:
        seed: of units, faults and repairs.
        printers: how many; none are simulated if 0.
        machines: how many; none are simulated if 0.
        excavators: how many; none are simulated if 0.
        days: length in simulated days.
        step_s: length of a frame, seconds.
        hazard_scale: 1 makes one to two failures in ten days; more makes more.
        progress: called with (family, frames done, frames in all) about a hundred times.
    """
    plan = FaultPlan()
    if printers:
        plan = replace(plan, hazard_scale=PRINTER_HASTE * hazard_scale)
        names = _names("unit-p", printers)
        fleet = PrinterFleet(names=names, seed=seed, step_s=step_s, plan=plan)
        yield record(fleet, _repairs(seed, 0), days=days, step_s=step_s, progress=progress)
    if machines:
        plan = replace(plan, hazard_scale=MACHINE_HASTE * hazard_scale)
        names = _names("unit-m", machines)
        pumps = MachineFleet(names=names, seed=seed + 1, step_s=step_s, plan=plan)
        yield record(pumps, _repairs(seed, 1), days=days, step_s=step_s, progress=progress)
    if excavators:
        plan = replace(plan, hazard_scale=EXCAVATOR_HASTE * hazard_scale)
        names = _names("unit-e", excavators)
        diggers = ExcavatorFleet(names=names, seed=seed + 2, step_s=step_s, plan=plan)
        yield record(diggers, _repairs(seed, 2), days=days, step_s=step_s, progress=progress)


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{i:04d}" for i in range(count))


def _repairs(seed: int, family: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, 0xC0, family]))


def record(
    fleet: AnyFleet,
    rng: np.random.Generator,
    *,
    days: float,
    step_s: float,
    progress: Callable[[str, int, int], None] | None = None,
) -> History:
    """Run a fleet for some days with late repairs and a few preventive ones, and keep it all."""
    frames, n = round(days * 86_400.0 / step_s), len(fleet.names)
    start = tuple(fleet.components(i) for i in range(n))
    phase = np.empty((frames, n), dtype=np.int16)
    quality = np.empty((frames, n), dtype=np.int16)
    values = np.empty((frames, n, len(fleet.channels)))
    ts = np.empty(frames, dtype=np.int64)
    events: list[SimEvent] = []
    shop = Workshop(rng, n)
    for at in range(frames):
        step = fleet.step()
        ts[at], phase[at], quality[at], values[at] = (
            step.ts_ms,
            step.phase,
            step.quality,
            step.values,
        )
        events.extend(step.events)
        shop.attend(fleet, step, step_s)
        if progress is not None and (at + 1) % max(1, frames // 100) == 0:
            progress(fleet.family, at + 1, frames)
    return History(
        family=fleet.family, model=fleet.model, firmware=fleet.firmware, names=fleet.names,
        channels=fleet.channels, ts=ts, phase=phase, quality=quality, values=values,
        events=tuple(events), components=start, findings=tuple(shop.findings), truth=fleet.truth(),
    )  # fmt: skip


class Workshop:
    """Repairs what failed, 4 to 24 hours later, and changes some parts that did not.

    It knows the truth, as a technician who opens the device does.
    """

    def __init__(self, rng: np.random.Generator, devices: int) -> None:
        self._rng, self._devices = rng, devices
        self._due: dict[tuple[str, str], float] = {}
        self.findings: list[Finding] = []

    def attend(self, fleet: AnyFleet, step: Step, step_s: float) -> None:
        """Do what is due after this step."""
        failed = [t for t in fleet.failed() if (t.device, t.component) not in self._due]
        for truth in failed:
            wait_ms = self._rng.uniform(*_DOWN_H) * 3_600_000.0
            self._due[truth.device, truth.component] = step.ts_ms + wait_ms
        for (device, component), due_ms in list(self._due.items()):
            if step.ts_ms >= due_ms:
                self._fit(fleet, fleet.names.index(device), component)
                del self._due[device, component]
        chance = self._devices * _PREVENTIVE_PER_H * step_s / 3600.0
        for _ in range(int(self._rng.poisson(chance))):
            self._prevent(fleet)

    def _prevent(self, fleet: AnyFleet) -> None:
        """Change one part of one device that runs: the worst, or any."""
        device = int(self._rng.integers(self._devices))
        parts = [c.instance for c in fleet.components(device)]
        left = {p: fleet.remaining_h(device, p) for p in parts}
        sick = [p for p in parts if left[p] is not None]
        guess = str(self._rng.choice(parts))
        suspects = sick and self._rng.random() < _SUSPICION
        choice = min(sick, key=lambda p: left[p] or 0.0) if suspects else guess
        if (fleet.names[device], choice) not in self._due:
            self._fit(fleet, device, choice)

    def _fit(self, fleet: AnyFleet, device: int, component: str) -> None:
        found = Finding(
            device=fleet.names[device],
            component=component,
            ts_ms=fleet.now_ms,
            as_found=fleet.replace(device, component).as_found,
        )
        self.findings.append(found)
