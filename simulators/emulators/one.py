"""One simulated printer at the pace of its emulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foremend.values import Phase
from simulators.fleets import PRINTER_HASTE, PrinterFleet
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.steps import SimEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the printer shows at one instant of its own time."""

    ts_ms: int
    phase: Phase
    values: Mapping[str, float | None]
    """By channel, in the units of `simulators/data/printer.toml`; None where none was read."""
    events: tuple[SimEvent, ...]


class OnePrinter:
    """A printer that ages only as it is told to.

    Args:
        name: of the printer; with the seed it decides what unit it is.
        seed: of the unit, its jobs and its noise.
        start_ms: of its own time, milliseconds UTC.
        step_s: of its own time, between two instants, seconds.
        fault: the component that is to fail, if any, ...
        fails_in_h: ... and when; its fault grows all this time.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int,
        start_ms: int,
        step_s: float = 1.0,
        fault: str | None = None,
        fails_in_h: float = 24.0,
    ) -> None:
        due = [] if fault is None else [ScheduledFault(
            device=name, component=fault, onset_h=0.0, hours_to_failure=fails_in_h
        )]  # fmt: skip
        plan = FaultPlan(hazard_scale=PRINTER_HASTE, random_from_h=None, scheduled=tuple(due))
        self._fleet = PrinterFleet(
            names=[name], seed=seed, start_ms=start_ms, step_s=step_s, plan=plan
        )
        self._names = tuple(channel.name for channel in self._fleet.channels)

    def advance(self) -> Shown:
        """Let one step of its own time pass."""
        step = self._fleet.step()
        values = (None if math.isnan(v) else float(v) for v in step.values[0])
        return Shown(
            ts_ms=step.ts_ms,
            phase=Phase(int(step.phase[0])),
            values=dict(zip(self._names, values, strict=True)),
            events=step.events,
        )
