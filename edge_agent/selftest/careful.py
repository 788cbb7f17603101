"""A bench that is never left hot unnoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foremend.errors import ForemendError, Unavailable

if TYPE_CHECKING:
    from edge_agent.selftest.bench import Bench, Spectrum
    from edge_agent.selftest.owed import Owed


class Careful:
    """A bench that notes on the disk, before anything is on, that it is to be switched off."""

    def __init__(self, bench: Bench, owed: Owed) -> None:
        self._bench, self._owed = bench, owed

    async def begin(self) -> None:
        """Ask the bench."""
        await self._bench.begin()

    async def heat(self, target_c: float) -> None:
        """Note it, then heat."""
        if target_c > 0:
            self._owed.mark()
        await self._bench.heat(target_c)

    async def blow(self, share: float) -> None:
        """Note it, then blow."""
        if share > 0:
            self._owed.mark()
        await self._bench.blow(share)

    async def shake(self, axis: str) -> Spectrum | None:
        """Shake."""
        return await self._bench.shake(axis)

    async def off(self) -> None:
        """Switch off, and strike the note out.

        Raises:
            Unavailable: it does not obey; it is done as soon as the printer can be told again.
        """
        try:
            await self._bench.off()
        except (ForemendError, OSError, TimeoutError) as error:
            raise Unavailable(f"heaters may be on: {error}") from error
        self._owed.settle()
