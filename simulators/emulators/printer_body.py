"""One simulated printer as the body that a firmware drives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend.values import Phase
from simulators.emulators.marlin import Told
from simulators.fleets import PrinterFleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.steps import Step

STEP_S: Final = 5.0
SIZE: Final = 1_000_000
"""Bytes of each file on the card; how long its print lasts is the simulation's."""
BYTES_PER_S: Final = 90.0
"""So that a print of three hours comes near the end of its file, and none passes it."""
HURRY: Final = 200
"""Steps a beat while nothing is to be seen: until a print begins, or one that was ended is over."""
_PRINTS: Final = frozenset({int(Phase.HEATING), int(Phase.RUNNING)})
ERRORS: Final = {
    "heater_not_heating": "Heating failed, system stopped! Heater_ID: 0",
    "thermistor_out_of_range": "MAXTEMP triggered, system stopped! Heater_ID: 0",
    "thermal_runaway": "Thermal Runaway, system stopped! Heater_ID: 0",
    "hotend_fan_stalled": "Fan speed E0",
}
"""What Marlin says of those failures of a printer that it can see."""


@dataclass(slots=True)
class PrinterBody:
    """A printer that prints what its simulation wills, `speed` seconds in one of the clock given.

    >>> PrinterBody(time.monotonic, seed=7).tell().bed
    21.4
    """

    now_s: Callable[[], float]
    seed: int = 7
    speed: float = STEP_S
    _fleet: PrinterFleet = field(init=False)
    _step: Step = field(init=False)
    _names: dict[str, int] = field(init=False)
    _began_s: float | None = None
    _steps: int = 0
    _held: bool = False
    _ending: bool = False
    _printed_s: float = 0.0
    _errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fleet = PrinterFleet(names=("marlin",), seed=self.seed, step_s=STEP_S)
        self._names = {channel.name: at for at, channel in enumerate(self._fleet.channels)}
        self._take()

    def until_it_prints(self, most: int = 20_000) -> None:
        """Pass over the time before the first print."""
        for _ in range(most):
            if self._prints():
                return
            self._take()

    def tell(self) -> Told:
        """Say how it is now."""
        self._advance()
        printed = min(int(self._printed_s * BYTES_PER_S), SIZE)
        return Told(
            hotend=self._read("hotend_temp"),
            hotend_target=self._read("hotend_target"),
            hotend_power=self._read("hotend_power"),
            bed=self._read("bed_temp"),
            bed_target=self._read("bed_target"),
            bed_power=self._read("bed_power"),
            fan_rpm=round(self._read("hotend_fan_rpm")),
            # Marlin says of a print that is paused that none is under way.
            printed=None if self._held or self._ending or not self._prints() else printed,
            size=SIZE,
        )

    def errors(self) -> tuple[str, ...]:
        """Say what has gone wrong, each thing once."""
        errors, self._errors = tuple(self._errors), []
        return errors

    def pause(self) -> None:
        """Let time stand still for the printer: heaters stay as they are."""
        self._held = self._prints()

    def resume(self) -> None:
        """Let it go on."""
        self._held = False

    def cancel(self) -> None:
        """Pass over the rest of the print."""
        self._held, self._ending = False, self._prints()

    def _advance(self) -> None:
        """Let as much time pass as has; what was asked to end is passed over in a hurry."""
        now_s = self.now_s()
        self._began_s = now_s if self._began_s is None else self._began_s
        due = int((now_s - self._began_s) * self.speed / STEP_S)
        ahead, self._steps = due - self._steps, due
        if self._ending:
            ahead = HURRY
        for _ in range(0 if self._held else ahead):
            self._take()
            if self._ending and not self._prints():
                self._ending = False
                return

    def _prints(self) -> bool:
        return int(self._step.phase[0]) in _PRINTS

    def _take(self) -> None:
        self._step = self._fleet.step()
        self._printed_s = self._printed_s + STEP_S if self._prints() else 0.0
        self._errors += [ERRORS[e.code] for e in self._step.events if e.code in ERRORS]

    def _read(self, channel: str) -> float:
        value = float(self._step.values[0, self._names[channel]])
        return 0.0 if math.isnan(value) else value
