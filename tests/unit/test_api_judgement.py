"""Orders against the truth: what counts as foreseen, missed, late and false."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.judgement import Fault, FaultOutcome, Order, OrderOutcome, compare
from api.truth import read_faults
from foremend.errors import InputError

HOUR = 3_600_000


def fault(onset_h=10, failed_h=None, due_h=30, repaired_h=None, component="fan", device="p1"):
    def ms(hours):
        return None if hours is None else round(hours * HOUR)

    return Fault(
        device=device,
        component=component,
        failure_mode="wear",
        onset_ms=ms(onset_h),
        failed_ms=ms(failed_h),
        due_ms=ms(failed_h or due_h),
        repaired_ms=ms(repaired_h),
    )


def order(opened_h, component="fan", device="p1", number=1):
    return Order(
        number=number,
        device=device,
        component=component,
        failure_mode="wear",
        opened_ms=round(opened_h * HOUR),
        probability=0.9,
        state="offered",
    )


def judged(faults, orders):
    found = compare(faults, orders)
    return [f.outcome for f in found.faults], [o.outcome for o in found.orders]


F = FaultOutcome
O = OrderOutcome  # noqa: E741 - reads well beside F


@pytest.mark.parametrize(
    ("the_fault", "orders", "fault_is", "orders_are"),
    [
        (fault(failed_h=30), [order(20)], F.FORESEEN, [O.TRUE]),
        (fault(), [order(20)], F.FORESEEN, [O.TRUE]),
        (fault(repaired_h=25), [order(20)], F.FORESEEN, [O.TRUE]),
        (fault(failed_h=30), [], F.MISSED, []),
        (fault(failed_h=30), [order(30)], F.MISSED, [O.LATE]),
        (fault(failed_h=30), [order(31)], F.MISSED, [O.LATE]),
        (fault(failed_h=30, repaired_h=33), [order(34)], F.MISSED, [O.FALSE]),
        (fault(), [], F.DEVELOPING, []),
        (fault(), [order(9)], F.DEVELOPING, [O.FALSE]),
        (fault(), [order(20, component="belt")], F.DEVELOPING, [O.FALSE]),
        (fault(), [order(20, device="p2")], F.DEVELOPING, [O.FALSE]),
        (fault(repaired_h=25), [], F.REPLACED, []),
        (fault(repaired_h=25), [order(26)], F.REPLACED, [O.FALSE]),
        (fault(failed_h=30), [order(20), order(31, number=2)], F.FORESEEN, [O.TRUE, O.LATE]),
    ],
)
def test_each_case_is_judged(the_fault, orders, fault_is, orders_are):
    assert judged([the_fault], orders) == ([fault_is], orders_are)


def test_lead_runs_from_the_first_order_to_the_failure_that_was_due():
    found = compare([fault(due_h=30)], [order(26, number=2), order(18)])
    assert found.faults[0].order.number == 1
    assert found.faults[0].lead_h == 12
    assert found.median_lead_h == 12


def test_nothing_foreseen_has_no_lead():
    assert compare([fault(failed_h=30)], []).median_lead_h is None


def test_a_second_fault_of_the_same_part_needs_its_own_order():
    first, second = fault(repaired_h=25), fault(onset_h=40, failed_h=60)
    assert judged([first, second], [order(20)]) == ([F.FORESEEN, F.MISSED], [O.TRUE])


HOURS = st.integers(0, 60)
FAULTS = st.builds(
    lambda onset, grow, fails, wait: fault(
        onset_h=onset,
        failed_h=onset + grow if fails else None,
        due_h=onset + grow,
        repaired_h=onset + grow + wait if wait else None,
    ),
    HOURS,
    st.integers(1, 30),
    st.booleans(),
    st.none() | st.integers(1, 20),
)


@given(st.lists(FAULTS, max_size=4), st.lists(HOURS, max_size=6), st.randoms())
def test_every_fault_and_order_is_judged_once_in_any_order(faults, hours, chance):
    orders = [order(hour, number=i) for i, hour in enumerate(hours)]
    found = compare(faults, orders)
    assert sum(found.count(o) for o in FaultOutcome) == len(faults)
    assert sum(found.count_orders(o) for o in OrderOutcome) == len(orders)
    chance.shuffle(orders)
    assert compare(faults, orders) == found
    assert (found.count(F.FORESEEN) > 0) <= (found.count_orders(O.TRUE) > 0)
    assert all(f.lead_h is None or f.lead_h > 0 for f in found.faults if f.fault.failed_ms)


def line(**changes):
    told = {"device": "p1", "component": "fan", "failure_mode": "wear", "onset_ms": 1,
            "due_ms": 9, "failed_ms": None, "repaired_ms": None}  # fmt: skip
    return json.dumps(told | changes)


def test_the_last_line_of_a_fault_is_what_counts(tmp_path):
    file = tmp_path / "truth.jsonl"
    file.write_text("\n".join([line(), line(onset_ms=2), line(failed_ms=8), ""]))
    assert [(f.onset_ms, f.failed_ms) for f in read_faults(file)] == [(1, 8), (2, None)]


def test_a_line_that_is_still_being_written_waits(tmp_path):
    file = tmp_path / "truth.jsonl"
    file.write_text(line() + "\n" + line(onset_ms=2)[:20])
    assert len(read_faults(file)) == 1


def test_fields_of_a_later_version_do_no_harm(tmp_path):
    file = tmp_path / "truth.jsonl"
    file.write_text(line(preventive=True) + "\n")
    assert len(read_faults(file)) == 1


def test_a_line_that_is_no_fault_is_named(tmp_path):
    file = tmp_path / "truth.jsonl"
    file.write_text(line() + "\n" + '{"device": "p1"}\n')
    with pytest.raises(InputError, match=r"truth\.jsonl:2: "):
        read_faults(file)


def test_no_file_yet_means_no_faults_yet(tmp_path):
    assert read_faults(tmp_path / "none.jsonl") == []
