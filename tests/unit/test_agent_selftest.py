"""Self-tests: bounded, judged by what was read, and off however they end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.downlink.kinds import CommandFailed
from edge_agent.selftest.bench import Reading
from edge_agent.selftest.fake import ROOM_C, FakeBench
from edge_agent.selftest.judge import Verdict, judge_fan, judge_heating, judge_resonance
from edge_agent.selftest.orders import AGAIN_S, SelfTests
from edge_agent.selftest.owed import Owed
from edge_agent.selftest.plan import USUAL, Test, chosen
from edge_agent.selftest.reading import measured
from edge_agent.selftest.run import SelfTest
from edge_agent.site import steady_ms
from edge_agent.tasks import end
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def run_on(bench: FakeBench, *tests: Test) -> dict[str, object]:
    plan = replace(USUAL, tests=tests or tuple(Test))
    test = SelfTest(bench, bench.read, plan, pause=bench.pause, now_s=lambda: bench.now_s)
    return asyncio.run(test.run())


def ringing(peak_hz: float) -> tuple[tuple[float, float], ...]:
    return tuple((hz, 100.0 if abs(hz - peak_hz) <= 2 else 1.0) for hz in map(float, range(5, 134)))


def test_a_healthy_printer_gives_its_figures() -> None:
    bench = FakeBench(gain_k_s=3.0, rpm=5000.0, spectrum=ringing(52.0))
    found = run_on(bench)
    assert found["fan_verdict"] == "measured"
    assert found["fan_rpm"] == 5000.0
    assert found["heater_verdict"] == "measured"
    assert found["heater_gain_k_s"] == pytest.approx(3.0)
    assert found["heater_power"] == 1.0
    assert found["belt_x_verdict"] == "measured"
    assert found["belt_x_peak_hz"] == pytest.approx(52.0, abs=2)
    assert found["belt_y_verdict"] == "not_possible"
    assert bench.target_c == bench.fan == 0


def test_a_weak_heater_has_less_gain_and_a_dead_one_none() -> None:
    assert run_on(FakeBench(gain_k_s=1.0), Test.HEATER)["heater_gain_k_s"] == pytest.approx(1.0)
    assert run_on(FakeBench(gain_k_s=0.3), Test.HEATER)["heater_verdict"] == "slow"
    assert run_on(FakeBench(gain_k_s=0.0), Test.HEATER)["heater_verdict"] == "no_response"


def test_a_heater_that_does_not_answer_is_not_heated_for_long() -> None:
    bench = FakeBench(gain_k_s=0.0)
    assert run_on(bench, Test.HEATER)["heater_verdict"] == "no_response"
    assert bench.now_s <= 21


def test_fans_without_a_tachometer_are_not_judged_and_those_that_stand_still_are() -> None:
    assert run_on(FakeBench(rpm=None), Test.FAN)["fan_verdict"] == "no_tachometer"
    assert run_on(FakeBench(rpm=0.0), Test.FAN)["fan_verdict"] == "no_response"


def test_a_job_that_begins_meanwhile_ends_the_test_and_keeps_its_heat() -> None:
    bench = FakeBench(busy_after_s=3.0)
    with pytest.raises(CommandFailed, match="at work"):
        run_on(bench, Test.HEATER)
    assert bench.target_c == bench.hottest_target_c > 0


def test_a_heater_that_runs_away_is_switched_off_at_once() -> None:
    bench = FakeBench()

    async def runs_away(seconds: float) -> None:
        bench.now_s += seconds
        bench.hotend_c += 70.0

    test = SelfTest(
        bench,
        bench.read,
        replace(USUAL, tests=(Test.HEATER,)),
        pause=runs_away,
        now_s=lambda: bench.now_s,
    )
    with pytest.raises(CommandFailed, match="told"):
        asyncio.run(test.run())
    assert bench.target_c == 0


async def test_a_test_that_is_cancelled_leaves_all_off() -> None:
    bench, warm = FakeBench(), asyncio.Event()

    async def waits(_seconds: float) -> None:
        warm.set()
        await asyncio.Event().wait()

    test = SelfTest(
        bench, bench.read, replace(USUAL, tests=(Test.HEATER,)), pause=waits, now_s=lambda: 0.0
    )
    running = asyncio.create_task(test.run())
    await warm.wait()
    assert bench.target_c > 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.target_c == 0


@given(st.floats(0.0, 20.0), st.floats(-10, 60))
def test_no_hot_end_is_told_to_be_hotter_than_the_ceiling(gain: float, start_c: float) -> None:
    bench = FakeBench(gain_k_s=gain)
    bench.hotend_c = start_c
    run_on(bench, Test.HEATER)
    assert bench.hottest_target_c <= USUAL.ceiling_c
    assert bench.now_s <= USUAL.heat_s + USUAL.every_s


def test_tests_are_chosen_by_name_and_run_cold_before_warm() -> None:
    assert chosen(None) == (Test.FAN, Test.BELT, Test.HEATER)
    assert chosen("heater, fan") == (Test.FAN, Test.HEATER)
    with pytest.raises(ValueError, match="moon"):
        chosen("moon")


def test_too_little_that_was_read_is_judged_by_nobody() -> None:
    assert judge_heating([], start_c=ROOM_C, target_c=60.0).verdict is Verdict.NO_READING
    blind = [(float(t), Reading()) for t in range(9)]
    assert judge_heating(blind, start_c=ROOM_C, target_c=60.0).verdict is Verdict.NO_READING
    assert judge_fan([]).verdict is Verdict.NO_TACHOMETER
    assert judge_resonance(()).verdict is Verdict.NO_READING


def test_a_spectrum_without_a_peak_that_stands_out_is_unclear() -> None:
    flat = tuple((float(hz), 1.0) for hz in range(5, 134))
    assert judge_resonance(flat).verdict is Verdict.UNCLEAR


def test_heaters_that_may_be_on_are_remembered_over_a_restart(tmp_path: Path) -> None:
    Owed(tmp_path / "d.heaters").mark()
    again = Owed(tmp_path / "d.heaters")
    assert again.is_owed
    again.settle()
    again.settle()
    assert not Owed(tmp_path / "d.heaters").is_owed


@asynccontextmanager
async def settling(tests: SelfTests) -> AsyncIterator[None]:
    task = asyncio.create_task(tests.settle())
    yield
    assert await end(task)


async def comes_true(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 - the bench has no event of it
            await asyncio.sleep(0.01)


def self_tests_of(bench: FakeBench, note: Path) -> SelfTests:
    quick = replace(USUAL, every_s=0.01, heat_s=0.2)
    return SelfTests(bench, bench.read, note, steady_ms=steady_ms, plan=quick)


async def test_what_a_lost_printer_was_left_with_is_switched_off_once_it_is_back(
    tmp_path: Path,
) -> None:
    bench, note = FakeBench(), tmp_path / "d.heaters"
    tests = self_tests_of(bench, note)
    bench.reachable = False
    with pytest.raises(Unavailable, match="heaters may be on"):
        await tests.run({"tests": "fan,heater"})
    assert note.exists()
    bench.target_c = 60.0
    bench.reachable = True
    async with settling(tests):
        await comes_true(lambda: bench.target_c == 0)
    assert not note.exists()


async def test_what_a_killed_agent_left_on_waits_for_the_end_of_a_job(tmp_path: Path) -> None:
    bench, note = FakeBench(busy_after_s=0.0), tmp_path / "d.heaters"
    Owed(note).mark()
    bench.target_c = 210.0
    async with settling(self_tests_of(bench, note)):
        await asyncio.sleep(0.05)
        assert bench.target_c == 210.0
        bench.busy_after_s = float("inf")
        await comes_true(lambda: bench.target_c == 0)
    assert not note.exists()


async def test_what_was_switched_off_stays_as_its_owner_wills_though_the_note_cannot_go(
    tmp_path: Path,
) -> None:
    bench, note = FakeBench(), tmp_path / "d.heaters"
    # A folder in its place is there, and cannot be unlinked.
    note.mkdir()
    bench.target_c = 60.0
    async with settling(self_tests_of(bench, note)):
        await comes_true(lambda: bench.target_c == 0)
        bench.target_c = 55.0
        await asyncio.sleep(2 * AGAIN_S)
    assert bench.target_c == 55.0


async def test_a_test_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="of fan, belt and heater"):
        await self_tests_of(FakeBench(), tmp_path / "d.heaters").run({"tests": "moon"})


def test_reports_that_are_read_twice_count_once_at_their_own_instant() -> None:
    reports = [(float(t), 22.0 + 3.0 * t) for t in range(0, 17, 2)]

    def read_at(now_s: float) -> Reading:
        at_s, temp = next(row for row in reversed(reports) if row[0] <= now_s)
        return Reading(hotend_c=temp, hotend_power=1.0, hotend_age_s=now_s - at_s)

    series = [(t / 2, read_at(t / 2)) for t in range(1, 34)]
    judged = judge_heating(series, start_c=22.0, target_c=62.0)
    assert judged.verdict is Verdict.MEASURED
    assert judged.gain_k_s == pytest.approx(3.0, abs=1e-6)


def test_what_was_measured_is_told_as_words_and_what_was_not_is_no_value() -> None:
    found = {
        "belt_x_verdict": "measured", "belt_x_peak_hz": 52.0, "belt_x_damping": 0.05,
        "belt_y_verdict": "unclear", "belt_y_peak_hz": 17.0, "heater_target_c": 62.0,
    }  # fmt: skip
    words = {"self_test.belt_x_peak_hz": 52.0, "self_test.belt_x_damping": 0.05}
    assert measured(found).values == words
