"""Alerts of faults that devices tell themselves: when they open, join, stay quiet and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.batch import handle, look_at_clock
from alerting.decide import POLICIES, decide, mute, tick
from alerting.memory import MemoryAlerts
from alerting.rows import evaluation_of_event
from alerting.values import (
    Action,
    AlertKind,
    AlertState,
    Context,
    Evaluation,
    Life,
    Mute,
    Reason,
    Silence,
)
from api import evidence
from foremend.values import cleared

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
MESSAGE = "Heater extruder not heating at expected rate"
POLICY = POLICIES[AlertKind.FAULT]
PLAIN = Context(device="printer-07", tenant="demo", region="europe")
FIRING = AlertState(life=Life.FIRING, opened_at=START, updated_at=START, hits=1, fired_at=START)


def told(hours: float, **changes: object) -> Evaluation:
    row = {
        "seq": int(hours * 1000),
        "boot_id": 3,
        "tenant": "demo",
        "timeline": "live",
        "device_id": 1,
        "component": "hotend_heater",
        "code": "heater_not_heating",
        "ts": START + hours * HOUR,
        "details": {"message": MESSAGE},
    }
    return evaluation_of_event(row | changes)


FAULT = told(0).group


def world(*evaluations: Evaluation, context: Context = PLAIN) -> MemoryAlerts:
    return MemoryAlerts(
        contexts=dict.fromkeys((e.group for e in evaluations), context),
        clocks={"live": START},
        waiting=list(evaluations),
    )


def heard(store: MemoryAlerts) -> list[str]:
    return [notice.event for notice in store.told.values()]


def test_the_first_word_of_a_device_about_itself_fires() -> None:
    decision = decide(None, told(1), PLAIN, START + HOUR)
    assert (decision.action, decision.reason) == (Action.FIRE, Reason.TOLD)


@pytest.mark.parametrize("life", [Life.FIRING, Life.ACKNOWLEDGED])
def test_the_same_word_again_joins_the_open_alert(life: Life) -> None:
    decision = decide(replace(FIRING, life=life), told(1), PLAIN, START + HOUR)
    assert (decision.action, decision.reason) == (Action.KEEP, Reason.TOLD_AGAIN)


def test_a_word_older_than_the_last_one_changes_nothing() -> None:
    decision = decide(FIRING, told(-1), PLAIN, START)
    assert (decision.action, decision.reason) == (Action.IGNORE, Reason.OUT_OF_ORDER)


@pytest.mark.parametrize(
    ("well_h", "now_h", "action"),
    [
        (2, 1, Action.IGNORE),  # said later than now
        (0, 1, Action.IGNORE),  # said no later than the fault itself
        (-1, 1, Action.IGNORE),
        (1, 1, Action.RESOLVE),
    ],
)
def test_a_device_that_said_since_that_it_is_well_ends_its_alert(
    well_h: float, now_h: float, action: Action
) -> None:
    context = replace(PLAIN, well_at=(START + well_h * HOUR,))
    decision = tick(FIRING, FAULT, context, START + now_h * HOUR)
    assert decision.action is action
    assert (decision.reason is Reason.WELL_AGAIN) is (action is Action.RESOLVE)


def test_a_device_that_stands_keeps_its_alert_and_one_that_runs_on_ends_it() -> None:
    store = world(told(1))
    handle(store)
    store.clocks["live"] = START + 100 * HOUR
    assert look_at_clock(store) == 0
    store.contexts[FAULT] = replace(PLAIN, running=True)
    assert look_at_clock(store) == 1
    store.clocks["live"] += POLICY.clear_for - timedelta(seconds=1)
    assert look_at_clock(store) == 0
    store.clocks["live"] += timedelta(seconds=1)
    assert look_at_clock(store) == 1
    assert [c.decision.reason for c in store.changes[1:]] == [Reason.RUNS_AGAIN, Reason.RAN_ON]


def test_a_repeat_begins_the_wait_for_an_end_anew() -> None:
    store = world(told(1))
    store.contexts[FAULT] = replace(PLAIN, running=True)
    handle(store)
    store.clocks["live"] = START + 2 * HOUR
    assert look_at_clock(store) == 1
    store.waiting = [told(10)]
    handle(store)
    store.contexts[FAULT] = PLAIN
    store.clocks["live"] = START + 2 * HOUR + POLICY.clear_for
    assert look_at_clock(store) == 0
    assert [a.life for _, a in store.alerts] == [Life.FIRING]


def test_what_is_told_after_the_device_was_well_is_an_alert_of_its_own() -> None:
    store = world(told(1), told(3), context=replace(PLAIN, well_at=(START + 2 * HOUR,)))
    handle(store)
    assert [a.life for _, a in store.alerts] == [Life.RESOLVED, Life.FIRING]
    assert heard(store) == ["alert.fired", "alert.resolved", "alert.fired"]


@pytest.mark.parametrize(
    ("context", "muted_by"),
    [
        (PLAIN, None),
        (replace(PLAIN, device_online=False), None),
        (replace(PLAIN, failure_alert=True), None),
        (replace(PLAIN, open_work_order=True), Mute.OPEN_WORK_ORDER),
        (
            replace(
                PLAIN,
                silences=(
                    Silence(
                        matcher={"failure_mode": "heater_not_heating"},
                        starts_at=START,
                        ends_at=START + HOUR,
                    ),
                ),
            ),
            Mute.SILENCED,
        ),
    ],
)
def test_what_mutes_a_fault(context: Context, muted_by: Mute | None) -> None:
    assert mute(FAULT, context, START) is muted_by


def test_the_echo_of_a_failure_that_an_order_sees_to_is_kept_and_makes_no_noise() -> None:
    store = world(told(1), context=replace(PLAIN, open_work_order=True))
    handle(store)
    store.contexts[FAULT] = replace(PLAIN, open_work_order=True, well_at=(START + 2 * HOUR,))
    store.clocks["live"] = START + 2 * HOUR
    look_at_clock(store)
    assert [a.life for _, a in store.alerts] == [Life.RESOLVED]
    assert heard(store) == []


def test_the_end_of_a_fault_that_was_told_is_told_though_an_order_was_opened_meanwhile() -> None:
    store = world(told(1))
    handle(store)
    store.contexts[FAULT] = replace(PLAIN, open_work_order=True)
    store.clocks["live"] = START + 2 * HOUR
    look_at_clock(store)
    store.contexts[FAULT] = replace(PLAIN, open_work_order=True, well_at=(START + 3 * HOUR,))
    store.clocks["live"] = START + 3 * HOUR
    look_at_clock(store)
    assert heard(store) == ["alert.fired", "alert.resolved"]


def test_a_fault_that_outlasts_the_order_on_its_component_is_told_then() -> None:
    store = world(told(1), context=replace(PLAIN, open_work_order=True))
    handle(store)
    store.contexts[FAULT] = PLAIN
    look_at_clock(store)
    assert heard(store) == ["alert.fired"]


def test_a_notice_names_the_code_and_what_the_device_said() -> None:
    store = world(told(1))
    handle(store)
    (notice,) = store.told.values()
    assert notice.payload["kind"] == "fault"
    assert notice.payload["code"] == "heater_not_heating"
    assert notice.payload["component"] == "hotend_heater"
    assert notice.payload["failure_mode"] is None
    assert "probability" not in notice.payload
    assert evidence.headline(notice.payload["evidence"]) == MESSAGE


def test_two_codes_or_two_components_are_two_alerts() -> None:
    store = world(told(1), told(1, code="mcu_lost"), told(1, component=None))
    handle(store)
    assert len(store.alerts) == 3


def test_a_code_as_long_as_the_wire_takes_is_cut_for_its_end_as_sources_cut_it() -> None:
    assert cleared("x" * 256) == "x" * 248 + "_cleared"


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.floats(0, 60)), max_size=20),
    st.lists(st.floats(0, 60), max_size=6),
    st.integers(1, 5),
)
def test_batch_boundaries_do_not_matter(
    words: list[tuple[str, float]], well_h: list[float], size: int
) -> None:
    context = replace(PLAIN, well_at=tuple(START + h * HOUR for h in sorted(well_h)))
    spoken = [replace(told(h, code=code), row_id=i) for i, (code, h) in enumerate(words)]
    whole, pieces = world(*spoken, context=context), world(*spoken, context=context)
    handle(whole, 1000)
    while handle(pieces, size):
        pass
    assert pieces.alerts == whole.alerts
    assert pieces.told == whole.told
    still_open = [g for g, a in whole.alerts if a.life is not Life.RESOLVED]
    assert len(still_open) == len(set(still_open))
