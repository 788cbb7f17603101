"""What a simulated year is told, and how it relates to the demonstration's hurried world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foremend.clock import DAY_MS, HOUR_MS
from simulators.fleet import START_MS
from simulators.fleets import MACHINE_HASTE, PRINTER_HASTE, MachineFleet, PrinterFleet
from simulators.steps import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from foremend.clock import Millis
    from simulators.fleets import AnyFleet

PACE: Final = 4
"""A fault of the year grows four times as long as one of the demonstration, which takes one to
three days; so whatever the demonstration's models count in hours is four times as long here."""
AGEING: Final = 0.05
"""Parts age at a twentieth of the demonstration's haste: three to four failures a device-year."""
STEP_MS: Final = PACE * HOUR_MS
"""How often each device is judged."""
VERIFY_H: Final = 6.0 * PACE
"""How long a repaired device must be seen running before its order is closed."""
QUARTERS: Final = 4
MACHINE_SHARE: Final = 0.25
_OTHERS: Final = 900_000
"""Between the seed of the judged fleet and those of other fleets, whose units it never meets."""
_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A year's size and pace; `days` may be fewer than a year, for trials."""

    devices: int = 200
    days: float = 365.0
    seed: int = 7
    window_min: int = 60
    """Simulated minutes from frame to frame; must divide the hours between two judgements."""
    ageing: float = AGEING
    pilot_devices: int = 60
    """Other devices that were watched, run to failure, before the first day."""
    pilot_days: float = 90.0

    @property
    def windows(self) -> int:
        """How many frames each device gives."""
        return round(self.days * 24 * 60 / self.window_min)

    @property
    def window_ms(self) -> Millis:
        """Milliseconds from frame to frame."""
        return self.window_min * _MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A family of devices: how its fleets are made, and how hurried its demonstration is."""

    make: Callable[..., AnyFleet]
    haste: float
    prefix: str


FAMILIES: Final = {
    "fdm_printer": Kind(make=PrinterFleet, haste=PRINTER_HASTE, prefix="printer"),
    "rotating_machine": Kind(make=MachineFleet, haste=MACHINE_HASTE, prefix="machine"),
}


def share(family: str, devices: int) -> int:
    """Say how many of so many devices are of a family: one in four is a machine."""
    machines = round(devices * MACHINE_SHARE)
    return machines if family == "rotating_machine" else devices - machines


def own_fleet(terms: Terms, family: str) -> AnyFleet:
    """Make the fleet that is judged: the same units and fates under every policy."""
    return _fleet(terms, family, count=share(family, terms.devices), seed=terms.seed)


def recorded_fleet(terms: Terms, family: str) -> AnyFleet:
    """Make the fleet whose year the calendar is planned by: other units, as many of them."""
    count = share(family, terms.devices)
    return _fleet(terms, family, count=count, seed=terms.seed + _OTHERS)


def pilot_fleet(terms: Terms, family: str) -> AnyFleet:
    """Make the few other devices that were watched in the months before the first day."""
    count, before_ms = share(family, terms.pilot_devices), round(terms.pilot_days * DAY_MS)
    start_ms = START_MS - before_ms
    return _fleet(terms, family, count=count, seed=terms.seed + 2 * _OTHERS, start_ms=start_ms)


def _fleet(
    terms: Terms, family: str, *, count: int, seed: int, start_ms: Millis = START_MS
) -> AnyFleet:
    kind = FAMILIES[family]
    return kind.make(
        names=tuple(f"{kind.prefix}-{i:03d}" for i in range(1, count + 1)),
        seed=seed,
        start_ms=start_ms,
        step_s=terms.window_min * 60.0,
        plan=FaultPlan(hazard_scale=kind.haste * terms.ageing, growth_scale=float(PACE)),
    )
