"""Baselines alone are baselines blended with a prior that knows nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.anomaly.levels import Baseline, PriorRows, alone, blended


@given(st.integers(0, 2**16), st.floats(-6.0, 6.0))
@settings(deadline=None, max_examples=40)
def test_a_prior_that_knows_nothing_changes_no_bit(seed: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    levels = np.abs(rng.normal(size=(5, 3, 20)) * 10**power).astype(np.float32)
    levels[4] = rng.integers(0, 5000, (3, 20))
    centre = rng.normal(size=(3, 20)) * 10**power
    fresh = levels[4] == 0
    levels *= ~fresh
    centre[fresh] = 0.0
    nothing = PriorRows(**{name: np.zeros((3, 20)) for name in PriorRows.__slots__})
    one, other = alone(centre, levels), blended(centre, levels, nothing)
    for name in Baseline.__slots__:
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
