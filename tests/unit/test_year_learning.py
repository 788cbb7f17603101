"""When a year learns, what it adopts, and that no truth is in what it learns from."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import stack.year
from models.features import Rows
from models.history import Found
from simulators.fleets import MachineFleet
from simulators.steps import FaultPlan, ScheduledFault
from stack.year.learning import Reason, Score, adopted, due
from stack.year.record import Known, Record, joined
from stack.year.terms import STEP_MS, Terms
from stack.year.walk import ground, walk

HERE = Path(stack.year.__path__[0])
TRUTHS = {"truth", "failed", "remaining_h", "cured", "onset_ms", "due_ms"}
"""What a fleet tells of its faults, and the fields in which it does."""


@pytest.mark.parametrize(
    "module", ["log", "record", "sightings", "alerts", "learning", "foremend", "site"]
)
def test_what_scores_and_learns_never_asks_a_fleet_for_its_truth(module) -> None:
    tree = ast.parse((HERE / f"{module}.py").read_text("utf-8"))
    asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert not (asked & TRUTHS)
    assert "Truth" not in named


def test_the_same_look_finds_those_that_may_ask() -> None:
    tree = ast.parse((HERE / "walk.py").read_text("utf-8"))
    assert "truth" in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_training_waits_until_twice_as_much_is_known() -> None:
    assert (due(39, 20).yes, due(39, 20).reason) == (False, Reason.LITTLE_NEW)
    assert (due(40, 20).yes, due(40, 20).reason) == (True, Reason.ENOUGH_NEW)


def test_a_newcomer_is_adopted_only_if_it_is_no_worse() -> None:
    good, bad = Score(precision=0.8, recall=0.9), Score(precision=0.8, recall=0.5)
    assert adopted(bad, None).yes
    assert adopted(good, bad).yes
    assert adopted(good, good).yes
    assert (adopted(bad, good).yes, adopted(bad, good).reason) == (False, Reason.WORSE)


def test_a_model_that_opens_no_order_is_worth_nothing() -> None:
    assert Score(precision=0.0, recall=0.0).worth == 0.0


def recorded() -> tuple[Record, MachineFleet, int]:
    fault = ScheduledFault(device="m1", component="filter", onset_h=10.0, hours_to_failure=40.0)
    fleet = MachineFleet(
        names=("m1", "m2"),
        seed=5,
        step_s=3600.0,
        plan=FaultPlan(random_from_h=None, scheduled=(fault,)),
    )
    on = ground(fleet)
    record = Record(on)
    walk(on, Terms(window_min=60, days=6), each=record.take)
    (truth,) = fleet.truth()
    return record, fleet, truth.failed_ms or 0


def test_a_finding_is_a_label_dated_when_the_device_stopped() -> None:
    record, fleet, failed_ms = recorded()
    history = record.known(fleet.now_ms).history
    findings = history.findings
    assert record.faults == 1
    assert findings.ts_ms.tolist() == [failed_ms]
    assert findings.condition.tolist() == [Found.FAILED]
    assert findings.known_ms[0] > failed_ms
    assert [history.spec.components[w] for w in findings.what] == ["filter"]
    assert len(history.replacements) == 1


def test_rows_come_once_a_step_and_every_second_is_kept() -> None:
    record, fleet, _ = recorded()
    rows = record.known(fleet.now_ms).rows
    for device in range(2):
        assert set(np.diff(rows.ts_ms[rows.device == device])) == {2 * STEP_MS}


def test_devices_that_were_watched_before_leave_without_a_word() -> None:
    record, fleet, _ = recorded()
    known = record.known(fleet.now_ms)
    blank = Known(rows=Rows.joined([], known.history.spec.width), history=known.history)
    both = joined(known, blank)
    gone = both.history.replacements.ts_ms == known.history.until_ms
    assert gone.sum() >= len(known.history.devices) * len(known.history.spec.components)
    assert both.history.devices[:2] == ("pilot-m1", "pilot-m2")
    assert both.history.findings.device.tolist() == [0, 2]
