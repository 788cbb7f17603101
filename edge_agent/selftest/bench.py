"""What a self-test asks of a printer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from edge_agent.live.mapping import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the printer reads at one moment; None where it does not say.

    degC, share of full power, turns a minute.
    """

    hotend_c: float | None = None
    hotend_age_s: float = 0.0
    """How long ago the hot end was read: firmwares report every second or two."""
    hotend_power: float | None = None
    fan_rpm: float | None = None
    hotend_fan_rpm: float | None = None
    job: Job = "idle"

    @property
    def fit(self) -> bool:
        """Whether it is ready, and nobody else has it do anything."""
        return self.job == "idle"

    @property
    def at_work(self) -> bool:
        """Whether a job has it, which sees to its own heat."""
        return self.job in {"running", "paused"}


Spectrum = tuple[tuple[float, float], ...]
"""Power over frequency, Hz."""


class Bench(Protocol):
    """A printer that can be told what a test needs.

    Each call raises a ForemendError where the printer does not obey.
    """

    async def begin(self) -> None:
        """Raise CommandFailed where somebody has it now whom no reading shows."""

    async def heat(self, target_c: float) -> None:
        """Set the hot end's target, and do not wait for it."""

    async def blow(self, share: float) -> None:
        """Set the part fan."""

    async def shake(self, axis: str) -> Spectrum | None:
        """Measure an axis' resonance; None where it cannot, or may not without moving blindly."""

    async def off(self) -> None:
        """Switch heater and fan off; tries whatever it can."""


@runtime_checkable
class Testable(Protocol):
    """A peer whose printer can be tested."""

    def bench(self) -> Bench:
        """Give the bench that stands for it, whether it is there or not."""
