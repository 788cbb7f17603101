"""State of one device depends on that device's inputs in order, byte for byte."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.anomaly import FleetScorer, ScorerSpec

SPEC = ScorerSpec(channels=("a", "b", "c"), phases=(1, 3), warm_up=5)
DEVICES = 5


def a_log(seed: int, rows: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    slots = rng.integers(0, DEVICES, rows)
    ts = 1_700_000_000_000 + np.cumsum(
        rng.choice([0, 1000, 60_000, 10**8], rows, p=[0.05, 0.05, 0.85, 0.05])
    )
    phase = rng.choice([1, 3, 5], rows, p=[0.1, 0.8, 0.1])
    values = rng.normal(size=(rows, 3)) + 10 * slots[:, None]
    values[rng.random((rows, 3)) < 0.1] = np.nan
    values[rows // 2 :, 1] += 6 * (slots[rows // 2 :] == 1)
    quality = rng.choice([0, 1, 2], rows, p=[0.9, 0.05, 0.05])
    return slots, ts, phase, values, quality


def played(log: tuple[np.ndarray, ...], cuts: list[int]) -> tuple[list[bytes], np.ndarray]:
    scorer = FleetScorer(SPEC)
    for device in range(DEVICES):
        scorer.slot(device)
    scores = []
    for start, end in zip([0, *cuts], [*cuts, len(log[0])], strict=True):
        scores.append(scorer.score(*(column[start:end] for column in log)).score)
    return [scorer.snapshot(slot) for slot in range(DEVICES)], np.concatenate(scores)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_batch_boundaries_do_not_matter(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 600))
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=12)))
    log = a_log(data.draw(st.integers(0, 2**16)), rows)
    states, scores = played(log, cuts)
    whole_states, whole_scores = played(log, [])
    assert states == whole_states
    assert scores.tobytes() == whole_scores.tobytes()
