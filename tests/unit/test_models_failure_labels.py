"""What becomes of a part after a row: failed, survived, or not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.features import FeatureSpec, Rows
from models.history import Findings, Found, Frames, History, Marks
from models.labels import intervals, outcomes
from models.slices import HeldOut, devices, later

H = 3_600_000
SPEC = FeatureSpec(family="pump", channels=("flow",), components=("seal",), codes=())
HORIZONS = (6.0, 12.0, 24.0)


def found(*ends: tuple[float, Found], known_after_h: float = 0.0) -> Findings:
    ts = np.array([round(h * H) for h, _ in ends], dtype=np.int64)
    zeros = np.zeros(len(ends), dtype=np.int64)
    return Findings(
        device=zeros,
        ts_ms=ts,
        what=zeros,
        condition=np.array([int(c) for _, c in ends], dtype=np.int64),
        known_ms=ts + round(known_after_h * H),
    )


def a_history(
    findings: Findings, replaced_h: tuple[float, ...], until_h: float = 200
) -> tuple[History, Rows]:
    hours = np.arange(1, int(until_h) + 1)
    none = Marks.of((), (), ())
    history = History(
        spec=SPEC,
        devices=("d",),
        frames=Frames.of_grid(hours * H, np.zeros((len(hours), 1)), np.zeros((len(hours), 1, 1))),
        events=none,
        replacements=Marks.of(
            [0] * len(replaced_h), [round(h * H) for h in replaced_h], [0] * len(replaced_h)
        ),
        findings=findings,
        installs=none,
        until_ms=round(until_h * H),
    )
    rows = Rows(
        device=np.zeros(len(hours), np.int64),
        ts_ms=hours * H,
        values=np.zeros((len(hours), SPEC.width), np.float32),
    )
    return history, rows


def told(history: History, rows: Rows, at_h: int) -> tuple[list[bool], list[bool]]:
    """Give at risk and event per interval for the row of one hour."""
    at_risk, event = intervals(outcomes(rows, history), HORIZONS)
    return at_risk[at_h - 1, 0].tolist(), event[at_h - 1, 0].tolist()


def test_a_failure_is_an_event_in_its_interval_and_ends_the_risk():
    history, rows = a_history(found((100, Found.FAILED)), (100,))
    assert told(history, rows, 90) == ([True, True, False], [False, True, False])


def test_a_failure_just_at_a_horizon_lies_within_it():
    history, rows = a_history(found((100, Found.FAILED)), (100,))
    assert told(history, rows, 76)[1] == [False, False, True]


def test_the_row_of_the_failure_itself_knows_nothing_of_it():
    history, rows = a_history(found((100, Found.FAILED)), (100,))
    assert told(history, rows, 100) == ([True] * 3, [False] * 3)


def test_a_part_found_degraded_keeps_the_label_that_the_order_took_from_it():
    history, rows = a_history(found((100, Found.DEGRADED)), (100,))
    assert told(history, rows, 90)[1] == [False, True, False]


@pytest.mark.parametrize("findings", [found((100, Found.NO_FAULT)), found()])
def test_a_preventive_replacement_is_censored_neither_failure_nor_success(findings):
    history, rows = a_history(findings, (100,))
    assert told(history, rows, 90) == ([True, False, False], [False] * 3)


def test_a_finding_that_was_not_yet_known_is_not_used():
    late = found((100, Found.FAILED), known_after_h=50)
    history, rows = a_history(late, (100,))
    assert told(history, rows, 90)[1] == [False, True, False]
    assert told(history.told_by(120 * H), rows, 90) == ([True, False, False], [False] * 3)


def test_a_failed_part_that_waits_for_its_replacement_is_no_sample():
    history, rows = a_history(found((100, Found.FAILED)), (110,))
    assert told(history, rows, 105) == ([False] * 3, [False] * 3)
    assert told(history, rows, 111)[0] == [True] * 3


def test_the_end_of_knowledge_cuts_failed_and_surviving_lives_alike():
    history, rows = a_history(found((195, Found.FAILED)), (195,))
    assert told(history, rows, 190) == ([True, False, False], [True, False, False])
    survived, rows = a_history(found(), ())
    assert told(survived, rows, 190) == ([True, False, False], [False] * 3)


def test_samples_of_one_failure_share_its_number():
    history, rows = a_history(found((50, Found.FAILED), (100, Found.FAILED)), (50, 100))
    number = outcomes(rows, history).episode[:, 0]
    assert len(set(number[:49].tolist())) == len(set(number[50:99].tolist())) == 1
    assert number[0] != number[60]
    assert (number[100:] == -1).all()


def many(count: int) -> tuple[History, Rows]:
    ends = [(10.0 * (i + 1), Found.FAILED) for i in range(count)]
    history, rows = a_history(found(*ends), tuple(h for h, _ in ends), 10.0 * count + 50)
    two = Rows(
        device=np.r_[rows.device, rows.device + 1],
        ts_ms=np.r_[rows.ts_ms, rows.ts_ms],
        values=np.r_[rows.values, rows.values],
    )
    return replace(history, devices=("d", "e")), two


@pytest.mark.parametrize("few", [False, True])
def test_a_slice_in_time_is_judged_on_what_follows_its_fit(few):
    history, rows = many(20)
    for part in later(rows, history, few=few):
        assert rows.ts_ms[part.fit].max() <= part.until_ms < rows.ts_ms[part.judge].min()


def test_slices_of_devices_share_none_between_fit_and_judgement():
    history, rows = many(20)
    parts = devices(rows, history, seed=1)
    for part in parts:
        assert not set(rows.device[part.fit]) & set(rows.device[part.judge])
    judged = np.concatenate([np.flatnonzero(p.judge) for p in parts])
    assert sorted(judged.tolist()) == list(range(len(rows)))
    assert HeldOut("devices") is HeldOut.DEVICES
