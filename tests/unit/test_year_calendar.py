"""The calendar's ages: where planning pays, where it does not, and that plans are kept."""

from __future__ import annotations

import numpy as np
import pytest

from foremend.clock import HOUR_MS
from simulators.fleets import MachineFleet
from simulators.steps import FaultPlan
from stack.year.calendar import Life, Plan, Stakes, best_age_h, kit_of, planned
from stack.year.terms import Terms
from stack.year.walk import account, ground, walk


def lives(shape: float, count: int = 4000) -> list[Life]:
    ages = 1000.0 * np.random.default_rng(3).weibull(shape, count)
    return [
        Life(component="seal", from_h=0.0, to_h=float(age), failed=True) for age in ages.tolist()
    ]


def test_parts_that_wear_out_are_replaced_near_the_age_of_theory() -> None:
    """Weibull shape 3 and failures four times as dear: T ~ .44 of the scale."""
    best = best_age_h(lives(3.0), Stakes(failed=400.0, planned=100.0))
    assert best == pytest.approx(570.0, rel=0.2)


def test_parts_that_do_not_age_are_left_in() -> None:
    assert best_age_h(lives(0.8), Stakes(failed=400.0, planned=100.0)) is None


def test_a_plan_that_costs_as_much_as_the_failure_is_none() -> None:
    assert best_age_h(lives(3.0), Stakes(failed=100.0, planned=120.0)) is None


def test_nothing_is_planned_for_parts_that_nobody_saw_fail() -> None:
    seen = [Life(component="seal", from_h=0.0, to_h=500.0, failed=False)] * 9
    assert best_age_h(seen, Stakes(failed=400.0, planned=100.0)) is None


def test_lives_seen_from_some_age_on_count_for_that_time_alone() -> None:
    """Of parts that are old when the record begins, those that failed before are not in it."""
    whole = lives(3.0)
    late = [
        Life(component="seal", from_h=400.0, to_h=life.to_h, failed=True)
        for life in whole
        if life.to_h > 400.0
    ]
    early = [
        Life(component="seal", from_h=0.0, to_h=min(life.to_h, 400.0), failed=life.to_h <= 400.0)
        for life in whole
    ]
    stakes = Stakes(failed=400.0, planned=100.0)
    assert best_age_h([*early, *late], stakes) == pytest.approx(best_age_h(whole, stakes), rel=0.05)


def test_each_part_is_replaced_when_it_has_come_of_age_and_for_a_visits_price() -> None:
    fleet = MachineFleet(
        names=("m1", "m2"), seed=5, step_s=3600.0, plan=FaultPlan(random_from_h=None)
    )
    on = ground(fleet)
    born = {i: on.shop.installed(i)["filter"] for i in range(2)}
    age_h = (on.since_ms - min(born.values())) / HOUR_MS + 30.0
    plan = Plan(on, {"filter": age_h, "seal": None})
    walk(on, Terms(window_min=60, days=4), each=plan.each)
    done = account(on, plan.orders)
    (visit,) = done.visits
    older = min(born, key=lambda i: born[i])
    offer = planned(on.site, older, "filter")
    assert (visit.device, visit.component) == (fleet.names[older], "filter")
    assert (visit.fitted_ms - born[older]) / HOUR_MS == pytest.approx(age_h, abs=24.0)
    assert visit.bill == offer.bill
    assert done.downtime_h == pytest.approx(offer.work_h)
    assert float(done.cost) == pytest.approx(float(offer.bill) + 55 * offer.work_h, abs=0.01)
    assert [o.outcome.value for o in done.compared.orders] == ["false"]


def test_the_catalogue_says_which_kit_replaces_a_part() -> None:
    on = ground(MachineFleet(names=("m1",), seed=5))
    kit = kit_of(on.site, "filter")
    assert kit is not None
    assert kit.code == "FILT-1"
    assert kit_of(on.site, "flux_capacitor") is None
