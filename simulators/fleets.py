"""The families as fleets: printers, rotating machines and excavators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulators import excavator_build, machine_build, printer_build, snapshot
from simulators.excavator import ExcavatorPhysics
from simulators.fleet import START_MS, Fleet, arguments
from simulators.machine import MachinePhysics
from simulators.physics import S, U
from simulators.printer import PrinterPhysics
from simulators.steps import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.physics import Physics

STEP_S: Final = 120.0
PRINTER_HASTE: Final = 7.0
MACHINE_HASTE: Final = 10.0
EXCAVATOR_HASTE: Final = 10.0
"""How many times faster than in the field parts age by default: ten days hold about 2 failures."""


class FamilyFleet(Fleet[U, S]):
    """Devices of one family: whose physics, and how fast its parts age by default."""

    of: ClassVar[str]
    """The family's name."""
    physics: ClassVar[type[Physics[Any, Any]]]
    haste: ClassVar[float]

    def __init__(
        self,
        *,
        names: Sequence[str],
        seed: int,
        start_ms: int = START_MS,
        step_s: float = STEP_S,
        plan: FaultPlan | None = None,
        physics: Physics[U, S] | None = None,
    ) -> None:
        super().__init__(
            physics or type(self).physics(),
            names=names,
            seed=seed,
            start_ms=start_ms,
            step_s=step_s,
            plan=plan or FaultPlan(hazard_scale=self.haste),
        )

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """Go on from a snapshot, byte for byte as the fleet that wrote it would."""
        content = snapshot.decode(data, family=cls.of)
        return cls(**arguments(content)).resume(content)


class PrinterFleet(FamilyFleet[printer_build.Units, printer_build.State]):
    """FDM printers.

    >>> fleet = PrinterFleet(names=["printer-01", "printer-02"], seed=7)
    >>> fleet.step().values.shape
    (2, 25)
    """

    of = "fdm_printer"
    physics = PrinterPhysics
    haste = PRINTER_HASTE


class MachineFleet(FamilyFleet[machine_build.Units, machine_build.State]):
    """Motor-gearbox-pumps; used just as `PrinterFleet` is."""

    of = "rotating_machine"
    physics = MachinePhysics
    haste = MACHINE_HASTE


class ExcavatorFleet(FamilyFleet[excavator_build.Units, excavator_build.State]):
    """Hydraulic excavators; used just as `PrinterFleet` is."""

    of = "hydraulic_excavator"
    physics = ExcavatorPhysics
    haste = EXCAVATOR_HASTE


AnyFleet = PrinterFleet | MachineFleet | ExcavatorFleet
FLEETS: Final[dict[str, type[AnyFleet]]] = {
    kind.of: kind for kind in (PrinterFleet, MachineFleet, ExcavatorFleet)
}
"""By family."""
