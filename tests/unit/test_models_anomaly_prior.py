"""Cohort priors: what a new device knows on its first day."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anomaly import CohortPrior, FleetScorer, PriorRefused, ScorerSpec, Scores, fit_prior

SPEC = ScorerSpec(channels=("heat", "power"), phases=(1, 3), context=("room",))
STEP_MS = 120_000
START_MS = 1_700_000_000_000
Floats = NDArray[np.float64]


def cohort(seed: int, devices: int, frames: int) -> Floats:
    """Values [d, t, c]: power follows the room's temperature, which swings from day to night."""
    rng = np.random.default_rng(seed)
    day = 2 * np.pi * (np.arange(frames) / 720 + rng.random((devices, 1)))
    room = 22 + 4 * np.sin(day) + 0.1 * rng.normal(size=(devices, frames))
    heat = 200 + rng.normal(size=(devices, 1)) + 0.5 * rng.normal(size=(devices, frames))
    power = 40 - 0.8 * room + rng.normal(size=(devices, 1)) + rng.normal(size=(devices, frames))
    return np.stack([heat, power, room], axis=2)


def flat(values: Floats) -> dict[str, NDArray[np.generic]]:
    devices, frames, channels = values.shape
    return {
        "device": np.repeat(np.arange(devices), frames),
        "ts_ms": START_MS + STEP_MS * np.tile(np.arange(frames), devices),
        "phase": np.full(devices * frames, 3),
        "values": values.reshape(-1, channels),
    }


def scored(scorer: FleetScorer, values: Floats, first: int = 1000) -> Scores:
    rows = flat(values)
    order = np.argsort(rows["ts_ms"], kind="stable")
    slots = np.array([scorer.slot(first + int(d)) for d in rows["device"]])
    return scorer.score(
        slots[order], rows["ts_ms"][order], rows["phase"][order], rows["values"][order]
    )


@pytest.fixture(scope="module")
def prior() -> CohortPrior:
    return fit_prior(SPEC, **flat(cohort(1, 16, 500)))


def test_a_new_device_is_scored_from_its_first_frame(prior: CohortPrior) -> None:
    values = cohort(2, 12, 200)
    with_prior, without = (
        scored(FleetScorer(SPEC, prior), values),
        scored(FleetScorer(SPEC), values),
    )
    assert with_prior.known.all()
    assert not without.known[: 12 * 60].any()
    assert with_prior.alarm.sum() <= 1
    assert with_prior.anomalous.mean() < 0.06


def test_a_new_device_that_is_faulty_from_the_first_day_is_found(prior: CohortPrior) -> None:
    values = cohort(3, 10, 60)
    values[..., 0] -= 12.0
    out = scored(FleetScorer(SPEC, prior), values)
    assert out.alarm.reshape(60, 10).any(axis=0).sum() >= 9
    assert (out.top_channel[out.alarm] == 0).all()
    assert scored(FleetScorer(SPEC), values).alarm.sum() == 0


def test_the_surroundings_are_taken_out(prior: CohortPrior) -> None:
    scorer = FleetScorer(SPEC, prior)
    slopes = scorer.state.slopes[scorer.slot(1000)].sum(axis=0)
    assert slopes == pytest.approx([0.0, -0.8], abs=0.05)
    scored(scorer, cohort(4, 1, 300))
    heatwave = cohort(4, 1, 340)[:, 300:]
    heatwave[..., 2] += 6.0
    heatwave[..., 1] -= 0.8 * 6.0
    out = scorer.score(
        np.zeros(40, int),
        START_MS + STEP_MS * np.arange(300, 340),
        np.full(40, 3),
        heatwave[0],
    )
    assert not (out.alarm & (out.top_channel == 1)).any()
    assert out.baseline[-1, 1] == pytest.approx(heatwave[0, :, 1].mean(), abs=1.5)


def test_a_device_grows_away_from_its_prior(prior: CohortPrior) -> None:
    values = cohort(5, 1, 800)
    out = scored(FleetScorer(SPEC, prior), values)
    place = SPEC.phases.index(3)
    own = values[0, :, 0].mean()
    early, late = abs(out.baseline[0, 0] - own), abs(out.baseline[-1, 0] - own)
    assert out.baseline[0, 0] == pytest.approx(prior.centre[place, 0], abs=0.05)
    assert late < 0.2 * max(early, 0.5)


def test_a_prior_survives_its_bytes(prior: CohortPrior) -> None:
    again = CohortPrior.from_bytes(prior.to_bytes())
    assert again == prior
    assert again.version == prior.version
    assert replace(prior, cadence_s=1.0).version != prior.version


def test_damaged_and_foreign_priors_are_refused(prior: CohortPrior) -> None:
    stored = prior.to_bytes()
    for bad in (b"", stored[:40], stored[:-1] + b"\x00\x01", b"XXXX" + stored[4:]):
        with pytest.raises(PriorRefused):
            CohortPrior.from_bytes(bad)
    with pytest.raises(PriorRefused):
        FleetScorer(replace(SPEC, alarms_per_week=2.0), prior)


def test_priors_are_adopted_from_a_position_on_by_some_devices_or_by_all(
    prior: CohortPrior,
) -> None:
    scorer = FleetScorer(SPEC)
    one, other = scorer.slot(1), scorer.slot(2)
    values = cohort(6, 2, 10).transpose(1, 0, 2)[0]
    ask = ([one, other], [START_MS, START_MS], [3, 3], values)
    scorer.adopt(prior, slots=[one])
    assert scorer.score(*ask).known.tolist() == [True, False]
    assert not scorer.score([scorer.slot(3)], [START_MS], [3], values[:1]).known[0]
    scorer.adopt(prior)
    assert scorer.score([scorer.slot(4)], [START_MS], [3], values[:1]).known[0]


def test_a_snapshot_needs_the_prior_that_it_was_taken_with(prior: CohortPrior) -> None:
    old = FleetScorer(SPEC, prior)
    slot = old.slot("a")
    scored(old, cohort(7, 1, 50), first=0)
    snapshot = old.snapshot(slot)
    stranger = FleetScorer(SPEC)
    with pytest.raises(PriorRefused):
        stranger.restore(stranger.slot("a"), snapshot)
    stranger.know(prior)
    stranger.restore(stranger.slot("a"), snapshot)
    assert stranger.snapshot(stranger.slot("a")) == snapshot


def test_no_history_makes_the_empty_prior() -> None:
    nothing = fit_prior(SPEC, device=[], ts_ms=[], phase=[], values=np.empty((0, 3)))
    assert not nothing.weight.any()
    assert np.array_equal(nothing.correlation, np.eye(2))
