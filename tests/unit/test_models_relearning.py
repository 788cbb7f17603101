"""Learning anew is proposed where a cohort has drifted, and not where it has not."""

from __future__ import annotations

import numpy as np
import pytest

from foremend.clock import HOUR_MS
from models.drift import DriftKind
from models.relearning import Foreseen, Outcome, residual_drift, tail_drift

Scores = dict[int, list[float]]


def cohort(seed: int, hours: int, devices: int = 12) -> np.ndarray:
    """Give hourly mean scores of healthy devices, [h, d], alike from hour to hour."""
    rng = np.random.default_rng(seed)
    noise = rng.exponential(0.43, (hours, devices, 30)).mean(axis=2)
    kept = np.empty_like(noise)
    kept[0] = noise[0]
    for hour in range(1, hours):
        kept[hour] = 0.5 * kept[hour - 1] + 0.5 * noise[hour]
    return kept


def by_hour(scores: np.ndarray) -> Scores:
    return {hour * HOUR_MS: row[np.isfinite(row)].tolist() for hour, row in enumerate(scores)}


@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_cohort_never_drifts(seed: int) -> None:
    assert tail_drift(by_hour(cohort(seed, 1000))) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_cohort_that_scores_higher_is_found_within_two_days(seed: int) -> None:
    scores = cohort(seed, 600)
    scores[400:] += 0.4
    sign = tail_drift(by_hour(scores))
    assert sign is not None
    assert sign.kind is DriftKind.SCORE_TAIL
    assert 400 <= sign.at_ms // HOUR_MS < 448
    assert sign.now > sign.before + 0.2
    assert sign.devices == 12


def test_devices_that_fail_and_get_new_parts_are_no_drift_of_their_cohort() -> None:
    """A third of them goes bad one after the other, is repaired, and is as before."""
    scores = cohort(5, 1000)
    for device in range(4):
        scores[100 + 200 * device : 180 + 200 * device, device] += np.linspace(0, 9, 80)
    assert tail_drift(by_hour(scores)) is None


def test_hours_of_which_hardly_any_device_was_heard_say_nothing() -> None:
    scores = cohort(6, 600)
    scores[300:] += 3.0
    scores[300:, 2:] = np.nan
    assert tail_drift(by_hour(scores)) is None


def outcomes(rng: np.random.Generator, missed_share: np.ndarray) -> tuple[list[Outcome], Foreseen]:
    """Draw a finding a day, of which a share came as a surprise."""
    told = [
        Outcome(device=f"unit-{i % 9}", component="fan", at_ms=(i + 1) * 24 * HOUR_MS, failed=True)
        for i in range(len(missed_share))
    ]
    seen = [
        (o.device, o.component, o.at_ms - 10 * HOUR_MS)
        for o, missed in zip(told, rng.random(len(told)) < missed_share, strict=True)
        if not missed
    ]
    return told, Foreseen(seen)


@pytest.mark.parametrize("seed", range(6))
def test_a_model_that_errs_as_it_always_did_has_not_drifted(seed: int) -> None:
    told = outcomes(np.random.default_rng(seed), np.full(200, 0.08))
    assert residual_drift(*told) is None


@pytest.mark.parametrize("seed", range(6))
def test_a_model_that_begins_to_miss_failures_is_found_within_twenty_findings(seed: int) -> None:
    share = np.r_[np.full(80, 0.08), np.full(60, 0.8)]
    sign = residual_drift(*outcomes(np.random.default_rng(seed), share))
    assert sign is not None
    assert sign.kind is DriftKind.RESIDUAL
    assert 80 < sign.at_ms / (24 * HOUR_MS) <= 100
    assert sign.now > sign.before


def test_a_model_that_errs_less_than_it_did_is_no_reason_to_learn_anew() -> None:
    share = np.r_[np.full(80, 0.8), np.full(100, 0.02)]
    assert residual_drift(*outcomes(np.random.default_rng(1), share)) is None


def test_visits_for_nothing_are_surprises_too() -> None:
    at = [24 * HOUR_MS * (i + 1) for i in range(100)]
    told = [
        Outcome(device=f"unit-{i % 9}", component="fan", at_ms=ms, failed=i < 60)
        for i, ms in enumerate(at)
    ]
    seen = Foreseen((o.device, o.component, o.at_ms - HOUR_MS) for o in told)
    sign = residual_drift(told, seen)
    assert sign is not None
    assert sign.at_ms > at[59]


def test_a_prediction_of_another_part_or_of_long_ago_foresaw_nothing() -> None:
    seen = Foreseen([("a", "belt", 90 * HOUR_MS), ("a", "fan", 0), ("b", "fan", 90 * HOUR_MS)])
    found = Outcome(device="a", component="fan", at_ms=400 * HOUR_MS, failed=True)
    assert not seen.stood(found)
    assert seen.stood(Outcome(device="b", component="fan", at_ms=100 * HOUR_MS, failed=True))
