"""Drift watches, digests, second opinions and the journals that they are kept in."""

import numpy as np
import pytest

from models.detectors import DETECTORS, WARM_UP, SecondOpinion
from models.digest import HOUR_MS, Digests
from models.drift import CAPACITY, Drift, DriftKind, DriftReason, DriftWatch
from models.journal import JournalRefused

CHANNELS = ("heat", "flow", "speed")


def watched(values: np.ndarray, watch: DriftWatch | None = None) -> list[Drift]:
    watch = watch or DriftWatch(DriftKind.SCORE_TAIL)
    found = (watch.update(float(value), i * HOUR_MS) for i, value in enumerate(values))
    return [drift for drift in found if drift]


def hourly(seed: int, hours: int) -> np.ndarray:
    """Mean scores of a healthy device."""
    return np.random.default_rng(seed).exponential(0.43, (hours, 30)).mean(axis=1)


def test_a_steady_device_does_not_drift() -> None:
    assert watched(hourly(1, 3000)) == []


def test_a_rise_is_found_within_a_day_and_named() -> None:
    values = hourly(2, 500)
    values[400:] += 0.5
    first = watched(values)[0]
    assert first.reason is DriftReason.MEAN_ROSE
    assert first.kind is DriftKind.SCORE_TAIL
    assert 400 <= first.at_ms // HOUR_MS < 424
    assert first.now > first.before + 0.2


def test_a_fall_is_found_too() -> None:
    values = hourly(3, 700) + 1.0
    values[400:] -= 0.9
    drifts = watched(values)
    assert [drift.reason for drift in drifts] == [DriftReason.MEAN_CHANGED]
    assert drifts[0].at_ms // HOUR_MS >= 400


def test_a_replaced_part_begins_a_new_watch() -> None:
    watch = DriftWatch(DriftKind.RESIDUAL)
    assert watched(hourly(4, 300), watch) == []
    watch.reset()
    assert watched(hourly(5, 300) + 2.0, watch) == []
    assert watch.snapshot() != DriftWatch(DriftKind.RESIDUAL).snapshot()


def test_a_restored_watch_finds_the_same_drift_across_its_capacity() -> None:
    values = hourly(6, CAPACITY + 200)
    values[-60:] += 0.3
    straight = watched(values)
    first = DriftWatch(DriftKind.SCORE_TAIL)
    watched(values[: CAPACITY + 20], first)
    second = DriftWatch(DriftKind.SCORE_TAIL)
    second.restore(first.snapshot())
    found = watched(values[CAPACITY + 20 :], second)
    assert straight
    assert [(d.reason, d.before, d.now) for d in found] == [
        (d.reason, d.before, d.now) for d in straight
    ]


@pytest.mark.parametrize("bad", [b"", b"FMJ1", b"\x00" * 40])
def test_a_damaged_journal_is_refused(bad: bytes) -> None:
    with pytest.raises(JournalRefused):
        DriftWatch(DriftKind.SCORE_TAIL).restore(bad)


def test_a_journal_of_another_width_is_refused() -> None:
    opinion = SecondOpinion("one_class_svm", CHANNELS)
    opinion.observe([0.0, 0.0, 0.0])
    with pytest.raises(JournalRefused):
        DriftWatch(DriftKind.SCORE_TAIL).restore(opinion.snapshot())


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_an_odd_hour_is_more_unusual_than_a_usual_one(name: str) -> None:
    rng = np.random.default_rng(7)
    opinion = SecondOpinion(name, CHANNELS)
    usual = [opinion.observe(rng.normal(size=3)).unusual for _ in range(200)]
    odd = [opinion.observe(6.0 + rng.normal(size=3)).unusual for _ in range(3)]
    assert usual[:WARM_UP] == [0.0] * WARM_UP
    assert np.mean(usual[WARM_UP:]) < 0.8
    assert np.mean(odd) > np.mean(usual[WARM_UP:]) + 0.6


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_a_digest_is_scored_before_it_is_learnt(name: str) -> None:
    rng = np.random.default_rng(8)
    opinion, detector = SecondOpinion(name, CHANNELS), DETECTORS[name](CHANNELS)
    for _ in range(60):
        row = dict(zip(CHANNELS, rng.normal(size=3).astype(np.float32).tolist(), strict=True))
        expected = detector.score_one(row)
        detector.learn_one(row)
        assert opinion.observe(list(row.values())).score == expected


def test_a_missing_channel_is_left_out() -> None:
    for name in DETECTORS:
        opinion = SecondOpinion(name, CHANNELS)
        for _ in range(WARM_UP + 1):
            verdict = opinion.observe([0.1, float("nan"), 0.3])
        assert np.isfinite(verdict.score)


def test_an_hour_comes_to_its_means() -> None:
    digests = Digests(channels=2)
    slots = np.zeros(5, np.int64)
    ts = np.array([0, 1, 2, HOUR_MS, 2 * HOUR_MS])
    deviation = np.array([[1, 5], [3, np.nan], [9, 9], [0, 0], [0, 0]], np.float32)
    known = np.array([True, True, False, True, True])
    first, second = digests.add(slots, ts, deviation, np.array([0.5, 99.0, 1, 2, 3.0]), known)
    assert (first.slot, first.until_ms, first.frames) == (0, HOUR_MS, 2)
    assert first.deviation == (2.0, 5.0)
    assert first.score == pytest.approx((0.5 + 10.0) / 2)
    assert (second.until_ms, second.score) == (2 * HOUR_MS, 2.0)


def test_late_frames_count_into_the_open_hour() -> None:
    digests = Digests(channels=1)
    ts = np.array([5 * HOUR_MS, HOUR_MS, 6 * HOUR_MS])
    done = digests.add(
        np.zeros(3, np.int64), ts, np.ones((3, 1), np.float32), np.ones(3), np.ones(3, np.bool_)
    )
    assert [(digest.until_ms, digest.frames) for digest in done] == [(6 * HOUR_MS, 2)]


def test_a_cleared_hour_is_not_handed_out() -> None:
    digests = Digests(channels=1)
    one = (np.ones((1, 1), np.float32), np.ones(1), np.ones(1, np.bool_))
    digests.add(np.array([20]), np.array([0]), *one)
    digests.clear(20)
    assert digests.add(np.array([20]), np.array([HOUR_MS]), *one) == []
    with pytest.raises(ValueError, match="1 channels"):
        digests.restore(20, b"\x00" * 64)
