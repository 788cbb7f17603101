"""Frames in slots become series; holes stay holes, and schemas may change on the way."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.series import Slot, aligned, times_of, with_holes

TEMP = {"name": "temp", "unit": "Cel"}
FAN = {"name": "fan", "unit": "/min"}


def slot(t_ms, values=(1.0,), schema_id=1):
    return Slot(
        schema_id=schema_id, t_ms=t_ms, frames=1, phase=3,
        lo=[None if v is None else v - 1 for v in values],
        mid=list(values),
        hi=[None if v is None else v + 1 for v in values],
    )  # fmt: skip


def test_a_silence_is_not_bridged_by_a_line():
    spaced, (temp,) = aligned([slot(0), slot(10), slot(20), slot(90), slot(100)], {1: [TEMP]})
    assert times_of(spaced) == [0, 10, 20, 21, 90, 100]
    assert temp.mid == [1.0, 1.0, 1.0, None, 1.0, 1.0]


def test_a_channel_goes_on_under_a_new_schema():
    slots = [slot(0, (20.0,)), slot(10, (1000.0, 21.0), schema_id=2)]
    _, (temp, fan) = aligned(slots, {1: [TEMP], 2: [FAN, TEMP]})
    assert temp.mid == [20.0, 21.0]
    assert fan.mid == [None, 1000.0]
    assert (fan.lo, fan.hi) == ([None, 999.0], [None, 1001.0])


def test_a_channel_that_changed_its_unit_is_another():
    kelvin = {"name": "temp", "unit": "K"}
    slots = [slot(0, (20.0,)), slot(10, (294.0,), schema_id=2)]
    _, found = aligned(slots, {1: [TEMP], 2: [kelvin]})
    assert [(s.channel["unit"], s.mid) for s in found] == [
        ("Cel", [20.0, None]),
        ("K", [None, 294.0]),
    ]


def test_what_was_not_read_stays_unknown():
    _, (temp,) = aligned([slot(0, (None,)), slot(10, ())], {1: [TEMP]})
    assert temp.mid == [None, None]


def test_a_narrower_frame_hides_nothing_of_the_others():
    _, (temp, fan) = aligned([slot(0, (1.0, 5.0)), slot(10, (2.0,))], {1: [TEMP, FAN]})
    assert (temp.mid, fan.mid) == ([1.0, 2.0], [5.0, None])


def test_no_frames_make_no_series():
    assert aligned([], {}) == ([], [])


def test_values_are_cut_to_what_a_sensor_can_know():
    _, (temp,) = aligned([slot(0, (214.123456789,))], {1: [TEMP]})
    assert temp.mid == [pytest.approx(214.123)]


@given(st.floats(-1e290, 1e290))
def test_a_cut_value_has_six_digits_and_is_near(value):
    _, (temp,) = aligned([slot(0, (value,))], {1: [TEMP]})
    (cut,) = temp.mid
    assert cut == pytest.approx(value, rel=6e-6, abs=1e-300)
    assert len(f"{cut:.10g}".split("e")[0].replace("-", "").replace(".", "").strip("0")) <= 6


@given(st.lists(st.integers(1, 1000), max_size=40))
def test_holes_lose_no_slot_and_times_rise(steps):
    slots = [slot(sum(steps[:i])) for i in range(1, len(steps) + 1)]
    spaced = with_holes(slots)
    assert [s for s in spaced if s] == slots
    assert all(spaced[:1] + spaced[-1:])
    times = times_of(spaced)
    assert all(a <= b for a, b in pairwise(times))
