"""Hazards, their calibration, and the time that they leave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import deviations
from models.features import FeatureSpec
from models.hazard import Calibration, calibrate, cumulative, time_to_failure

HORIZONS = (6.0, 12.0, 24.0, 48.0)
logit = st.floats(-12, 12)


@given(st.lists(logit, min_size=4, max_size=4), st.floats(0.05, 3), st.floats(-5, 5))
def test_probabilities_rise_along_the_horizons_whatever_the_calibration(told, slope, offset):
    p = cumulative(np.array(told), Calibration(slope=slope, offset=offset))
    assert (np.diff(p) >= 0).all()
    assert 0 <= p[0] <= p[-1] <= 1


@given(st.lists(logit, min_size=4, max_size=4))
def test_the_band_is_ordered_and_lies_within_the_last_horizon(told):
    band = time_to_failure(cumulative(np.array(told), Calibration()), HORIZONS)
    assert (np.diff(band) >= 0).all()
    assert 0 <= band[0] <= band[-1] <= HORIZONS[-1]


def test_a_constant_hazard_gives_the_quantiles_of_the_exponential():
    rate = 0.2
    p = 1 - np.exp(-rate * np.array(HORIZONS))
    total = p[-1]
    expected = [-np.log(1 - q * total) / rate for q in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(time_to_failure(p, HORIZONS), expected, rtol=1e-9)


def test_no_probability_has_no_band():
    told = np.array([[0.0] * 4, [np.nan] * 4])
    assert np.isnan(time_to_failure(told, HORIZONS)).all()


def overconfident(failures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds twice as far out as they should be, and what happened."""
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 2, (failures, 1))
    event = rng.random((failures, 1)) < 1 / (1 + np.exp(-true))
    return 2 * true, np.ones_like(event), event


def test_calibration_takes_overconfidence_back():
    x, at_risk, event = overconfident(20_000)
    found = calibrate(x, at_risk, event, np.ones(len(x)))
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.offset == pytest.approx(0.0, abs=0.05)


def test_a_handful_of_samples_hardly_moves_the_calibration():
    x, at_risk, event = overconfident(4)
    found = calibrate(x, at_risk, event, np.full(len(x), 1 / 24))
    assert found.slope == pytest.approx(1.0, abs=0.1)


def test_calibration_survives_separation():
    x = np.r_[np.full(500, -12.0), np.full(500, 12.0)][:, None]
    event = x > 0
    found = calibrate(x, np.ones_like(event), event, np.ones(1000))
    assert 0.05 <= found.slope < 10


def a_prior(channels: int, relation: float = 0.0) -> tuple[FeatureSpec, deviations.CohortPrior]:
    names = tuple(f"c{i}" for i in range(channels))
    spec = FeatureSpec(family="f", channels=names, components=("k",), codes=())
    device = np.repeat(np.arange(5), 2)
    values = np.full((10, spec.width), np.nan, np.float32)
    for name, level in (("centre", 100.0), ("scale", 2.0), ("count", 200.0)):
        values[:, spec.parts[name]] = level
    prior = deviations.learn_prior(spec, device, values)
    rng = np.random.default_rng(1)
    z = rng.normal(size=(4000, 7, channels))
    z[:, :, 1] = relation * z[:, :, 0] + 0.1 * z[:, :, 1]
    return spec, deviations.learn_mix(prior, z)


def a_row(spec: FeatureSpec, now: list[float], own: float, count: float) -> np.ndarray:
    row = np.full((1, spec.width), np.nan, np.float32)
    row[:, spec.parts["level"]] = np.tile(now, 7)
    row[:, spec.parts["centre"]] = own
    row[:, spec.parts["scale"]] = 2.0
    row[:, spec.parts["count"]] = count
    row[:, spec.parts["filled"]] = 1.0
    return row


def test_a_young_device_is_compared_with_its_cohort_and_an_old_one_with_itself():
    spec, prior = a_prior(2)
    young = deviations.compare(spec, prior, a_row(spec, [110.0, 110.0], 110.0, 1))
    old = deviations.compare(spec, prior, a_row(spec, [110.0, 110.0], 110.0, 240))
    assert young.z[0, 0, 0] == pytest.approx(5.0, rel=0.01)
    assert abs(old.z[0, 0, 0]) < 0.2


def test_what_another_channel_explains_is_taken_out():
    spec, prior = a_prior(2, relation=1.0)
    both = deviations.compare(spec, prior, a_row(spec, [106.0, 106.0], 100.0, 240))
    alone = deviations.compare(spec, prior, a_row(spec, [100.0, 106.0], 100.0, 240))
    assert both.z[0, 0, 1] == pytest.approx(alone.z[0, 0, 1])
    assert abs(both.beyond[0, 0, 1]) < 0.5
    assert alone.beyond[0, 0, 1] > 2.5
