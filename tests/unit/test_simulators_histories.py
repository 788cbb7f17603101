from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from foremend.values import PART_REPLACED, AsFound, Phase
from simulators.histories import History, histories


@pytest.fixture(scope="module")
def pair() -> list[History]:
    return list(histories(5, printers=24, machines=12, days=8.0, step_s=600.0))


def test_there_is_one_history_of_each_family(pair: list[History]) -> None:
    assert [h.family for h in pair] == ["fdm_printer", "rotating_machine"]
    for history in pair:
        t, n = history.phase.shape
        assert history.values.shape == (t, n, len(history.channels))
        assert history.ts.shape == (t,)
        assert (np.diff(history.ts) == 600_000).all()
        assert len(history.names) == len(history.components) == n


def test_excavators_are_simulated_where_they_are_asked_for() -> None:
    (history,) = histories(5, printers=0, machines=0, excavators=6, days=6.0, step_s=600.0)

    assert history.family == "hydraulic_excavator"
    assert {t.failure_mode for t in history.truth}
    assert Phase.STOPPED in set(history.phase.ravel().tolist())


def test_histories_hold_failures_repairs_and_faults_still_open(pair: list[History]) -> None:
    truth = [t for h in pair for t in h.truth]

    assert 0.5 < sum(t.failed_ms is not None for t in truth) / 36 < 3.0
    assert any(t.repaired_ms is None and t.failed_ms is None for t in truth)
    codes = Counter(e.code for h in pair for e in h.events)
    assert codes[PART_REPLACED] > sum(t.repaired_ms is not None for t in truth)


def test_every_failure_is_repaired_four_to_twenty_four_hours_later(pair: list[History]) -> None:
    waits_h = [
        (t.repaired_ms - t.failed_ms) / 3_600_000
        for h in pair
        for t in h.truth
        if t.failed_ms is not None and t.repaired_ms is not None
    ]

    assert len(waits_h) > 10
    assert min(waits_h) >= 4.0
    assert max(waits_h) < 24.5


def test_a_device_is_down_from_failure_to_repair(pair: list[History]) -> None:
    for history in pair:
        for truth in (t for t in history.truth if t.failed_ms and t.repaired_ms):
            at = history.names.index(truth.device)
            span = (history.ts >= (truth.failed_ms or 0)) & (history.ts <= (truth.repaired_ms or 0))
            assert set(history.phase[span, at]) <= {Phase.ERROR, Phase.STOPPED}


def test_every_replacement_has_its_finding(pair: list[History]) -> None:
    for history in pair:
        told = Counter(
            (history.names[e.device_index], e.component, e.ts_ms)
            for e in history.events
            if e.code == PART_REPLACED
        )
        last_ms = int(history.ts[-1])
        found = Counter(
            (f.device, f.component, f.ts_ms) for f in history.findings if f.ts_ms < last_ms
        )
        assert told == found


def test_findings_agree_with_the_truth(pair: list[History]) -> None:
    for history in pair:
        failed = {(t.device, t.component, t.repaired_ms) for t in history.truth if t.failed_ms}
        found = {
            (f.device, f.component, f.ts_ms)
            for f in history.findings
            if f.as_found is AsFound.FAILED
        }
        assert found == {t for t in failed if t[2] is not None}
    assert {AsFound.FAILED, AsFound.NO_FAULT_FOUND} <= {
        f.as_found for h in pair for f in h.findings
    }


def test_events_come_in_order_of_time(pair: list[History]) -> None:
    for history in pair:
        times = [e.ts_ms for e in history.events]
        assert times == sorted(times)


def test_the_same_seed_gives_the_same_history_and_another_does_not() -> None:
    def only(seed: int) -> History:
        return next(histories(seed, printers=3, machines=0, days=1.0, step_s=600.0))

    one, same, other = only(1), only(1), only(2)

    assert one.values.tobytes() == same.values.tobytes()
    assert one.components == same.components
    assert one.values.tobytes() != other.values.tobytes()


def test_progress_is_told_up_to_the_end() -> None:
    told: list[tuple[str, int, int]] = []

    list(
        histories(
            1,
            printers=1,
            machines=1,
            days=0.5,
            step_s=600.0,
            progress=lambda *at: told.append(at),
        )
    )

    assert told[-1] == ("rotating_machine", 72, 72)
    assert next(t for t in told if t[1] == t[2])[0] == "fdm_printer"
