"""A family's priors as one artefact, learnt from what was healthy."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from models import priors
from models.history import Findings, Frames, Marks
from models.priors import PriorSet, Verdict, Worth, WrongPriors, spec_of
from tests.scoring_log import CHANNELS, HOUR, START, cohort_priors, healthy_frames


def test_priors_survive_their_bytes_and_are_found_by_specification() -> None:
    kept = cohort_priors()["p1"]
    again = PriorSet.load(kept.dumps())
    assert again.dumps() == kept.dumps()
    for schema in (1, 2, 3):
        spec = spec_of(CHANNELS[schema])
        assert again.of(spec) == kept.of(spec)
    assert again.of(spec_of([{"name": "other"}])) is None


@pytest.mark.parametrize("payload", [b"", b"\x91\xc4\x03abc", b"\x80", b"not ours", b"\xff" * 99])
def test_what_holds_no_priors_is_told_so(payload: bytes) -> None:
    with pytest.raises(WrongPriors):
        PriorSet.load(payload)


def test_priors_of_an_earlier_layout_are_nobodys_and_stop_no_replay() -> None:
    known, *_ = msgspec.msgpack.decode(cohort_priors()["p1"].dumps(), type=list[bytes])
    kept = PriorSet.load(msgspec.msgpack.encode([b"FMP1" + known[4:], known]))
    assert len(kept.by_digest) == 1


def test_settings_and_counters_are_no_measurements_of_health() -> None:
    channels = [{"name": "target", "kind": "setting"}, {"name": "heat", "kind": "gauge"}]
    assert spec_of(channels).channels == ("heat",)
    assert spec_of([{"name": "n", "kind": "counter"}]).channels == ("n",)


def test_frames_before_a_failure_and_until_its_repair_are_left_out() -> None:
    hours = np.arange(200)
    frames = Frames(
        device=np.repeat([0, 1], 200),
        ts_ms=START + np.tile(hours, 2) * HOUR,
        phase=np.full(400, 3, np.int16),
        values=np.zeros((400, 1)),
    )
    failed = Marks.of([0], [START + 100 * HOUR], [0])
    replaced = Marks.of([0, 0], [START + 60 * HOUR, START + 110 * HOUR], [0, 0])
    kept = priors.healthy(frames, Findings.failures(failed), replaced)
    assert kept[200:].all(), "another device's days are its own"
    assert hours[~kept[:200]].tolist() == list(range(29, 111))


def test_devices_are_chosen_evenly_and_all_where_they_are_few() -> None:
    assert priors.some([5, 6, 7], 10) == [5, 6, 7]
    chosen = priors.some(range(1000), 5)
    assert chosen == [0, 250, 500, 749, 999]


def test_a_few_devices_do_not_tell_how_devices_differ() -> None:
    channels = CHANNELS[1]
    assert priors.learn(channels, healthy_frames(1, 3, devices=priors.FEWEST - 1)) is None
    few = priors.learn(channels, healthy_frames(1, 3, devices=priors.FEWEST))
    assert few is not None
    assert (few.worth, few.verdict) == (None, Verdict.UNTRIED)


def test_a_prior_of_alike_devices_lets_others_be_judged_sooner_without_more_alarms() -> None:
    told = priors.learn(CHANNELS[1], healthy_frames(1, 3, devices=12, hours=60, apart=0.2))
    assert told is not None
    assert told.verdict is Verdict.BETTER, told.worth
    assert told.worth is not None
    assert told.worth.known > 0.95
    assert told.worth.known_without < 0.9


def test_a_prior_of_devices_that_are_unlike_the_others_is_not_used() -> None:
    """Every third device lives at another level than those that the prior is learnt from."""
    frames = healthy_frames(1, 3, devices=12, hours=60)
    away = frames.values + 40.0 * (frames.device % 3 == 0)[:, None]
    told = priors.learn(CHANNELS[1], replace(frames, values=away))
    assert told is not None
    assert told.worth is not None
    assert told.worth.anomalous > 2 * told.worth.anomalous_without
    assert told.verdict in {Verdict.MORE_ALARMS, Verdict.MORE_UNREST}


@pytest.mark.parametrize(
    ("alarms", "anomalous", "verdict"),
    [
        ((0.9, 0.0), (0.04, 0.0), Verdict.BETTER),
        ((1.2, 0.0), (0.0, 0.0), Verdict.MORE_ALARMS),
        ((5.4, 5.0), (0.3, 0.27), Verdict.BETTER),
        ((5.4, 5.0), (0.6, 0.27), Verdict.MORE_UNREST),
    ],
)
def test_a_prior_may_use_up_what_is_allowed_or_bring_little_more(
    alarms, anomalous, verdict
) -> None:
    worth = Worth(
        alarms=alarms[0],
        alarms_without=alarms[1],
        anomalous=anomalous[0],
        anomalous_without=anomalous[1],
        known=1.0,
        known_without=0.8,
    )
    assert priors.decide(worth) is verdict
    assert priors.decide(None) is Verdict.UNTRIED
