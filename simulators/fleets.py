"""The families as fleets: printers, rotating machines and excavators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators import excavator_build, machine_build, printer_build, snapshot
from simulators.excavator import ExcavatorPhysics
from simulators.fleet import START_MS, Fleet, arguments
from simulators.machine import MachinePhysics
from simulators.printer import PrinterPhysics
from simulators.steps import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP_S: Final = 120.0
PRINTER_HASTE: Final = 7.0
MACHINE_HASTE: Final = 10.0
EXCAVATOR_HASTE: Final = 10.0
"""How many times faster than in the field parts age by default: ten days hold about 2 failures."""


class PrinterFleet(Fleet[printer_build.Units, printer_build.State]):
    """FDM printers, whose first jobs come in a while or `at_once`.

    >>> fleet = PrinterFleet(names=["printer-01", "printer-02"], seed=7)
    >>> fleet.step().values.shape
    (2, 25)
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        seed: int,
        start_ms: int = START_MS,
        step_s: float = STEP_S,
        plan: FaultPlan | None = None,
        at_once: bool = False,
    ) -> None:
        super().__init__(
            PrinterPhysics(at_once=at_once),
            names=names,
            seed=seed,
            start_ms=start_ms,
            step_s=step_s,
            plan=plan or FaultPlan(hazard_scale=PRINTER_HASTE),
        )

    @classmethod
    def restore(cls, data: bytes) -> PrinterFleet:
        """Go on from a snapshot, byte for byte as the fleet that wrote it would."""
        content = snapshot.decode(data, family="fdm_printer")
        return cls(**arguments(content)).resume(content)


class MachineFleet(Fleet[machine_build.Units, machine_build.State]):
    """Motor-gearbox-pumps; used just as `PrinterFleet` is."""

    def __init__(
        self,
        *,
        names: Sequence[str],
        seed: int,
        start_ms: int = START_MS,
        step_s: float = STEP_S,
        plan: FaultPlan | None = None,
    ) -> None:
        super().__init__(
            MachinePhysics(),
            names=names,
            seed=seed,
            start_ms=start_ms,
            step_s=step_s,
            plan=plan or FaultPlan(hazard_scale=MACHINE_HASTE),
        )

    @classmethod
    def restore(cls, data: bytes) -> MachineFleet:
        """Go on from a snapshot, byte for byte as the fleet that wrote it would."""
        content = snapshot.decode(data, family="rotating_machine")
        return cls(**arguments(content)).resume(content)


class ExcavatorFleet(Fleet[excavator_build.Units, excavator_build.State]):
    """Hydraulic excavators; used just as `PrinterFleet` is."""

    def __init__(
        self,
        *,
        names: Sequence[str],
        seed: int,
        start_ms: int = START_MS,
        step_s: float = STEP_S,
        plan: FaultPlan | None = None,
    ) -> None:
        super().__init__(
            ExcavatorPhysics(),
            names=names,
            seed=seed,
            start_ms=start_ms,
            step_s=step_s,
            plan=plan or FaultPlan(hazard_scale=EXCAVATOR_HASTE),
        )

    @classmethod
    def restore(cls, data: bytes) -> ExcavatorFleet:
        """Go on from a snapshot, byte for byte as the fleet that wrote it would."""
        content = snapshot.decode(data, family="hydraulic_excavator")
        return cls(**arguments(content)).resume(content)


AnyFleet = PrinterFleet | MachineFleet | ExcavatorFleet
FLEETS: Final[dict[str, type[AnyFleet]]] = {
    "fdm_printer": PrinterFleet,
    "rotating_machine": MachineFleet,
    "hydraulic_excavator": ExcavatorFleet,
}
"""By family."""
