"""Runs a plan on a bench, and leaves heater and fan off however it ends."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Final

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.selftest.judge import (
    RISES_K,
    RISES_WITHIN_S,
    Series,
    judge_fan,
    judge_heating,
    judge_resonance,
)
from edge_agent.selftest.plan import USUAL, Plan, Test
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from edge_agent.live.mapping import Job
    from edge_agent.selftest.bench import Bench, Reading
    from foremend.wire import Details, Scalar


_WHY: Final[dict[Job, str]] = {
    "unknown": "the printer is not ready",
    "running": "the printer is at work",
    "paused": "the printer is at work",
    "error": "the printer stands in error",
    "stopped": "the printer is switched off",
}


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
        why = ""
        await self._bench.begin()
        try:
            for test in self._plan.tests:
                found |= await how[test]()
        except CommandFailed as failed:
            why = f"{failed}; "
            raise
        finally:
            await self._off(why)
        return found

    async def _off(self, why: str) -> None:
        """Switch off, but not under a job: what is told to its heater would ruin the print."""
        if self._read().at_work:
            return
        try:
            await self._bench.off()
        except Unavailable as error:
            raise Unavailable(f"{why}{error}") from error

    async def _fan(self) -> Details:
        self._checked()
        await self._bench.blow(1.0)
        series = await self._series(self._plan.fan_s, lambda _series: False)
        await self._bench.blow(0.0)
        return _told("fan", judge_fan([(t, r.fan_rpm) for t, r in series]))

    async def _heater(self) -> Details:
        plan, start_c = self._plan, await self._start_c()
        target_c = plan.target_c(start_c)

        def enough(series: Series) -> bool:
            after_s, temp = series[-1][0], series[-1][1].hotend_c
            if temp is None:
                return False
            if temp > target_c + plan.over_k:
                raise CommandFailed(f"the hot end is at {temp:.0f} Cel, told {target_c:.0f}")
            # What does not answer is not heated any longer than it takes to know that.
            is_dead = after_s > RISES_WITHIN_S and temp < start_c + RISES_K
            return is_dead or temp >= target_c - 1.0

        await self._bench.heat(target_c)
        series = await self._series(plan.heat_s, enough)
        spun = await self._hotend_fan() if series[-1][1].hotend_fan_rpm is not None else {}
        await self._bench.heat(0.0)
        told = _told("heater", judge_heating(series, start_c=start_c, target_c=target_c))
        return {
            **told,
            **spun,
            "heater_start_c": _rounded(start_c),
            "heater_target_c": _rounded(target_c),
        }

    async def _hotend_fan(self) -> Details:
        """Read the fan that firmware switches on with the heat, once it has had its time."""
        series = await self._series(self._plan.fan_s, lambda _series: False)
        spun = [r.hotend_fan_rpm for _, r in series if r.hotend_fan_rpm is not None]
        return {"hotend_fan_rpm": spun[-1]} if spun else {}

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

    async def _series(self, for_s: float, enough: Callable[[Series], bool]) -> Series:
        begun_s, series = self._now_s(), Series()
        while self._now_s() - begun_s < for_s:
            await self._pause(self._plan.every_s)
            series.append((self._now_s() - begun_s, self._checked()))
            if enough(series):
                break
        return series

    def _checked(self) -> Reading:
        reading = self._read()
        if not reading.fit:
            raise CommandFailed(_WHY[reading.job])
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
