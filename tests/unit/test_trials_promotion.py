"""Who goes on, the model in force or its challenger, and how both are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremend.clock import HOUR_MS
from models.backtest import Candidate, Failure
from models.trials.judging import WITHIN_H, Ground, judged
from models.trials.promotion import Action, Figures, Policy, Reason, decide_promotion

GOOD = Figures(
    device_weeks=40.0, findings=20, orders=18, true_orders=16, foreseen=16, median_lead_h=24.0
)
DAY = 24 * HOUR_MS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, Reason.AS_GOOD),
        ({"findings": 9}, Reason.TOO_FEW_FINDINGS),
        ({"device_weeks": 0.0}, Reason.NOT_TRIED),
        ({"orders": 24}, Reason.MORE_BURDEN),
        ({"foreseen": 15}, Reason.FORESEES_FEWER),
        ({"median_lead_h": 21.0}, Reason.LATER),
        ({"median_lead_h": None}, Reason.LATER),
        ({"median_lead_h": 22.0, "orders": 16}, Reason.AS_GOOD),
    ],
)
def test_a_challenger_takes_over_where_nothing_got_worse(changes, reason) -> None:
    decision = decide_promotion(GOOD, replace(GOOD, **changes), Policy())
    assert decision.reason is reason
    assert decision.action is (Action.PROMOTE if reason is Reason.AS_GOOD else Action.REFUSE)


def test_the_first_of_its_cohort_needs_no_trial() -> None:
    decision = decide_promotion(None, None, Policy())
    assert (decision.action, decision.reason) == (Action.PROMOTE, Reason.FIRST_OF_ITS_COHORT)


def test_without_a_trial_nobody_takes_over() -> None:
    assert decide_promotion(GOOD, None, Policy()).reason is Reason.NOT_TRIED


def test_a_refusal_says_what_was_reached_and_what_is_wanted() -> None:
    few = decide_promotion(GOOD, replace(GOOD, findings=3), Policy())
    assert str(few) == "too little was found during its trial: 3 failures, and 10 are wanted"
    late = decide_promotion(GOOD, replace(GOOD, median_lead_h=12.0), Policy())
    assert "12.0 h ahead, and 21.6 h are wanted" in str(late)


figures = st.builds(
    lambda weeks, findings, false, hits, lead: Figures(
        device_weeks=weeks,
        findings=findings,
        orders=hits + false,
        true_orders=hits,
        foreseen=min(hits, findings),
        median_lead_h=lead if min(hits, findings) else None,
    ),
    st.floats(1, 1000),
    st.integers(10, 60),
    st.integers(0, 40),
    st.integers(0, 60),
    st.floats(0.5, 100),
)


@given(figures)
def test_a_model_as_good_as_itself_is_promoted(one: Figures) -> None:
    assert decide_promotion(one, one, Policy()).action is Action.PROMOTE


@given(figures, figures, st.integers(1, 30))
def test_more_false_orders_never_turn_a_refusal_into_a_promotion(
    champion, challenger, more
) -> None:
    worse = replace(challenger, orders=challenger.orders + more)
    before = decide_promotion(champion, challenger, Policy()).action
    after = decide_promotion(champion, worse, Policy()).action
    assert not (before is Action.REFUSE and after is Action.PROMOTE)


def at(hours: float, device: str = "a", component: str = "fan") -> Candidate:
    return Candidate(
        device=device, component=component, ts_ms=round(hours * HOUR_MS), probability=0.9
    )


def failed(hours: float, device: str = "a", component: str = "fan") -> Failure:
    return Failure(device=device, component=component, ts_ms=round(hours * HOUR_MS))


def ground(*found: Failure, weeks: float = 4.0) -> Ground:
    return Ground(seen={"a": (0, round(weeks * 7 * DAY))}, found=found, replaced=found)


def test_an_order_is_right_where_its_part_is_found_bad_within_the_time() -> None:
    told = judged([at(10), at(11), at(12)], ground(failed(40)))
    assert (told.orders, told.true_orders, told.foreseen) == (1, 1, 1)
    assert told.median_lead_h == 30.0
    assert told.device_weeks == 4.0


def test_an_order_for_another_part_is_false() -> None:
    told = judged([at(10, component="belt")], ground(failed(40)))
    assert (told.orders, told.true_orders, told.foreseen) == (1, 0, 0)
    assert told.burden == 25.0
    assert told.median_lead_h is None


def test_an_order_whose_time_is_not_over_is_undecided_until_a_finding_proves_it() -> None:
    late = 4 * 168 - WITHIN_H / 2
    assert judged([at(late)], ground()).undecided == 1
    assert judged([at(late)], ground()).orders == 0
    told = judged([at(late)], ground(failed(late + 5)))
    assert (told.orders, told.true_orders, told.undecided) == (1, 1, 0)


def test_nothing_counts_outside_of_what_the_challenger_saw() -> None:
    seen = Ground(
        seen={"a": (50 * HOUR_MS, 400 * HOUR_MS)}, found=(failed(20), failed(500)), replaced=()
    )
    told = judged([at(10), at(450), at(10, device="b")], seen)
    assert (told.findings, told.orders, told.undecided) == (0, 0, 0)


def test_a_repair_ends_an_order_so_that_the_next_one_counts_anew() -> None:
    two = ground(failed(40), failed(100))
    told = judged([at(10), at(50), at(90)], two)
    assert (told.orders, told.true_orders, told.foreseen) == (2, 2, 2)
    assert told.median_lead_h == 40.0
