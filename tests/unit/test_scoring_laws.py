"""The laws of the scoring engine: nothing but a device's own inputs, in their order, counts."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.digest import Digest
from models.priors import spec_of
from models.scoring.engine import Engine
from models.scoring.entries import Introduction, Outputs
from models.scoring.lane import Lane
from tests.scoring_log import (
    CHANNELS,
    HOUR,
    START,
    Device,
    Told,
    adoptions,
    batch,
    birth,
    by_device,
    cut_log,
    fleet,
    kinds,
    models,
    play,
    states,
)

if TYPE_CHECKING:
    from collections import Counter

VERSIONS = ("v1", "v2+p1", "v3+p2", "v1")
"""Another threshold, another layout of features, and back again; priors come, and others."""
FEW = settings(deadline=None, max_examples=2, derandomize=True, phases=(Phase.generate,))
"""Shrinking would take minutes, and each example is as long as the next."""


@cache
def devices() -> tuple[Device, ...]:
    return fleet(seed=1, frames=440)


@cache
def unbroken() -> tuple[dict[int, dict[str, bytes]], dict[int, bytes], Counter[str]]:
    """Give states, outputs and their numbers, the log taken whole and entry by entry."""
    log = cut_log(devices(), VERSIONS, np.random.default_rng(0))
    engine = Engine(models())
    outputs = play(engine, log, range(len(log)))
    return states(engine), by_device(outputs), kinds(outputs)


def merged(*parts: Outputs) -> Outputs:
    whole = Outputs()
    for part in parts:
        for name in Outputs.__slots__:
            getattr(whole, name).extend(getattr(part, name))
    return whole


def test_the_log_of_these_laws_brings_all_kinds_of_outputs_about() -> None:
    assert unbroken()[2].keys() == {"Health", "Anomaly", "Hazard", "Prediction"}


@FEW
@given(seed=st.integers(1, 2**32 - 1), stretches=st.integers(0, 8))
def test_cuts_and_company_change_neither_state_nor_outputs(seed: int, stretches: int) -> None:
    rng = np.random.default_rng(seed)
    log = cut_log(devices(), VERSIONS, rng)
    engine = Engine(models())
    outputs = play(engine, log, rng.integers(0, len(log), stretches).tolist())
    assert (states(engine), by_device(outputs)) == unbroken()[:2]


@FEW
@given(seed=st.integers(1, 2**32 - 1), restarts=st.integers(1, 4))
def test_a_restored_engine_goes_on_as_if_nothing_had_happened(seed: int, restarts: int) -> None:
    rng = np.random.default_rng(seed)
    log = cut_log(devices(), VERSIONS, rng)
    ends = [*sorted(rng.integers(0, len(log), restarts).tolist()), len(log)]
    engine, outputs = Engine(models()), Outputs()
    for begin, end in zip([0, *ends], ends, strict=False):
        outputs = merged(outputs, play(engine, log[begin:end]))
        kept, engine = states(engine), Engine(models())
        for partition, state in kept.items():
            engine.restore(partition, state)
    assert (states(engine), by_device(outputs)) == unbroken()[:2]


@pytest.mark.parametrize("alone", devices(), ids=lambda device: str(device.number))
def test_a_device_scored_alone_is_scored_as_in_company(alone: Device) -> None:
    log = cut_log((alone,), VERSIONS, np.random.default_rng(3))
    engine = Engine(models())
    outputs = by_device(play(engine, log))
    whole_states, whole_outputs, _ = unbroken()
    name = str(alone.number)
    assert engine.snapshot(alone.partition)[name] == whole_states[alone.partition][name]
    assert outputs.get(alone.number) == whole_outputs.get(alone.number)


def test_priors_change_what_is_said_of_their_own_family_alone() -> None:
    """Shows that the log of these laws puts priors to use."""
    whole_states, whole_outputs, _ = unbroken()
    engine = Engine(models())
    log = cut_log(devices(), ("v1", "v2", "v3", "v1"), np.random.default_rng(0))
    outputs = by_device(play(engine, log))
    changed = {d for d in whole_outputs if outputs.get(d) != whole_outputs[d]}
    assert changed >= {11, 12, 13}
    assert 25 not in changed, "a device of another family has no part in them"
    assert states(engine) != whole_states


def first_day(*versions: str) -> tuple[Engine, Outputs]:
    """Let a device be born and say forty frames, half of them of a fan that is too slow."""
    engine = Engine(models())
    engine.take(adoptions(1, *versions))
    engine.take([Introduction(partition=1, payload=birth(1, 1))])
    frames = some_frames(1, 40)
    slow = [
        Told(ts_ms=f.ts_ms, values=(f.values[0], f.values[1] - 9.0, f.values[2]))
        for f in frames[20:]
        if f.values
    ]
    return engine, engine.take([batch(1, {1: [*frames[:20], *slow]})])


def test_a_new_device_is_useful_on_day_one_where_its_family_is_known() -> None:
    alarms = [a for a in first_day("p1")[1].anomalies if a.kind == "alarm"]
    assert [a.top_channel for a in alarms] == ["speed"]
    assert alarms[0].ts_ms - START < 8 * HOUR
    assert first_day()[1].anomalies == []


def test_a_device_of_channels_that_the_newest_priors_do_not_know_begins_from_nothing() -> None:
    engine = Engine(models())
    engine.take([*adoptions(1, "p1"), Introduction(partition=1, payload=birth(1, 2))])
    lane = engine._devices[1].lane
    assert lane.scorer.state.prior[lane.scorer.slot(1)] == prior_of("p1", 2)
    engine.take(adoptions(1, "p2"))
    assert lane.scorer.state.prior[lane.scorer.slot(1)] == 0
    engine.take([Introduction(partition=1, payload=birth(1, 1, boot=2))])
    lane = engine._devices[1].lane
    assert lane.scorer.state.prior[lane.scorer.slot(1)] == prior_of("p2", 1)


def prior_of(version: str, schema: int) -> int:
    prior = models().priors(version).of(spec_of(CHANNELS[schema]))
    assert prior is not None
    return prior.version


def test_adopting_the_same_priors_again_changes_nothing() -> None:
    once, _ = first_day("p1")
    twice, _ = first_day("p1", "p1")
    again, _ = first_day("p1")
    again.take(adoptions(1, "p1"))
    assert once.snapshot(1) == twice.snapshot(1) == again.snapshot(1)


def test_the_order_within_a_device_does_count() -> None:
    """Shows that the comparison above can tell states apart."""
    one = Told(ts_ms=START + HOUR, values=(1.0, 2.0, 3.0))
    two = Told(ts_ms=START + 2 * HOUR, values=(4.0, 5.0, 6.0))
    assert played((one, two)) != played((two, one))


def played(says: tuple[Told, ...], *, versions: tuple[str, ...] = ("v1",)) -> bytes:
    engine = Engine(models())
    engine.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, *versions)])
    engine.take([batch(1, {1: list(says)})])
    return engine.snapshot(1)["1"]


def some_frames(schema: int, count: int, *, begin_h: float = 0.0) -> list[Told]:
    width = {1: 3, 2: 4, 3: 3}[schema]
    rng = np.random.default_rng(schema)
    return [
        Told(
            ts_ms=START + int((begin_h + i / 4) * HOUR),
            schema=schema,
            values=tuple(rng.normal(10, 1, width).tolist()),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("later", [2, 3], ids=["wider", "as wide, in another order"])
def test_frames_from_before_a_birth_with_other_channels_are_passed_over(later: int) -> None:
    """An outbox may still hold frames of an older firmware when the newer one has been born."""
    stale, fresh = some_frames(1, 5), some_frames(later, 5, begin_h=5)
    with_stale, without = Engine(models()), Engine(models())
    for engine, says in ((with_stale, [*stale, *fresh]), (without, fresh)):
        engine.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, "v1")])
        engine.take([Introduction(partition=1, payload=birth(1, later, boot=2))])
        engine.take([batch(1, {1: says})])
    assert with_stale.snapshot(1) == without.snapshot(1)


def test_a_version_without_a_common_layout_begins_with_the_ages_of_replaced_parts() -> None:
    replaced = START + 20 * HOUR
    fan = Told(ts_ms=replaced, code="part_replaced", component="fan")
    engine = Engine(models())
    engine.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, "v1")])
    engine.take([batch(1, {1: [*some_frames(1, 40), fan]}), *adoptions(1, "v3")])
    engine.take([Introduction(partition=1, payload=birth(1, 1, boot=2))])
    prognosis = engine._devices[1].prognosis
    assert prognosis is not None
    assert prognosis.learnt is not None
    fitted = prognosis.learnt._features._records["installed"][0]
    assert fitted.tolist() == [replaced, START - 90 * HOUR]


def test_the_state_that_a_digest_tells_is_the_one_before_the_frame_that_completed_it() -> None:
    """A late frame after that one, in the same batch or a later one, changes nothing."""
    ts = START + np.array([0, 1, 0]) * HOUR
    lane = Lane.of_channels([{"name": "heat"}])
    slot = lane.seat(1)
    digest = Digest(slot=slot, until_ms=START + HOUR, frames=1, score=0.0, deviation=(0.0,))
    told = {
        cut: lane._anomalous_before(digest, np.full(cut, slot), ts[:cut], scored(cut))
        for cut in (2, 3)
    }
    assert told == {2: True, 3: True}


def scored(rows: int) -> Any:
    """Give the two columns of scores that count here; only the first frame is anomalous."""
    return SimpleNamespace(known=np.ones(rows, np.bool_), anomalous=np.arange(rows) == 0)
