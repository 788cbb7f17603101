"""What the fleet scorer says of simulated devices."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anomaly import FleetScorer, ScorerSpec, Scores, SnapshotRefused

CHANNELS = ("heat", "flow", "speed", "power", "shake")
SPEC = ScorerSpec(channels=CHANNELS, phases=(1, 3))
STEP_MS = 120_000
START_MS = 1_700_000_000_000


def healthy(seed: int, devices: int, frames: int, memory: float = 0.0) -> NDArray[np.float64]:
    """Values [t, d, c]: AR(1) noise on levels that differ from device to device."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(frames, devices, len(CHANNELS)))
    for t in range(1, frames):
        noise[t] = memory * noise[t - 1] + np.sqrt(1 - memory**2) * noise[t]
    spread = np.array([1.0, 0.2, 50.0, 3.0, 0.01])
    return np.array([200.0, 5.0, 3000.0, 40.0, 0.3]) * rng.uniform(
        0.9, 1.1, (devices, 1)
    ) + spread * (noise + 0.5 * noise[..., :1])


def scored(
    scorer: FleetScorer, values: NDArray[np.float64], start: int = 0, phase: int = 3
) -> Scores:
    """Feed values [t, d, c]; answers stand in the order of time, then device."""
    frames, devices, channels = values.shape
    slots = np.array([scorer.slot(device) for device in range(devices)])
    ts = START_MS + STEP_MS * np.arange(start, start + frames)
    return scorer.score(
        np.tile(slots, frames),
        np.repeat(ts, devices),
        np.full(frames * devices, phase),
        values.reshape(-1, channels),
    )


def taught(values: NDArray[np.float64], spec: ScorerSpec = SPEC) -> FleetScorer:
    scorer = FleetScorer(spec)
    scored(scorer, values)
    return scorer


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_healthy_devices_stay_within_the_alarm_budget(memory: float) -> None:
    values = healthy(1, 120, 600, memory)
    out = scored(FleetScorer(SPEC), values)
    weeks = values.shape[0] * values.shape[1] * STEP_MS / 1000 / 604_800
    assert out.alarm.sum() / weeks < 2 * SPEC.alarms_per_week
    assert out.anomalous.mean() < 0.06


def test_a_tighter_budget_raises_the_threshold() -> None:
    values = healthy(1, 4, 500)
    loose, tight = (
        scored(FleetScorer(ScorerSpec(channels=CHANNELS, alarms_per_week=budget)), values)
        for budget in (10.0, 0.1)
    )
    assert (tight.threshold[-4:] > loose.threshold[-4:]).all()
    assert tight.alarm.sum() <= loose.alarm.sum()


@pytest.mark.parametrize("channel", range(5))
@pytest.mark.parametrize("kind", ["step", "ramp", "spike"])
def test_the_channel_at_fault_comes_first(channel: int, kind: str) -> None:
    devices = 10
    values = healthy(channel, devices, 460)
    scorer = taught(values[:400])
    fault = {
        "step": np.full(60, 5.0),
        "ramp": np.linspace(0.0, 10.0, 60),
        "spike": np.where(np.arange(60) == 30, 15.0, 0.0),
    }[kind]
    later = values[400:].copy()
    later[..., channel] += fault[:, None] * values[:400, :, channel].std(axis=0)
    out = scored(scorer, later, start=400)
    score = out.score.reshape(60, devices)
    worst = score.argmax(axis=0)
    top = out.top_channel.reshape(60, devices)[worst, np.arange(devices)]
    assert (score.max(axis=0) > 3).sum() >= 9
    assert (top == channel).sum() >= 9
    total = out.contributions.sum(axis=1)
    assert np.allclose(total[out.known], out.score[out.known], rtol=1e-5, atol=1e-5)


def test_a_lasting_shift_raises_one_alarm_and_is_not_learnt() -> None:
    values = healthy(3, 6, 700)
    values[400:, :, 1] += 1.5
    out = scored(FleetScorer(SPEC), values)
    alarms = out.alarm.reshape(700, 6)
    assert (alarms[400:].sum(axis=0) == 1).all()
    assert (alarms[400:430].sum(axis=0) == 1).all()
    anomalous = out.anomalous.reshape(700, 6)
    assert anomalous[450:].mean() > 0.95
    baseline = out.baseline.reshape(700, 6, 5)
    assert np.allclose(baseline[-1, :, 1], baseline[395, :, 1], atol=0.1)
    assert (out.deviation.reshape(700, 6, 5)[-1, :, 1] > 3).all()


def test_what_lasts_long_enough_becomes_the_new_normal() -> None:
    spec = ScorerSpec(channels=CHANNELS, release_frames=100)
    values = healthy(3, 4, 1000)
    values[300:, :, 1] += 1.5
    out = scored(FleetScorer(spec), values)
    assert out.anomalous.reshape(1000, 4)[350:390].all()
    assert out.anomalous.reshape(1000, 4)[-300:].mean() < 0.1
    assert np.allclose(out.baseline[-4:, 1], values[-100:, :, 1].mean(axis=0), atol=0.3)


def test_phases_have_baselines_of_their_own() -> None:
    scorer = FleetScorer(SPEC)
    running, idle = healthy(4, 3, 300), 0.2 * healthy(5, 3, 300)
    for t in range(300):
        scored(scorer, running[t : t + 1], start=2 * t, phase=3)
        out = scored(scorer, idle[t : t + 1], start=2 * t + 1, phase=1)
    assert np.allclose(out.baseline, idle.mean(axis=0), rtol=0.05)
    assert not out.anomalous.any()


def test_an_unscored_phase_is_unknown_and_teaches_nothing() -> None:
    scorer = taught(healthy(1, 2, 200))
    before = scorer.state.levels.copy()
    out = scored(scorer, 1e6 * healthy(2, 2, 20), start=200, phase=6)
    assert not out.known.any()
    assert not out.score.any()
    assert (out.top_channel == -1).all()
    assert np.array_equal(scorer.state.levels, before)


@pytest.mark.parametrize("what", ["stale", "empty"])
def test_stale_and_empty_frames_change_nothing(what: str) -> None:
    scorer = taught(healthy(1, 1, 200))
    before = scorer.snapshot(0)
    values = np.full((1, 5), np.nan if what == "empty" else 1e6)
    out = scorer.score([0], [START_MS + 10**9], [3], values, [1 if what == "stale" else 0])
    assert not out.known[0]
    assert scorer.snapshot(0) == before


def test_a_gap_is_unknown_not_normal() -> None:
    values = healthy(6, 1, 460)
    values[400:, :, 1] += 2.0
    scorer = taught(values[:440])
    assert scorer.state.anomalous[0]
    out = scored(scorer, values[440:], start=440 + 5000)
    assert out.anomalous[0], "silence does not heal"


def test_what_happened_in_a_gap_is_no_jump_between_two_frames() -> None:
    values = healthy(6, 1, 400, memory=0.98)
    next_frame = 2 * values.mean(axis=0) - values[-1:]
    at_once = scored(taught(values), next_frame, start=400)
    after_gap = scored(taught(values), next_frame, start=5000)
    assert at_once.score[0] > 3
    assert after_gap.score[0] < 2


def test_frames_out_of_order_are_compared_with_no_neighbour() -> None:
    scorer = taught(healthy(1, 1, 300))
    value = healthy(1, 1, 301)[300]
    twice = scorer.score([0, 0], [START_MS, START_MS], [3, 3], np.vstack([value, value]))
    assert np.isfinite(twice.score).all()


def test_a_constant_channel_may_stay_constant() -> None:
    values = healthy(1, 3, 400)
    values[..., 4] = 7.0
    out = scored(FleetScorer(SPEC), values)
    assert np.isfinite(out.score).all()
    assert out.alarm.sum() <= 1
    assert (out.baseline[-3:, 4] == 7.0).all()


def test_a_channel_that_never_speaks_does_not_matter() -> None:
    values = healthy(1, 3, 400)
    values[..., 2] = np.nan
    scorer = taught(values[:350])
    values[350:, :, 1] += 2.0
    out = scored(scorer, values[350:], start=350)
    assert out.known.all()
    assert (out.top_channel[-3:] == 1).all()
    assert np.isnan(out.baseline[:, 2]).all()


def test_infinite_values_count_as_missing() -> None:
    scorer = taught(healthy(1, 1, 200))
    value = healthy(1, 1, 201)[200]
    value[0, 2] = np.inf
    out = scorer.score([0], [START_MS + 200 * STEP_MS], [3], value)
    assert np.isfinite(out.score[0])
    assert np.isnan(out.deviation[0, 2])


def test_a_replaced_part_begins_anew_and_the_rest_does_not() -> None:
    values = healthy(7, 1, 460)
    values[400:, :, 1] += 2.0
    scorer = taught(values)
    kept = scorer.state.centre[0].copy()
    scorer.reset(0, ("flow",), START_MS + 460 * STEP_MS)
    assert not scorer.state.anomalous[0]
    later = healthy(7, 1, 560)[460:]
    later[..., 1] += 2.0
    out = scored(scorer, later, start=460)
    assert not out.alarm.any()
    assert out.baseline[-1, 1] == pytest.approx(later[:, 0, 1].mean(), abs=0.2)
    assert out.baseline[0, 2] == pytest.approx(kept[1, 2])


def test_resetting_everything_leaves_a_new_device() -> None:
    scorer = taught(healthy(7, 1, 200))
    scorer.reset(0)
    fresh = FleetScorer(SPEC)
    assert scorer.snapshot(0) == fresh.snapshot(fresh.slot("other"))


def test_snapshots_stay_under_four_kibibytes() -> None:
    scorer = FleetScorer(ScorerSpec(channels=tuple("abcdefghij"), phases=(0, 1, 2, 3, 4, 5)))
    assert len(scorer.snapshot(scorer.slot(1))) < 4096


def test_a_damaged_or_foreign_snapshot_is_refused() -> None:
    scorer = taught(healthy(1, 1, 50))
    snapshot = scorer.snapshot(0)
    other = FleetScorer(ScorerSpec(channels=CHANNELS, phases=(1, 3), memory=100))
    other.slot(0)
    for bad in (snapshot[:-1], snapshot[:60] + b"\x99" + snapshot[61:], b""):
        with pytest.raises(SnapshotRefused):
            scorer.restore(0, bad)
    with pytest.raises(SnapshotRefused):
        other.restore(0, snapshot)
    assert scorer.snapshot(0) == snapshot


def test_mistaken_calls_are_refused() -> None:
    scorer = FleetScorer(SPEC)
    with pytest.raises(IndexError):
        scorer.score([0], [START_MS], [3], np.zeros((1, 5)))
    scorer.slot("a")
    with pytest.raises(ValueError, match="1 rows"):
        scorer.score([0], [START_MS, START_MS], [3], np.zeros((1, 5)))
    with pytest.raises(ValueError, match="shape"):
        scorer.score([0], [START_MS], [3], np.zeros((1, 4)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": ()},
        {"channels": ("a", "a")},
        {"channels": ("a",), "phases": ()},
        {"channels": ("a",), "context": ("a",)},
        {"channels": ("a",), "alarms_per_week": 0.0},
    ],
)
def test_a_specification_that_cannot_be_scored_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        ScorerSpec(**wrong)


def test_slots_are_stable_and_grow() -> None:
    scorer = FleetScorer(SPEC)
    slots = [scorer.slot(device) for device in range(40)]
    assert slots == list(range(40))
    assert scorer.slot(7) == 7
    assert scorer.devices == tuple(range(40))


def test_a_device_that_learns_freely_tells_what_is_new_and_not_what_lasts() -> None:
    values = healthy(3, 1, 900)[:, 0]
    values[400:, 1] += 1.5
    scorer = FleetScorer(SPEC)
    slots = [scorer.slot("held"), scorer.slot("free", free=True)]
    ts = START_MS + STEP_MS * np.repeat(np.arange(900), 2)
    out = scorer.score(np.tile(slots, 900), ts, np.full(1800, 3), np.repeat(values, 2, axis=0))
    held, free = out.score.reshape(900, 2).T
    assert held[400:440].max() > 3
    assert free[400:440].max() > 3
    assert np.median(held[700:]) > 3
    assert np.median(free[700:]) < 1
    assert out.baseline.reshape(900, 2, 5)[-1, 1, 1] > values[:400, 1].mean() + 0.5


def test_frames_known_to_be_healthy_raise_nothing_and_teach() -> None:
    values = healthy(3, 2, 500)
    values[300:, :, 1] += 1.5
    scorer = FleetScorer(SPEC)
    slots = np.array([scorer.slot(device) for device in range(2)])
    ts = START_MS + STEP_MS * np.repeat(np.arange(500), 2)
    out = scorer.score(
        np.tile(slots, 500),
        ts,
        np.full(1000, 3),
        values.reshape(-1, 5),
        healthy=np.ones(1000, bool),
    )
    assert not out.anomalous.any()
    assert (out.baseline[-2:, 1] > out.baseline[598:600, 1] + 0.2).all()
