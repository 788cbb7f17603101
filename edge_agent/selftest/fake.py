"""A printer to test self-tests on: heats, blows and rings as it is told to, in its own time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.selftest.bench import Reading
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from edge_agent.selftest.bench import Spectrum

ROOM_C = 22.0


class FakeBench:
    """One whose clock moves only by `pause`.

    >>> bench = FakeBench(gain_k_s=3.0, rpm=5000.0)
    >>> await SelfTest(bench, bench.read, pause=bench.pause, now_s=lambda: bench.now_s).run()
    """

    def __init__(
        self,
        *,
        gain_k_s: float = 3.0,
        rpm: float | None = 5000.0,
        spectrum: Spectrum | None = None,
        busy_after_s: float = float("inf"),
    ) -> None:
        self.now_s = 0.0
        self.hotend_c, self.target_c, self.fan = ROOM_C, 0.0, 0.0
        self.hottest_target_c = 0.0
        self.reachable = True
        self._gain_k_s, self._rpm, self._spectrum = gain_k_s, rpm, spectrum
        self.busy_after_s = busy_after_s

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        if self.target_c > self.hotend_c:
            self.hotend_c = min(self.hotend_c + self._gain_k_s * seconds, self.target_c)

    def read(self) -> Reading:
        """Read it now."""
        heats, busy = self.target_c > self.hotend_c, self.now_s >= self.busy_after_s
        return Reading(
            hotend_c=self.hotend_c,
            hotend_power=1.0 if heats else 0.0,
            fan_rpm=None if self._rpm is None else self._rpm * self.fan,
            job="running" if busy else "idle",
        )

    async def begin(self) -> None:
        """Let it begin."""

    async def heat(self, target_c: float) -> None:
        """Set the hot end's target."""
        self.target_c = target_c
        self.hottest_target_c = max(self.hottest_target_c, target_c)

    async def blow(self, share: float) -> None:
        """Set the part fan."""
        self.fan = share

    async def shake(self, axis: str) -> Spectrum | None:
        """Give the spectrum that it was made with."""
        return self._spectrum if axis == "x" else None

    async def off(self) -> None:
        """Switch heater and fan off; raises Unavailable where it cannot be reached."""
        if not self.reachable:
            raise Unavailable("nobody there")
        self.target_c = self.fan = 0.0
