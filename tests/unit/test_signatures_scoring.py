"""The library on the path: predictions before any model, and beside one that has few labels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.history import HOUR_MS
from models.scoring.engine import Engine
from models.scoring.entries import Introduction, Outputs
from models.signatures import SignatureModel, shipped
from models.signatures.library import Calibration, Code, Evidence, Feature, Library, Mode
from tests.scoring_log import (
    START,
    Told,
    adoptions,
    batch,
    birth,
    by_device,
    cut_log,
    fleet,
    models,
    play,
    states,
)

if TYPE_CHECKING:
    from models.scoring.entries import Prediction

VERSIONS = ("v1", "v3", "v2")


def sign(subject: str, direction: int, weight: float) -> Evidence:
    return Evidence(
        subject=subject, level="short", direction=direction, weight=weight, begins=1.0, full=4.0,
        against=0.2, absolute=False, spread=0.5, spread_share=0.0, source="a test",
    )  # fmt: skip


def mode(component: str, name: str, *evidence: Evidence, code: str = "E1") -> Mode:
    return Mode(
        component=component,
        failure_mode=name,
        life_h=500.0,
        evidence=evidence,
        codes=(Code(code=code, weight=3.0, source="a test"),),
        source="a test",
    )


@cache
def library() -> SignatureModel:
    """Know of the fans of `tests.scoring_log`, and of a coil that its model never saw."""
    bare = Library(
        family="toy",
        version=1,
        features=(
            Feature(
                name="slowing", formula="fall_rate", channel="speed", inputs={"level": ("speed",)},
                constants={"refill": 1e9}, unit="1/h", source="a test",
            ),
        ),
        modes=(
            mode("fan", "fan_wear", sign("speed", -1, 9.0)),
            mode("fan", "fan_loose", sign("load", 0, 5.0)),
            mode("coil", "burnt_out", sign("heat", -1, 6.0), sign("slowing", 1, 2.0), code="E2"),
        ),
    )  # fmt: skip
    calibration = Calibration(
        knots=(-8.0, 4.0), hazards=((-9.0,) * 4, (3.0,) * 4), shifts=(0.0,) * 3, threshold=0.3,
        evidence=bare.fingerprint, source="a test",
    )  # fmt: skip
    return SignatureModel(library=replace(bare, calibration=calibration))


def engine() -> Engine:
    return Engine(models(), {"toy": library()})


@cache
def unbroken() -> tuple[Any, ...]:
    log = cut_log(fleet(seed=1, frames=110), VERSIONS, np.random.default_rng(0))
    one = engine()
    out = play(one, log, range(len(log)))
    return states(one), by_device(out), out


def test_cuts_and_company_change_neither_state_nor_outputs() -> None:
    rng = np.random.default_rng(1)
    log = cut_log(fleet(seed=1, frames=110), VERSIONS, rng)
    one = engine()
    out = play(one, log, rng.integers(0, len(log), 6).tolist())
    assert (states(one), by_device(out)) == unbroken()[:2]


def test_a_restored_engine_goes_on_as_if_nothing_had_happened() -> None:
    rng = np.random.default_rng(7)
    log = cut_log(fleet(seed=1, frames=110), VERSIONS, rng)
    one, parts = engine(), []
    ends = [0, *sorted(rng.integers(0, len(log), 3).tolist()), len(log)]
    for begin, end in pairwise(ends):
        parts.append(play(one, log[begin:end]))
        kept, one = states(one), engine()
        for partition, state in kept.items():
            one.restore(partition, state)
    whole = Outputs()
    for part in parts:
        for name in Outputs.__slots__:
            getattr(whole, name).extend(getattr(part, name))
    assert (states(one), by_device(whole)) == unbroken()[:2]


def test_that_log_has_everybody_speak() -> None:
    versions = {h.version for h in unbroken()[2].hazards}
    assert {library().version, "v1", "v3"} <= versions


def frames(hours: int, *, worn_from: int, seed: int = 1) -> list[Told]:
    """Tell a device whose second channel falls from some hour on, four frames an hour."""
    rng = np.random.default_rng(seed)
    told = []
    for i in range(hours * 4):
        worn = max(0.0, i / 4 - worn_from) * 0.5
        values = rng.normal(10.0, 0.5, 3) - np.array([0.0, worn, 0.0])
        told.append(Told(ts_ms=START + i * HOUR_MS // 4 + 1, values=tuple(values.tolist())))
    return told


def predictions(*versions: str, worn_from: int = 40) -> list[Prediction]:
    one = engine()
    one.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, *versions)])
    return one.take([batch(1, {1: frames(60, worn_from=worn_from)})]).predictions


def test_a_device_without_a_model_is_foreseen_by_the_library() -> None:
    told = predictions()
    first = told[0]
    assert first.above
    assert (first.hazard.component, first.hazard.failure_mode) == ("fan", "fan_wear")
    assert first.hazard.version == library().version
    assert first.hazard.ts_ms > START + 40 * HOUR_MS
    assert first.threshold == 0.3
    assert first.hazard.band_h[1] is not None


def test_its_reasons_name_channel_source_baseline_and_now() -> None:
    reason = predictions()[0].reasons[0]
    assert (reason["kind"], reason["subject"]) == ("channel_deviates", "speed")
    parameters = reason["parameters"]
    assert parameters["now"] < parameters["usual"]
    assert parameters["sigmas"] < -1.0
    assert parameters["source"] == "a test"


def test_a_healthy_device_is_left_alone() -> None:
    assert predictions(worn_from=99) == []


def test_one_mode_of_a_component_is_told_at_a_time() -> None:
    told = [(p.hazard.component, p.hazard.failure_mode) for p in predictions() if p.above]
    assert len(set(told)) == 1


def test_once_a_model_has_labels_the_evidence_tells_who_spoke_with_what_weight() -> None:
    known = models()
    few = replace(
        known.by_version["v1"],
        signatures=replace(known.by_version["v1"].signatures, failures=np.array([5, 5])),
        thresholds=(0.5, 0.5),
    )
    one = Engine(type(known)({"few": few}), {"toy": library()})
    one.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, "few")])
    told = one.take([batch(1, {1: frames(60, worn_from=40)})]).predictions
    last = next(p for p in reversed(told) if p.hazard.component == "fan" and p.above)
    share = next(r for r in last.reasons if r["kind"] == "hand_over")["parameters"]
    assert last.hazard.version == "few"
    assert share["labels"] == 5.0
    assert share["share"] == pytest.approx(5 / 13 * 38 / 30)
    assert share["library"] == library().version
    assert 0.0 < share["signature"] < 1.0
    assert last.hazard.failure_mode == "fan_wear"


def test_where_the_model_abstains_the_library_speaks_under_its_own_name() -> None:
    known = models()
    mute = replace(known.by_version["v1"], min_failures=10_000)
    one = Engine(type(known)({"mute": mute}), {"toy": library()})
    one.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, "mute")])
    out = one.take([batch(1, {1: frames(60, worn_from=40)})])
    fan = [h for h in out.hazards if h.component == "fan"]
    assert {h.version for h in fan if h.abstained is None} == {library().version}
    assert any(p.above and p.hazard.component == "fan" for p in out.predictions)


def test_components_that_the_model_never_saw_stay_with_the_library() -> None:
    one = engine()
    one.take([Introduction(partition=1, payload=birth(1, 1)), *adoptions(1, "v1")])
    out = one.take([batch(1, {1: frames(60, worn_from=40)})])
    assert {h.version for h in out.hazards if h.component == "coil"} == {library().version}
    assert "coil" not in models().by_version["v1"].spec.components


def test_a_replaced_part_ends_what_was_said_of_it() -> None:
    one = engine()
    one.take([Introduction(partition=1, payload=birth(1, 1))])
    one.take([batch(1, {1: frames(60, worn_from=40)})])
    fitted = Told(ts_ms=START + 60 * HOUR_MS, code="part_replaced", component="fan")
    later = [replace(f, ts_ms=f.ts_ms + 60 * HOUR_MS) for f in frames(12, worn_from=99, seed=2)]
    out = one.take([batch(1, {1: [fitted, *later]})])
    assert not out.predictions[-1].above


def test_the_shipped_libraries_serve_their_families() -> None:
    assert set(shipped()) == {"fdm_printer", "rotating_machine", "hydraulic_excavator"}
