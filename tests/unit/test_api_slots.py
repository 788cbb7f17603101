"""Rows of any level become the slots of a chart, whatever they lack."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from api.levels import Plan
from api.slots import combined, of_frames, of_rollups

PLAN = Plan(start=0, end=100, slot_ms=10, hours_to=0, minutes_to=0)


def sent(kind: str, *values: float) -> bytes:
    """Write an array as PostgreSQL's array_send does."""
    if not values:
        return struct.pack(">iii", 0, 0, 701)
    size = struct.calcsize(f">{kind}")
    elements = b"".join(struct.pack(f">i{kind}", size, value) for value in values)
    return struct.pack(">iiiii", 1, 0, 701, len(values), 1) + elements


def frame(t_ms: int, *values: float, schema_id: int = 1, phase: int = 3) -> dict:
    return {"schema_id": schema_id, "t_ms": t_ms, "phase": phase, "vals": sent("d", *values)}


def rollup(since_ms: int, n: list[int], mean: list[float], *, frames: int, phase: int = 3) -> dict:
    told = {"schema_id": 1, "since_ms": since_ms, "width_ms": 10, "frames": frames, "phase": phase}
    arrays = {name: sent("d", *mean) for name in ("lo", "mean", "hi")}
    return told | arrays | {"n": sent("i", *n)}


def test_a_slot_has_the_least_the_mean_and_the_greatest() -> None:
    (one, two) = combined(of_frames([frame(12, 5.0), frame(1, 1.0), frame(9, 2.0)]), PLAN)

    assert (one.t_ms, one.frames, list(one.lo), list(one.hi)) == (5, 2, [1.0], [2.0])
    assert list(one.mid) == [1.5]
    assert (two.t_ms, two.frames, list(two.mid)) == (12, 1, [5.0])


def test_means_of_rollups_weigh_what_they_stand_for() -> None:
    (slot,) = combined(
        [
            *of_rollups([rollup(0, [9, 0], [1.0, math.nan], frames=9, phase=2)]),
            *of_frames([frame(5, 2.0, 7.0)]),
        ],
        PLAN,
    )

    assert (slot.frames, slot.phase) == (10, 2)
    assert list(slot.mid) == [pytest.approx(1.1), 7.0]
    assert (list(slot.lo), list(slot.hi)) == ([1.0, 7.0], [2.0, 7.0])


def test_what_is_unknown_stays_so_and_hides_nothing() -> None:
    (slot,) = combined(of_frames([frame(0, math.nan, 1.0), frame(1, math.nan, math.nan)]), PLAN)

    assert np.isnan(slot.mid[0])
    assert slot.mid[1] == 1.0


def test_rows_may_be_of_any_width() -> None:
    (slot,) = combined(of_frames([frame(0, 1.0, 2.0, 3.0), frame(1), frame(2, 5.0)]), PLAN)
    (bare,) = combined(of_frames([frame(0), frame(1)]), PLAN)

    assert (slot.frames, list(slot.mid)) == (3, [3.0, 2.0, 3.0])
    assert (bare.frames, len(bare.mid)) == (2, 0)


def test_schemas_keep_slots_of_their_own_in_the_order_of_time() -> None:
    found = combined(of_frames([frame(55, 1.0), frame(15, 2.0, schema_id=2), frame(18, 3.0)]), PLAN)

    assert [(slot.t_ms, slot.schema_id) for slot in found] == [(15, 2), (18, 1), (55, 1)]


def test_the_largest_numbers_there_are_overflow_nothing() -> None:
    most = 1.7976931348623157e308
    (slot,) = combined(of_frames([frame(i % 10, most, -most) for i in range(1000)]), PLAN)

    assert list(slot.mid) == [most, -most]


def test_nothing_makes_nothing() -> None:
    assert combined([], PLAN) == []
