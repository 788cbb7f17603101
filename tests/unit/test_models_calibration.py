"""Tails, thresholds and the anomalous state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import calibration
from models.calibration import AlarmRule, AlarmState, Limits, added, advance, binned, log_tail

RULE = AlarmRule(clear_frames=3, refractory_s=3600.0)
LIMITS = Limits(
    enter=np.array([2.0]), leave=np.array([1.0]), alarm=np.array([4.0]), release=np.array([50])
)
values_of = st.lists(st.floats(0.0, 400.0), min_size=1, max_size=200)


def table_of(values: NDArray[np.float64] | list[float]) -> NDArray[np.uint16]:
    table = np.zeros((1, len(calibration.EDGES)), np.uint16)
    for value in np.asarray(values, np.float64):
        table = added(table, binned(np.array([value])))
    return table


def table_from(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """As `table_of`, for many values at once."""
    return (values[:, None] >= calibration.EDGES).sum(axis=0).astype(np.uint16)[None]


@given(values_of)
@settings(deadline=None)
def test_the_order_of_values_does_not_matter(values: list[float]) -> None:
    assert np.array_equal(table_of(values), table_of(sorted(values)))


@given(values_of, st.lists(st.floats(0.0, 2000.0), min_size=2, max_size=20))
@settings(deadline=None)
def test_a_larger_value_is_never_less_unusual(values: list[float], asked: list[float]) -> None:
    asked = sorted(asked)
    table = np.repeat(table_of(values), len(asked), axis=0)
    tails = log_tail(table, np.array(asked))
    assert (tails >= 0).all()
    assert np.isfinite(tails).all()
    # Where the empirical part hands over to the extrapolation, the two need not meet exactly.
    assert (np.diff(tails) >= -0.7).all()


@pytest.mark.parametrize("share", [0.3, 0.1, 0.01, 0.001])
def test_the_tail_of_exponential_values_is_what_it_is(share: float) -> None:
    history = np.random.default_rng(0).exponential(2.0, 5000)
    asked = np.array([-2.0 * np.log(share)])
    assert log_tail(table_from(history), asked)[0] == pytest.approx(-np.log(share), rel=0.12)


def test_a_short_history_does_not_shout() -> None:
    rng = np.random.default_rng(1)
    short, long = (table_from(rng.exponential(1.0, n)) for n in (60, 6000))
    far = np.array([40.0])
    assert log_tail(short, far)[0] < 0.8 * log_tail(long, far)[0]


def test_an_empty_table_and_an_unknown_value_say_nothing() -> None:
    empty = np.zeros((1, len(calibration.EDGES)), np.uint16)
    assert log_tail(empty, np.array([9.0]))[0] == 0
    assert log_tail(table_of([1.0, 2.0]), np.array([np.nan]))[0] == 0
    assert np.array_equal(table_of([1.0, np.nan]), table_of([1.0]))


def test_a_full_table_forgets_half() -> None:
    table = np.full((1, len(calibration.EDGES)), calibration.CAPACITY - 1, np.uint16)
    assert added(table, binned(np.array([1e9])))[0, 0] == calibration.CAPACITY // 2


@pytest.mark.parametrize("chance", [1e-2, 1e-4, 1e-6])
def test_a_quantile_is_where_the_tail_is(chance: float) -> None:
    table = table_from(np.random.default_rng(2).exponential(3.0, 3000))
    wanted = np.array([[-np.log(chance)]])
    value = calibration.quantiles(table, wanted)[0]
    assert log_tail(table, value)[0] == pytest.approx(wanted[0, 0], rel=0.05)


def test_the_budget_is_a_share_of_runs_of_frames() -> None:
    week_of_minutes = calibration.frame_chance(1.0, np.array([60.0]))[0]
    assert week_of_minutes == pytest.approx(1 / calibration.SMOOTH / (7 * 24 * 60))
    assert calibration.frame_chance(2.0, np.array([60.0]))[0] == pytest.approx(2 * week_of_minutes)
    assert calibration.frame_chance(1e9, np.array([0.0]))[0] <= 0.1


def test_scores_rise_with_the_evidence() -> None:
    strength = np.linspace(0.0, 40.0, 200)
    assert (np.diff(calibration.scored(strength)) > 0).all()
    assert calibration.scored(np.array([5.3, 7.3])) == pytest.approx([1.0, 3.0])


def test_detectors_that_agree_outweigh_a_loud_one() -> None:
    usual = np.full((2, 2), calibration.USUAL)
    log_tails = np.array([[40.0, 1.0, 1.0, 1.0, 1.0], [9.0, 9.0, 9.0, 9.0, 8.0]])
    one, all_of_them = calibration.evidence(usual, log_tails, 2)[:, 0]
    assert usual[0, 0] < one < all_of_them


def test_what_only_time_clears_is_not_fresh() -> None:
    usual = np.full((1, 2), calibration.USUAL)
    piled_up = np.array([[1.0, 1.0, 30.0, 1.0, 1.0]])
    whole, fresh = calibration.evidence(usual, piled_up, 2)[0]
    assert whole > calibration.USUAL + 0.8
    assert fresh == pytest.approx(calibration.USUAL, abs=0.2)


def played(
    scores: list[float],
    known: list[bool] | None = None,
    step_s: int = 60,
    healthy: int = 0,
) -> list[str]:
    """What happens, frame by frame: `-` calm, `o` anomalous, `!` alarm."""
    state = AlarmState(
        anomalous=np.array([False]),
        announced=np.array([False]),
        calm=np.array([0]),
        held=np.array([0]),
        last_alarm_ms=np.array([-(2**62)]),
    )
    story = []
    for i, score in enumerate(scores):
        state, alarm = advance(
            RULE,
            state,
            score=np.array([score]),
            fresh=np.array([score]),
            known=np.array([True if known is None else known[i]]),
            limits=LIMITS,
            healthy=np.array([i < healthy]),
            ts_ms=np.array([1000 * step_s * i]),
        )
        story.append("!" if alarm[0] else "o" if state.anomalous[0] else "-")
    return story


@pytest.mark.parametrize(
    ("scores", "story"),
    [
        ([0, 1, 1.9, 0], "----"),
        ([0, 2.5, 0, 0, 0, 0], "-ooo--"),
        ([2.5, 0, 0, 1.5, 0, 0, 0], "oooooo-"),
        ([2.5, 3, 5, 6, 0, 0, 0, 0], "oo!ooo--"),
        ([5, 0, 0, 0, 5, 0, 0, 0], "!oo-ooo-"),
    ],
    ids=["calm", "odd", "hysteresis", "alarm once", "refractory"],
)
def test_the_anomalous_state(scores: list[float], story: str) -> None:
    assert "".join(played(scores)) == story


def test_alarms_return_after_the_refractory_period() -> None:
    story = played([5, 0, 0, 0, 5, 0, 0, 0], step_s=1800)
    assert "".join(story) == "!oo-!oo-"


def test_what_is_unknown_neither_raises_nor_clears() -> None:
    story = played([5, 0, 0, 0, 0, 0], known=[True, False, False, True, True, True])
    assert "".join(story) == "!oooo-"
    assert played([5.0], known=[False]) == ["-"]


def test_a_state_held_too_long_is_released_and_stays_quiet_while_it_learns() -> None:
    story = "".join(played([5.0] * 80))
    assert story.startswith("!" + "o" * 49)
    assert set(story[50:]) == {"-"}


def test_frames_known_to_be_healthy_begin_nothing() -> None:
    assert "".join(played([5, 5, 5, 5, 5], healthy=3)) == "---!o"
