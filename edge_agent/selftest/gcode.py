"""A printer that is told by lines of G-code, as Marlin and what speaks like it understand them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge_agent.selftest.bench import Spectrum


class GcodeBench:
    """Heats by M104 and blows by M106 (marlinfw.org, G-code); nothing is moved.

    >>> GcodeBench(say, fan="M106 P1")
    """

    def __init__(
        self, say: Callable[[tuple[str, ...]], Awaitable[None]], *, fan: str = "M106"
    ) -> None:
        self._say, self._fan = say, fan

    async def begin(self) -> None:
        """Know of nobody whom no reading shows."""

    async def heat(self, target_c: float) -> None:
        """Set the hot end's target, and do not wait for it."""
        await self._say((f"M104 S{target_c:.0f}",))

    async def blow(self, share: float) -> None:
        """Set the part fan."""
        await self._say((f"{self._fan} S{round(255 * share)}",))

    async def shake(self, axis: str) -> Spectrum | None:  # noqa: ARG002 - no axis rings here
        """Measure nothing: no accelerometer can be asked by these means."""
        return None

    async def off(self) -> None:
        """Switch heater and fan off."""
        await self._say(("M104 S0", f"{self._fan} S0"))
