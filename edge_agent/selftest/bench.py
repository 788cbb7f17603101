"""What a self-test asks of a printer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the printer reads at one moment; None where it does not say.

    degC, share of full power, turns a minute.
    """

    hotend_c: float | None = None
    hotend_power: float | None = None
    fan_rpm: float | None = None
    hotend_fan_rpm: float | None = None
    fit: bool = True
    """Whether it is ready, and nobody else has it do anything."""


Spectrum = tuple[tuple[float, float], ...]
"""Power over frequency, Hz."""


class Bench(Protocol):
    """A printer that can be tested; each call raises a ForemendError where it does not obey."""

    async def read(self) -> Reading:
        """Read it now."""

    async def heat(self, target_c: float) -> None:
        """Set the hot end's target, and do not wait for it."""

    async def blow(self, share: float) -> None:
        """Set the part fan."""

    async def shake(self, axis: str) -> Spectrum | None:
        """Measure an axis' resonance; None where it cannot, or may not without moving blindly."""

    async def off(self) -> None:
        """Switch heaters and fan off; tries whatever it can."""
