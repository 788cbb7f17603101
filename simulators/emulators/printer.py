"""One simulated printer that prints its jobs, and does what it is told between them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators import events, specs
from simulators.emulators import bench
from simulators.emulators.bench import Bench
from simulators.fleets import PrinterFleet
from simulators.printer import PrinterPhysics
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.emulators.gcode import Wanted
    from simulators.steps import SimEvent

NAME: Final = "printer"
FILAMENT_MM2: Final = 2.405
"""Cross-section of filament of 1.75 mm."""
HOTEND_MOST_C: Final = 300.0
BED_MOST_C: Final = 130.0
"""The highest targets that it takes."""
MOST_STEPS: Final = 8
"""Of one tick: more haste makes longer steps, which the physics integrates exactly."""
_AT_WORK: Final = frozenset({Phase.HEATING, Phase.RUNNING})
_MET_K: Final = 8.0
"""So near must both be before the fleet's printer shows itself again."""


class Drive(Enum):
    """Who decides what the printer does."""

    JOBS = "jobs"
    ORDERS = "orders"
    """Somebody gave orders, or called its job off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an emulated printer is made of."""

    seed: int = 1
    step_s: float = 0.25
    """Of simulated time."""
    jobs: bool = True
    """Whether it prints jobs of its own."""
    at_once: bool = False
    """Whether the first of them begins at once, not after a pause as between any two."""
    faults: tuple[str, ...] = ()
    """Components that fail, one after the other."""
    hours_to_failure: float = 1.0


class ObedientPrinter:
    """Steps the simulation; `values` hold what its sensors read now, by channel.

    >>> printer = ObedientPrinter(Setting(jobs=False))
    >>> printer.obey(Wanted(hotend=60.0))
    True
    >>> printer.step()
    """

    def __init__(self, setting: Setting) -> None:
        self._family = specs.load("printer")
        self._fleet = PrinterFleet(
            names=[NAME],
            seed=setting.seed,
            step_s=setting.step_s,
            plan=_plan(setting),
            physics=PrinterPhysics(at_once=setting.at_once),
        )
        self._names = [channel.name for channel in self._fleet.channels]
        self._setting = setting
        self.values: dict[str, float] = {}
        self.phase = Phase.IDLE
        self.paused = False
        self.job_s = self.filament_mm = 0.0
        self._job_hours = 0.0
        self.events: deque[SimEvent] = deque(maxlen=1000)
        self.drive = Drive.JOBS
        self._age_s = 0.0
        self._noticed: frozenset[str] = frozenset()
        while len(self.values) < len(self._names):
            # Now and then one of its sensors is not read in a frame.
            self._see()
        self._bench = self._beside()
        if not setting.jobs:
            self._take_over()

    @property
    def at_work(self) -> bool:
        """Whether a job is on, paused or not."""
        return self.drive is Drive.JOBS and self.phase in _AT_WORK

    @property
    def progress(self) -> float:
        """How much of the job is done, 0 to 1."""
        if not self.at_work or self._job_hours <= 0:
            return 0.0
        return min(self.job_s / (3600.0 * self._job_hours), 1.0)

    def step(self) -> None:
        """Advance by one step of simulated time."""
        if self.paused:
            return
        self._age_s += self._setting.step_s
        if self.drive is Drive.JOBS:
            self._see()
            return
        self._obey()
        if self._setting.jobs and self._has_met():
            self.drive = Drive.JOBS

    def obey(self, wanted: Wanted) -> bool:
        """Set targets and part fan; tells whether it does, which it does not while it has a job."""
        if self.at_work:
            return False
        self._take_over()
        here = self._bench
        self._bench = replace(
            here,
            hotend_target=_within(wanted.hotend, here.hotend_target, HOTEND_MOST_C),
            bed_target=_within(wanted.bed, here.bed_target, BED_MOST_C),
            fan=_within(wanted.fan, here.fan, 1.0),
        )
        self._show()
        return True

    def call_off(self) -> None:
        """End the job; what is hot cools down."""
        self.paused = False
        if self.at_work:
            self._take_over()

    def _see(self) -> None:
        """Let the fleet go on, and look."""
        was = self.phase
        step = self._fleet.step()
        self.phase = Phase(int(step.phase[0]))
        if self.drive is Drive.ORDERS:
            return
        read = zip(self._names, step.values[0].tolist(), strict=True)
        self.values |= {name: value for name, value in read if math.isfinite(value)}
        self.events.extend(step.events)
        begun = [event for event in step.events if event.code == "job_started"]
        if begun:
            self._job_hours = float(begun[-1].details.get("hours", 0.0))
        if self.phase in _AT_WORK and was not in _AT_WORK:
            self.job_s = self.filament_mm = 0.0
        if self.phase in _AT_WORK:
            self.job_s += self._setting.step_s
            self.filament_mm += self.values["flow"] * self._setting.step_s / FILAMENT_MM2

    def _beside(self) -> Bench:
        here = self.values
        return Bench(
            hotend_c=here["hotend_temp"], bed_c=here["bed_temp"], room_c=here["chamber_temp"]
        )

    def _take_over(self) -> None:
        if self.drive is Drive.JOBS:
            self.drive, self._bench = Drive.ORDERS, self._beside()
            self._show()

    def _obey(self) -> None:
        if self.phase is not Phase.IDLE:
            # Its job goes to its end unseen, so that it can be followed again.
            self._see()
        wear = worn(self._setting, self._age_s)
        self._bench = bench.advance(self._bench, self._family, wear, self._setting.step_s)
        self._notice(bench.noticed(self._bench, wear))
        self._show()

    def _notice(self, failed: frozenset[str]) -> None:
        """Say of each failed part once that it has."""
        fresh, modes = failed - self._noticed, self._family.modes
        fails = np.array([[mode.defect in fresh] for mode in modes])
        self.events.extend(events.failures(fails, modes, self._fleet.now_ms))
        self._noticed = failed

    def _show(self) -> None:
        here = self._bench
        self.values |= {
            "hotend_temp": round(here.hotend_c, 2),
            "hotend_target": here.hotend_target,
            "hotend_power": round(here.hotend_power, 4),
            "bed_temp": round(here.bed_c, 2),
            "bed_target": here.bed_target,
            "bed_power": round(here.bed_power, 4),
            "part_fan_cmd": here.fan,
            "part_fan_rpm": float(round(here.fan_rpm)),
            "hotend_fan_rpm": float(round(here.hotend_fan_rpm)),
            "flow": 0.0,
        }

    def _has_met(self) -> bool:
        here = self._bench
        cold = max(here.hotend_c, here.bed_c) - here.room_c < _MET_K
        return self.phase is Phase.IDLE and here.rests and cold


def paced(setting: Setting, *, speed: int, tick_s: float) -> tuple[Setting, int]:
    """Let it go `speed` times as fast as real time: its setting, and the steps of each tick."""
    steps = min(speed, MOST_STEPS)
    return replace(setting, step_s=tick_s * speed / steps), steps


def worn(setting: Setting, age_s: float) -> dict[str, float]:
    """Give how far each part's fault has grown, 0 to 1, of a printer that has run so long."""
    grown = age_s / (3600.0 * setting.hours_to_failure)
    return {name: min(max(grown - at, 0.0), 1.0) for at, name in enumerate(setting.faults)}


def _within(asked: float | None, before: float, most: float) -> float:
    return before if asked is None else min(max(asked, 0.0), most)


def _plan(setting: Setting) -> FaultPlan:
    scheduled: Sequence[ScheduledFault] = [
        ScheduledFault(
            device=NAME,
            component=component,
            onset_h=at * setting.hours_to_failure,
            hours_to_failure=setting.hours_to_failure,
        )
        for at, component in enumerate(setting.faults)
    ]
    return FaultPlan(random_from_h=None, scheduled=tuple(scheduled))
