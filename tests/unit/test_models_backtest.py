"""Judging orders: what is true, what is wrong, what is left out."""

import pytest

from models.backtest import Candidate, Failure, judge, open_orders, wilson
from models.orders import Order

H = 3_600_000


def order(component: str, opened_h: float, device: str = "m1") -> Order:
    return Order(device=device, component=component, opened_ms=round(opened_h * H), probability=0.9)


def failure(component: str, at_h: float, device: str = "m1") -> Failure:
    return Failure(device=device, component=component, ts_ms=round(at_h * H))


def judged(orders, failures, until_h=1000):
    return judge(orders, failures, since_ms=0, until_ms=until_h * H, horizon_h=24, devices=1)


@pytest.mark.parametrize(("lead_h", "true"), [(24, 1), (24.01, 0), (0, 0), (0.01, 1)])
def test_an_order_is_true_if_its_component_fails_within_the_horizon(lead_h, true):
    figures = judged([order("comp1", 100)], [failure("comp1", 100 + lead_h)])
    assert figures.true_orders == true


def test_the_right_machine_with_the_wrong_component_is_counted_as_such():
    figures = judged([order("comp1", 100)], [failure("comp2", 110)])
    assert (figures.true_orders, figures.wrong_components, figures.foreseen) == (0, 1, 0)


def test_an_order_whose_horizon_is_cut_by_the_end_is_left_out():
    figures = judged([order("comp1", 990)], [])
    assert (figures.orders, figures.left_out) == (0, 1)


def test_the_earliest_order_gives_the_lead():
    figures = judged([order("comp1", 90), order("comp1", 100)], [failure("comp1", 110)])
    assert figures.median_lead_h == 20


def test_the_same_order_twice_is_a_duplicate():
    assert judged([order("comp1", 90)] * 2, []).duplicate_orders == 1


def test_false_orders_are_told_per_hundred_machine_weeks():
    assert judged([order("comp1", 90)], [], until_h=168).false_per_100_machine_weeks == 100


def test_an_interval_of_few_counts_is_wide_and_holds_the_share():
    share = wilson(13, 14)
    assert (round(share.low, 2), round(share.high, 2)) == (0.69, 0.99)


def candidate(at_h: float, probability: float = 0.9) -> Candidate:
    return Candidate(device="m1", component="comp1", ts_ms=round(at_h * H), probability=probability)


def opened_h(candidates, replaced=()):
    opened = open_orders(candidates, {"comp1": 0.5}, replaced, 24)
    return [one.opened_ms / H for one, _ in opened]


def test_one_order_stands_until_its_horizon_has_passed():
    assert opened_h([candidate(h) for h in (1, 2, 25, 26)]) == [1, 26]


def test_a_replacement_ends_an_order_so_that_another_may_open():
    assert opened_h([candidate(1), candidate(5)], [failure("comp1", 3)]) == [1, 5]


def test_what_is_below_the_threshold_or_unknown_opens_nothing():
    assert opened_h([candidate(1, 0.49), candidate(2, float("nan"))]) == []
