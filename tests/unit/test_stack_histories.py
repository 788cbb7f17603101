"""What models are told of simulated failures, and that every failure has its cure."""

from __future__ import annotations

import pytest

from field_service.catalogue import load
from simulators import specs
from simulators.fleets import FLEETS
from simulators.histories import histories
from stack.histories import failure_modes
from stack.parallel import Workers
from stack.training import Course

FAMILIES = {"fdm_printer": "printer", "rotating_machine": "machine"} | {
    "hydraulic_excavator": "excavator"
}


@pytest.mark.parametrize("family", FLEETS)
def test_the_catalogue_cures_each_failure_mode_that_is_simulated_and_no_other(family: str) -> None:
    simulated = {(m.component, m.failure_mode) for m in specs.load(FAMILIES[family]).modes}
    cured = {(r.component, r.failure_mode) for r in load().families[family].resolution}

    assert cured == simulated


def test_a_component_is_told_by_its_most_frequent_failure_mode() -> None:
    (history,) = histories(5, printers=30, machines=0, days=8.0, step_s=1200.0)
    seen = [t.failure_mode for t in history.truth if t.component == "hotend_thermistor"]

    told = dict(failure_modes(history))

    assert len(set(seen)) > 1
    assert seen.count(told["hotend_thermistor"]) == max(seen.count(mode) for mode in set(seen))
    assert set(told) == {t.component for t in history.truth}


@pytest.mark.parametrize(
    ("excavators", "families"),
    [
        (0, {"fdm_printer": 300, "rotating_machine": 100}),
        (40, {"fdm_printer": 300, "rotating_machine": 100, "hydraulic_excavator": 40}),
    ],
)
def test_a_family_is_trained_only_where_histories_of_it_are_asked_for(
    excavators: int, families: dict[str, int]
) -> None:
    assert (
        Course(histories=400, seed=1, workers=Workers(jobs=1), excavators=excavators).devices
        == families
    )
