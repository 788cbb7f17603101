"""What a device is asked for is no sign of health: the others are judged in its light."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anomaly import FleetScorer, ScorerSpec, Scores
from models.priors import UNREST, context_columns, scored_columns, spec_of
from simulators.fleets import FLEETS

SPEC = ScorerSpec(channels=("power", "fan"), context=("target", "room"))
STEP_MS = 120_000
JOB = 90
Floats = NDArray[np.float64]


def jobs(seed: int, frames: int, devices: int = 8) -> Floats:
    """Values [t, d, 4]: each job has a target of its own, and power follows it and the room."""
    rng = np.random.default_rng(seed)
    asked = rng.uniform(190.0, 250.0, size=(frames // JOB + 1, devices))
    target = np.repeat(asked, JOB, axis=0)[:frames]
    room = 22.0 + np.cumsum(0.03 * rng.normal(size=(frames, devices)), axis=0)
    power = 0.004 * (target - room) + 0.004 * rng.normal(size=(frames, devices))
    fan = 5000.0 + 60.0 * rng.normal(size=(frames, devices))
    return np.stack([power, fan, target, room], axis=2)


def scored(scorer: FleetScorer, values: Floats, first: int = 0) -> Scores:
    frames, devices, width = values.shape
    slots = np.tile([scorer.slot(i) for i in range(devices)], frames)
    ts = np.repeat(STEP_MS * np.arange(first + 1, first + frames + 1), devices)
    return scorer.score(slots, ts, np.full(len(ts), 3), values.reshape(-1, width))


def test_another_setting_is_no_anomaly() -> None:
    out = scored(FleetScorer(SPEC), jobs(1, 4000))
    assert out.alarm.sum() <= 8 * 4000 * STEP_MS / (7 * 86_400_000)
    late = out.anomalous.reshape(4000, 8)[2000:]
    assert late.mean() < UNREST


def test_the_same_jobs_without_their_context_are_told_as_anomalies() -> None:
    """The control: it is the context that keeps the scorer calm."""
    told = FleetScorer(ScorerSpec(channels=("power", "fan")))
    blind = scored(told, jobs(1, 4000)[..., :2]).deviation[-8 * 2000 :, 0]
    seeing = scored(FleetScorer(SPEC), jobs(1, 4000)).baseline.reshape(4000, 8, 2)[2000:, :, 0]
    power = jobs(1, 4000)[2000:, :, 0]
    assert np.abs(power - seeing).mean() < 0.01
    assert np.abs(power - power.mean()).mean() > 0.05
    assert np.nanstd(blind) > 0.5


def test_what_the_context_does_not_explain_is_found() -> None:
    values = jobs(2, 2600)
    values[2500:, :, 0] += 0.03
    out = scored(FleetScorer(SPEC), values)
    late = out.anomalous.reshape(2600, 8)[2540:2600]
    assert late.any(axis=0).all()
    assert (out.top_channel.reshape(2600, 8)[2560] == 0).all()


def test_a_setting_unlike_all_before_is_learnt_from_and_not_judged() -> None:
    values = jobs(3, 700)
    values[..., 2] = 200.0
    values[600:, :, 2] = 260.0
    values[600:, :, 0] += 0.24
    out = scored(FleetScorer(SPEC), values)
    known = out.known.reshape(700, 8)
    assert known[500:600].all()
    assert not known[600:640].any()
    assert not out.alarm.any()


def test_a_context_that_is_missing_is_taken_to_be_as_usual() -> None:
    values = jobs(4, 800)
    values[..., 3] = np.nan
    values[400:420, :, 2] = np.nan
    out = scored(FleetScorer(SPEC), values)
    assert np.isfinite(out.score).all()
    assert out.known.reshape(800, 8)[700:].mean() > 0.5


def test_how_rows_were_cut_changes_no_byte() -> None:
    values = jobs(5, 400, devices=5)
    whole, cut = FleetScorer(SPEC), FleetScorer(SPEC)
    scored(whole, values)
    for first in range(0, 400, 7):
        scored(cut, values[first : first + 7], first)
    for slot in range(5):
        assert whole.snapshot(slot) == cut.snapshot(slot)


def test_company_changes_no_byte() -> None:
    values = jobs(6, 300, devices=6)
    many, one = FleetScorer(SPEC), FleetScorer(SPEC)
    scored(many, values)
    scored(one, values[:, 2:3])
    assert many.snapshot(2) == one.snapshot(0)


def test_a_restored_device_goes_on_as_if_nothing_had_happened() -> None:
    values = jobs(7, 600, devices=2)
    first, second = FleetScorer(SPEC), FleetScorer(SPEC)
    scored(first, values[:400])
    for slot in range(2):
        second.restore(second.slot(slot), first.snapshot(slot))
    assert np.array_equal(
        scored(first, values[400:], 400).score, scored(second, values[400:], 400).score
    )
    assert first.snapshot(1) == second.snapshot(1)


def test_ten_channels_stay_under_four_kibibytes_whichever_of_them_are_context() -> None:
    names = tuple("abcdefghij")
    for told in range(5):
        spec = ScorerSpec(channels=names[told:], context=names[:told])
        scorer = FleetScorer(spec)
        assert len(scorer.snapshot(scorer.slot(1))) < 4096


@pytest.mark.parametrize("family", list(FLEETS))
def test_targets_commands_loads_and_weather_of_simulated_devices_are_context(family: str) -> None:
    channels = FLEETS[family](names=["d"], seed=1).channels
    told = [{"name": c.name, "kind": c.kind} for c in channels]
    assert len(context_columns(told)) >= 2
    assert not set(context_columns(told)) & set(scored_columns(told))
    assert spec_of(told).inputs == (*spec_of(told).channels, *spec_of(told).context)
