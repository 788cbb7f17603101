"""Evidence, thresholds and the anomalous state."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models import calibration
from models.calibration import AlarmRule, AlarmState, Limits, advance

RULE = AlarmRule(clear_frames=3, refractory_s=3600.0)
LIMITS = Limits(
    enter=np.array([2.0]), leave=np.array([1.0]), alarm=np.array([4.0]), release=np.array([50])
)


def test_the_budget_is_a_share_of_runs_of_frames() -> None:
    week_of_minutes = calibration.frame_chance(1.0, np.array([60.0]))[0]
    runs = 1 / calibration.SMOOTH / calibration.UNSEEN
    assert week_of_minutes == pytest.approx(runs / (7 * 24 * 60))
    assert calibration.frame_chance(2.0, np.array([60.0]))[0] == pytest.approx(2 * week_of_minutes)
    assert calibration.frame_chance(1e9, np.array([0.0]))[0] <= 0.1


def test_scores_rise_with_the_evidence() -> None:
    strength = np.linspace(0.0, 40.0, 200)
    assert (np.diff(calibration.scored(strength)) > 0).all()
    assert calibration.scored(np.array([5.3, 7.3])) == pytest.approx([1.0, 3.0])


def frames(*log_tails: list[float]) -> NDArray[np.float32]:
    """One list of log-tails a frame, as `evidence` takes them: detectors first."""
    return np.array(log_tails, np.float32).T


def test_detectors_that_agree_outweigh_a_loud_one() -> None:
    usual = np.full((2, 2), calibration.USUAL)
    log_tails = frames([40.0, 1.0, 1.0, 1.0, 1.0], [9.0, 9.0, 9.0, 9.0, 8.0])
    one, all_of_them = calibration.evidence(usual, log_tails, 2)[0]
    assert usual[0, 0] < one < all_of_them


def test_one_frame_that_is_rare_enough_needs_no_others() -> None:
    usual = np.full(2, calibration.USUAL)
    log_tails = frames([4.0, 1.0, 1.0, 1.0, 1.0], [25.0, 4.0, 1.0, 25.0, 1.0])
    loud, loudest = calibration.joined(usual, log_tails)
    assert loud < calibration.ONE_IN_TEN < loudest
    assert calibration.scored(loudest) > 3
    running = np.full(2, 20.0)
    assert calibration.joined(running, log_tails).tolist() == running.tolist()


def test_what_only_time_clears_is_not_fresh() -> None:
    usual = np.full((2, 1), calibration.USUAL)
    piled_up = frames([1.0, 1.0, 30.0, 1.0, 1.0])
    whole, fresh = calibration.evidence(usual, piled_up, 2)[:, 0]
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
