"""Runs a plan on a bench, and leaves heater and fan off however it ends."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.selftest.judge import Series, judge_fan, judge_heating, judge_resonance
from edge_agent.selftest.plan import USUAL, Plan, Test

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge_agent.selftest.bench import Bench, Reading
    from foremend.wire import Details, Scalar


class SelfTest:
    """One run.

    >>> await SelfTest(bench, read, plan, pause=asyncio.sleep, now_s=monotonic).run()
    {'fan_verdict': 'measured', 'fan_rpm': 5560.0, ...}
    """

    def __init__(
        self,
        bench: Bench,
        read: Callable[[], Reading],
        plan: Plan = USUAL,
        *,
        pause: Callable[[float], Awaitable[None]],
        now_s: Callable[[], float],
    ) -> None:
        self._bench, self._read, self._plan = bench, read, plan
        self._pause, self._now_s = pause, now_s

    async def run(self) -> Details:
        """Run the tests in their order; give figures under `TEST_FIGURE`.

        Raises:
            CommandFailed: the printer is not fit, a job began meanwhile, or it got too hot.
            Unavailable: heater and fan could not be switched off.
        """
        how = {Test.FAN: self._fan, Test.HEATER: self._heater, Test.BELT: self._belt}
        found: Details = {}
        await self._bench.begin()
        try:
            for test in self._plan.tests:
                found |= await how[test]()
        finally:
            # A job that began has the heater now: what is told to it would ruin the print.
            if not self._read().at_work:
                await self._bench.off()
        return found

    async def _fan(self) -> Details:
        self._checked()
        await self._bench.blow(1.0)
        series = await self._series(self._plan.fan_s, lambda _reading: False)
        await self._bench.blow(0.0)
        return _told("fan", judge_fan([(t, r.fan_rpm) for t, r in series]))

    async def _heater(self) -> Details:
        plan, start_c = self._plan, await self._start_c()
        target_c = plan.target_c(start_c)

        def enough(reading: Reading) -> bool:
            temp = reading.hotend_c
            if temp is not None and temp > target_c + plan.over_k:
                raise CommandFailed(f"the hot end is at {temp:.0f} Cel, told {target_c:.0f}")
            return temp is not None and temp >= target_c - 1.0

        await self._bench.heat(target_c)
        series = await self._series(plan.heat_s, enough)
        await self._bench.heat(0.0)
        told = _told("heater", judge_heating(series, start_c=start_c, target_c=target_c))
        spun = [r.hotend_fan_rpm for _, r in series if r.hotend_fan_rpm is not None]
        told |= {"hotend_fan_rpm": spun[-1]} if spun else {}
        return {**told, "heater_start_c": _rounded(start_c), "heater_target_c": _rounded(target_c)}

    async def _start_c(self) -> float:
        """Give the hot end's temperature; a printer that has just come says it a little later."""
        begun_s = self._now_s()
        while (start_c := self._checked().hotend_c) is None:
            if self._now_s() - begun_s >= self._plan.patience_s:
                raise CommandFailed("the hot end's temperature is not known")
            await self._pause(self._plan.every_s)
        return start_c

    async def _belt(self) -> Details:
        self._checked()
        found: Details = {}
        for axis in self._plan.axes:
            spectrum = await self._bench.shake(axis)
            if spectrum is None:
                found[f"belt_{axis}_verdict"] = "not_possible"
            else:
                found |= _told(f"belt_{axis}", judge_resonance(spectrum))
        return found

    async def _series(self, for_s: float, enough: Callable[[Reading], bool]) -> Series:
        begun_s, series = self._now_s(), Series()
        while self._now_s() - begun_s < for_s:
            await self._pause(self._plan.every_s)
            reading = self._checked()
            series.append((self._now_s() - begun_s, reading))
            if enough(reading):
                break
        return series

    def _checked(self) -> Reading:
        reading = self._read()
        if not reading.fit:
            raise CommandFailed("the printer is at work, or not ready")
        return reading


def _told(test: str, judged: object) -> Details:
    """Spell a judgement as details, without what is not known."""
    fields = asdict(judged)  # type: ignore[call-overload]
    return {
        f"{test}_{name}": _rounded(value) for name, value in fields.items() if value is not None
    }


def _rounded(value: object) -> Scalar:
    if isinstance(value, Enum):
        return str(value.value)
    return round(value, 4) if isinstance(value, float) else str(value)
