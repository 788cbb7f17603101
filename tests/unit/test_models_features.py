"""Features know only what was known, and one device's depend on nothing but its own inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import FeatureSpec, FeatureState, Rows
from models.features.state import MAX_BACKFILL, SnapshotMismatch

H = 3_600_000
SPEC = FeatureSpec(
    family="pump",
    channels=("flow", "heat"),
    components=("seal", "motor"),
    codes=("E1", "E2"),
    channel_component=(0, -1),
)


@dataclass(frozen=True)
class Step:
    """One input of one device."""

    kind: str
    device: int
    ts_ms: int
    phase: int
    values: tuple[float, float]
    what: int


def column(rows: Rows, name: str, at: int = -1) -> float:
    return float(rows.values[at, SPEC.columns.index(name)])


def frames(state: FeatureState, hours: list[float], values: list[list[float]]) -> Rows:
    n = len(hours)
    return state.observe_frames([0] * n, [round(h * H) for h in hours], [3] * n, values)


def feed(state: FeatureState, steps: list[Step]) -> list[Rows]:
    """Feed runs of one kind as one batch each."""
    out, start = [], 0
    for end in range(1, len(steps) + 1):
        if end == len(steps) or steps[end].kind != steps[start].kind:
            out.append(feed_batch(state, steps[start:end]))
            start = end
    return out


def feed_batch(state: FeatureState, batch: list[Step]) -> Rows:
    device, ts = [s.device for s in batch], [s.ts_ms for s in batch]
    if batch[0].kind == "frame":
        values, score = [s.values for s in batch], [s.values[0] for s in batch]
        return state.observe_frames(device, ts, [s.phase for s in batch], values, score)
    if batch[0].kind == "event":
        return state.observe_events(device, ts, [s.what for s in batch])
    if batch[0].kind == "replaced":
        return state.observe_replacements(device, ts, [min(s.what, 1) for s in batch])
    return state.advance(device, ts)


reading = st.one_of(st.floats(-1e6, 1e6), st.just(math.nan))
step = st.builds(
    Step,
    kind=st.sampled_from(["frame"] * 6 + ["event", "replaced", "advance"]),
    device=st.integers(0, 2),
    ts_ms=st.integers(1, 4 * H),
    phase=st.integers(0, 7),
    values=st.tuples(reading, reading),
    what=st.integers(0, 2),
)


def in_time(gaps: list[Step]) -> list[Step]:
    """Read each step's time as the pause before it."""
    clock, out = 0, []
    for s in gaps:
        clock += s.ts_ms // 8
        out.append(Step(s.kind, s.device, clock, s.phase, s.values, s.what))
    return out


def of_device(parts: list[Rows], device: int) -> npt.NDArray[np.float32]:
    rows = Rows.joined([p for p in parts if len(p)], SPEC.width)
    return rows.values[rows.device == device]


@settings(deadline=None, max_examples=60)
@given(st.lists(step, min_size=1, max_size=60).map(in_time), st.data())
def test_no_batch_boundary_and_no_neighbour_matters(steps, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(steps)), max_size=6)))
    whole, cut, alone = (FeatureState(SPEC, 3) for _ in range(3))
    at_once = feed(whole, steps)
    in_parts = [
        rows
        for a, b in zip([0, *cuts], [*cuts, len(steps)], strict=True)
        for rows in feed(cut, steps[a:b])
    ]
    mine = feed(alone, [s for s in steps if s.device == 1])
    for device in range(3):
        np.testing.assert_array_equal(of_device(at_once, device), of_device(in_parts, device))
        assert whole.snapshot(device) == cut.snapshot(device)
    np.testing.assert_array_equal(of_device(at_once, 1), of_device(mine, 1))
    assert whole.snapshot(1) == alone.snapshot(1)


@settings(deadline=None, max_examples=30)
@given(st.lists(step, min_size=2, max_size=40).map(in_time), st.data())
def test_a_restored_device_goes_on_as_if_nothing_had_happened(steps, data):
    cut = data.draw(st.integers(1, len(steps) - 1))
    first, second = FeatureState(SPEC, 3), FeatureState(SPEC, 3)
    feed(first, steps[:cut])
    for device in range(3):
        second.restore(device, first.snapshot(device))
    for a, b in zip(feed(first, steps[cut:]), feed(second, steps[cut:]), strict=True):
        np.testing.assert_array_equal(a.values, b.values)


@settings(deadline=None, max_examples=30)
@given(st.lists(step, min_size=1, max_size=40).map(in_time))
def test_what_comes_after_a_boundary_does_not_reach_its_row(steps):
    """The future is fed or not: the rows up to the cut are the same."""
    cut = steps[len(steps) // 2].ts_ms
    told, ended = FeatureState(SPEC, 3), FeatureState(SPEC, 3)
    all_rows = Rows.joined([r for r in feed(told, steps) if len(r)], SPEC.width)
    past = feed(ended, [s for s in steps if s.ts_ms <= cut])
    past.append(ended.advance([0, 1, 2], cut + 1))
    some = Rows.joined([r for r in past if len(r)], SPEC.width)
    for device in range(3):
        mine = all_rows.where((all_rows.device == device) & (all_rows.ts_ms <= cut))
        theirs = some.where((some.device == device) & (some.ts_ms <= cut))
        np.testing.assert_array_equal(mine.values, theirs.values[: len(mine)])


def test_a_frame_at_a_boundary_belongs_to_it():
    state = FeatureState(SPEC, 1)
    frames(state, [0.5, 1.0], [[10.0, 1.0], [20.0, 1.0]])
    rows = frames(state, [1.5], [[90.0, 1.0]])
    assert rows.ts_ms.tolist() == [H]
    assert column(rows, "last|flow") == 15.0


def test_nothing_is_due_before_an_input_lies_after_the_boundary():
    state = FeatureState(SPEC, 1)
    assert len(frames(state, [0.5, 1.0], [[10.0, 1.0]] * 2)) == 0
    assert len(state.advance([0], [H])) == 0
    assert len(state.advance([0], [H + 1])) == 1


def test_only_frames_at_work_make_the_working_level():
    state = FeatureState(SPEC, 1)
    state.observe_frames(
        [0, 0, 0], [1, 2, 3], [3, 2, 1], [[10.0, math.nan], [50.0, math.nan], [70.0, math.nan]]
    )
    rows = state.advance([0], [H + 1])
    told = {n: column(rows, f"{n}|flow") for n in ("last", "heating", "rest")}
    assert told == {"last": 10.0, "heating": 50.0, "rest": 70.0}
    assert math.isnan(column(rows, "last|heat"))


def test_windows_hold_their_blocks_and_forget_the_older():
    state = FeatureState(SPEC, 1)
    rows = frames(state, [h + 0.5 for h in range(31)], [[float(h), 0.0] for h in range(31)])
    assert column(rows, "short|flow") == np.mean(range(24, 30))
    assert column(rows, "long|flow") == np.mean(range(6, 30))
    assert column(rows, "long_filled|flow") == 1.0


def test_a_baseline_is_moved_little_by_a_developing_fault():
    state = FeatureState(SPEC, 1)
    calm = [[100.0 + (h % 3), 0.0] for h in range(100)]
    rows = frames(state, [h + 0.5 for h in range(130)], calm + [[200.0, 0.0]] * 30)
    assert column(rows, "last|flow") == 200.0
    assert column(rows, "work_centre|flow") < 103.0


def test_a_replaced_part_makes_its_own_channels_learn_anew():
    state = FeatureState(SPEC, 1)
    frames(state, [h + 0.5 for h in range(50)], [[100.0, 7.0]] * 50)
    state.observe_replacements([0], [50 * H], [SPEC.components.index("seal")])
    rows = frames(state, [50.5, 51.5], [[300.0, 7.0]] * 2)
    assert column(rows, "work_centre|flow") == 300.0
    assert column(rows, "work_count|heat") > 40
    assert column(rows, "age_h|seal") == 1.0


def test_errors_of_the_last_day_are_counted_and_dated():
    state = FeatureState(SPEC, 1)
    frames(state, [0.5], [[1.0, 1.0]])
    state.observe_events([0, 0, 0], [H, 2 * H, 20 * H], [0, 0, SPEC.code_index("unheard of")])
    rows = state.advance([0], [26 * H + 1])
    names = [f"count_day|{c}" for c in ("E1", "E2", "*")]
    assert rows.ts_ms[-3:].tolist() == [24 * H, 25 * H, 26 * H]
    assert [column(rows, n, at=-3) for n in names] == [2.0, 0.0, 1.0]
    assert [column(rows, n) for n in names] == [0.0, 0.0, 1.0]
    assert column(rows, "hours_since|E1") == 24.0
    assert math.isnan(column(rows, "hours_since|E2"))


def test_installation_times_of_a_birth_give_ages():
    state = FeatureState(SPEC, 1)
    state.observe_installs([0, 0], [0, 1], [10 * H, 40 * H])
    state.observe_installs([0], [0], [5 * H])
    frames(state, [99.5], [[1.0, 1.0]])
    rows = state.advance([0], [100 * H + 1])
    assert [column(rows, f"age_h|{k}") for k in SPEC.components] == [90.0, 60.0]


def test_a_long_silence_makes_rows_for_two_days_at_most():
    state = FeatureState(SPEC, 1)
    frames(state, [0.5], [[1.0, 1.0]])
    rows = frames(state, [1000.5], [[2.0, 1.0]])
    assert len(rows) == MAX_BACKFILL + 1
    assert rows.ts_ms[-1] == 1000 * H
    assert math.isnan(column(rows, "long|flow"))


def test_a_late_frame_changes_no_row_that_was_told():
    state = FeatureState(SPEC, 1)
    frames(state, [0.5, 2.5], [[1.0, 1.0], [3.0, 1.0]])
    rows = frames(state, [0.7, 3.5], [[99.0, 1.0], [4.0, 1.0]])
    assert column(rows, "last|flow") == 3.0


def test_ten_channels_fit_into_four_kibibytes():
    spec = FeatureSpec(
        family="printer",
        channels=tuple("abcdefghij"),
        components=tuple("klmnopq"),
        codes=tuple("ABCDEFGHIJKLMN"),
    )
    assert len(FeatureState(spec, 1).snapshot(0)) < 4096


def test_a_snapshot_of_another_layout_is_refused():
    other = FeatureSpec(family="pump", channels=("heat", "flow"), components=("seal",), codes=())
    with pytest.raises(SnapshotMismatch):
        FeatureState(other, 1).restore(0, FeatureState(SPEC, 1).snapshot(0))


def test_the_hour_of_day_is_no_feature():
    rows = []
    for offset in (0, 7 * H):
        state = FeatureState(SPEC, 1)
        state.observe_frames([0, 0], [1 + offset, H + 1 + offset], [0, 0], [[1.0, 2.0]] * 2)
        rows.append(state.advance([0], [2 * H + 1 + offset]).values)
    np.testing.assert_array_equal(rows[0], rows[1])
