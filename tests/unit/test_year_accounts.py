"""The account of a year: hours that count once, bills, and what was foreseen."""

from __future__ import annotations

from decimal import Decimal

import pytest

from api import judgement
from foremend.clock import HOUR_MS
from simulators.steps import Truth
from stack.year.accounts import Visit, figures, hours_of, quarters, settle
from stack.year.judging import compared

HOURS = 1000


def truth(device: str, onset: float, failed: float | None, repaired: float | None) -> Truth:
    return Truth(
        device=device,
        component="seal",
        failure_mode="seal_leak",
        onset_ms=round(onset * HOUR_MS),
        failed_ms=None if failed is None else round(failed * HOUR_MS),
        due_ms=round((failed or 900.0) * HOUR_MS),
        repaired_ms=None if repaired is None else round(repaired * HOUR_MS),
        preventive=failed is None,
    )


def visit(device: str, fitted: float, work: float, bill: str) -> Visit:
    return Visit(
        device=device,
        component="seal",
        fitted_ms=round(fitted * HOUR_MS),
        work_h=work,
        bill=Decimal(bill),
        failed=False,
    )


def order(device: str, opened: float) -> judgement.Order:
    return judgement.Order(
        number=1,
        device=device,
        component="seal",
        failure_mode="seal_leak",
        opened_ms=round(opened * HOUR_MS),
        probability=0.8,
        state="closed",
    )


def settled(truths, visits, orders):
    return settle(
        since_ms=0,
        until_ms=HOURS * HOUR_MS,
        truths=truths,
        visits=visits,
        compared=compared(truths, orders),
        usd_per_h=Decimal(10),
    )


def test_work_on_a_device_that_has_failed_costs_no_hour_twice() -> None:
    account = settled([truth("a", 50, 100, 120)], [visit("a", 120, 3, "200")], [])
    assert account.downtime_h == pytest.approx(20.0)
    assert account.cost == Decimal("400.000000")


def test_work_ahead_of_a_failure_costs_its_own_hours_alone() -> None:
    account = settled([truth("a", 50, None, 120)], [visit("a", 120, 3, "200")], [order("a", 60)])
    assert account.downtime_h == pytest.approx(3.0)
    assert account.cost == Decimal("230.000000")


def test_a_failure_that_nobody_repaired_lasts_until_the_end() -> None:
    assert settled([truth("a", 50, 990, None)], [], []).downtime_h == pytest.approx(10.0)


def test_devices_stand_still_each_for_itself_and_within_the_year_alone() -> None:
    stood = [("a", 0, 2), ("a", 1, 4), ("a", 6, 7), ("b", 1, 3), ("b", -5, 0)]
    hours = [(d, b * HOUR_MS, e * HOUR_MS) for d, b, e in stood]
    assert hours_of(hours, 0, 8 * HOUR_MS) == {"a": 5.0, "b": 2.0}


def test_every_failure_was_foreseen_or_missed() -> None:
    truths = [
        truth("a", 50, None, 120),
        truth("b", 50, 100, 130),
        truth("c", 300, 400, 420),
        truth("d", 800, None, None),
    ]
    told = figures([settled(truths, [], [order("a", 60), order("c", 390), order("e", 5)])])
    assert (told["failures"], told["foreseen"], told["missed"]) == (3, 2, 1)
    assert told["false_orders"] == 1
    assert told["median_lead_h"] == pytest.approx((840 + 10) / 2)


def test_orders_count_in_the_quarter_they_opened_and_faults_where_they_ended() -> None:
    truths = [truth("a", 50, None, 300), truth("b", 700, 800, 820)]
    told = quarters([settled(truths, [], [order("a", 60), order("z", 999)])])
    assert [q["precision"] for q in told] == [1.0, None, None, 0.0]
    assert [q["recall"] for q in told] == [None, 1.0, None, 0.0]
