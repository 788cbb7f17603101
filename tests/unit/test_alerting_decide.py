from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.batch import handle, look_at_clock
from alerting.decide import POLICIES, decide, mute, tick
from alerting.memory import MemoryAlerts
from alerting.values import (
    Action,
    AlertKind,
    AlertState,
    Context,
    Evaluation,
    Group,
    Life,
    Mute,
    Reason,
    Silence,
    Word,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
FAILURE = Group(
    timeline="sim:t",
    device_id=1,
    kind=AlertKind.FAILURE,
    component="hotend_fan",
    failure_mode="fan_wear",
)
INSPECTION = Group(timeline="sim:t", device_id=1, kind=AlertKind.INSPECTION)
PLAIN = Context(device="printer-07", tenant="demo", region="europe")


def evaluation(
    hours: float, probability: float = 0.6, *, group: Group = FAILURE, word: Word | None = None
) -> Evaluation:
    return Evaluation(
        row_id=int(hours * 1000) + 1,
        tenant="demo",
        group=group,
        ts=START + hours * HOUR,
        word=word or (Word.ABOVE if probability >= 0.5 else Word.BELOW),
        probability=probability,
        threshold=0.5,
        horizon_h=24.0,
    )


def open_alert(life: Life, *, hits: int = 0, misses: int = 0) -> AlertState:
    return AlertState(
        life=life,
        opened_at=START,
        updated_at=START,
        hits=hits,
        misses=misses,
        below_since=START if misses else None,
        fired_at=None if life is Life.PENDING else START,
    )


@pytest.mark.parametrize(
    ("state", "seen", "action", "reason"),
    [
        (None, evaluation(1), Action.WAIT, Reason.FIRST_ABOVE),
        (None, evaluation(1, 0.76), Action.FIRE, Reason.CERTAIN),
        (None, evaluation(1, 0.2), Action.IGNORE, Reason.NOTHING_OPEN),
        (open_alert(Life.PENDING, hits=1), evaluation(1), Action.FIRE, Reason.CONFIRMED),
        (
            open_alert(Life.PENDING, hits=1),
            evaluation(1, 0.2),
            Action.RESOLVE,
            Reason.NEVER_CONFIRMED,
        ),
        (open_alert(Life.FIRING), evaluation(1), Action.KEEP, Reason.STILL_ABOVE),
        (open_alert(Life.FIRING), evaluation(1, 0.2), Action.KEEP, Reason.FIRST_BELOW),
        (open_alert(Life.FIRING, misses=1), evaluation(1, 0.2), Action.KEEP, Reason.STILL_BELOW),
        (
            open_alert(Life.FIRING, misses=2),
            evaluation(1, 0.2),
            Action.RESOLVE,
            Reason.STAYED_BELOW,
        ),
        (open_alert(Life.ACKNOWLEDGED), evaluation(1), Action.KEEP, Reason.STILL_ABOVE),
        (open_alert(Life.FIRING), evaluation(-1), Action.IGNORE, Reason.OUT_OF_ORDER),
        (
            None,
            evaluation(1, group=INSPECTION, word=Word.DRIFT),
            Action.IGNORE,
            Reason.DRIFT_ALONE,
        ),
        (None, evaluation(1, group=INSPECTION), Action.FIRE, Reason.CONFIRMED),
    ],
)
def test_an_evaluation_is_decided_on_with_its_reason(
    state: AlertState | None, seen: Evaluation, action: Action, reason: Reason
) -> None:
    decision = decide(state, seen, PLAIN, seen.ts)
    assert (decision.action, decision.reason) == (action, reason)


def test_time_below_the_threshold_resolves_though_scoring_says_no_more() -> None:
    state = open_alert(Life.FIRING, misses=1)
    clear_for = POLICIES[AlertKind.FAILURE].clear_for
    before = tick(state, FAILURE, PLAIN, START + clear_for - timedelta(seconds=1))
    assert (before.action, before.reason) == (Action.IGNORE, Reason.NOTHING_DUE)
    after = tick(state, FAILURE, PLAIN, START + clear_for)
    assert (after.action, after.reason) == (Action.RESOLVE, Reason.STAYED_BELOW)


def test_an_alert_of_which_nobody_speaks_any_more_is_forgotten() -> None:
    decision = tick(open_alert(Life.FIRING), FAILURE, PLAIN, START + 48 * HOUR)
    assert (decision.action, decision.reason) == (Action.RESOLVE, Reason.NO_WORD)


@pytest.mark.parametrize(
    ("group", "context", "muted_by"),
    [
        (FAILURE, PLAIN, None),
        (FAILURE, replace(PLAIN, open_work_order=True), Mute.OPEN_WORK_ORDER),
        (FAILURE, replace(PLAIN, device_online=False), None),
        (FAILURE, replace(PLAIN, failure_alert=True), None),
        (INSPECTION, replace(PLAIN, device_online=False), Mute.DEVICE_OFFLINE),
        (INSPECTION, replace(PLAIN, failure_alert=True), Mute.EXPLAINED_BY_FAILURE),
        (INSPECTION, replace(PLAIN, open_work_order=True), None),
        (
            FAILURE,
            replace(
                PLAIN,
                open_work_order=True,
                silences=(
                    Silence(
                        matcher={"region": "europe"},
                        starts_at=START - HOUR,
                        ends_at=START + HOUR,
                    ),
                ),
            ),
            Mute.SILENCED,
        ),
    ],
)
def test_what_mutes_an_alert(group: Group, context: Context, muted_by: Mute | None) -> None:
    assert mute(group, context, START) is muted_by


def world(*evaluations: Evaluation, context: Context = PLAIN) -> MemoryAlerts:
    groups = {e.group for e in evaluations} | {FAILURE, INSPECTION}
    return MemoryAlerts(
        contexts=dict.fromkeys(groups, context),
        clocks={"sim:t": START},
        waiting=list(evaluations),
    )


def test_two_in_a_row_fire_one_alert_that_is_told_once() -> None:
    store = world(evaluation(1), evaluation(2), evaluation(3), evaluation(4))
    handle(store)
    ((_, alert),) = store.alerts
    assert (alert.life, alert.fired_at) == (Life.FIRING, START + 2 * HOUR)
    assert [n.event for n in store.told.values()] == ["alert.fired"]


def test_a_word_below_between_two_above_starts_the_count_anew() -> None:
    store = world(evaluation(1), evaluation(2, 0.2), evaluation(3))
    handle(store)
    assert [a.life for _, a in store.alerts] == [Life.RESOLVED, Life.PENDING]
    assert not store.told


def test_a_later_episode_is_an_alert_of_its_own_however_late_it_is_looked_at() -> None:
    store = world(evaluation(1), evaluation(2), evaluation(3, 0.1), evaluation(20), evaluation(21))
    handle(store)
    lives = [(a.life, a.fired_at) for _, a in store.alerts]
    assert lives == [(Life.RESOLVED, START + 2 * HOUR), (Life.FIRING, START + 21 * HOUR)]


def test_a_forecast_whose_horizon_passed_is_made_anew_while_the_risk_goes_on() -> None:
    store = world(*(evaluation(h) for h in range(1, 30)))
    handle(store)
    lives = [(a.life, a.fired_at) for _, a in store.alerts]
    assert lives == [(Life.RESOLVED, START + 2 * HOUR), (Life.FIRING, START + 27 * HOUR)]
    assert store.changes[-3].decision.reason is Reason.RENEWED


def test_an_inspection_is_quiet_while_a_failure_of_the_same_device_is_foreseen() -> None:
    store = world(evaluation(1), evaluation(2), evaluation(2.5, group=INSPECTION))
    handle(store)
    (inspection,) = [a for g, a in store.alerts if g == INSPECTION]
    assert (inspection.life, inspection.muted_by) == (Life.FIRING, Mute.EXPLAINED_BY_FAILURE)
    assert [n.payload["kind"] for n in store.told.values()] == ["failure"]


def test_what_still_fires_when_a_silence_ends_is_told_then() -> None:
    silence = Silence(matcher={"device": "printer-07"}, starts_at=START, ends_at=START + 9 * HOUR)
    store = world(evaluation(1), evaluation(2), context=replace(PLAIN, silences=(silence,)))
    handle(store)
    assert not store.told
    store.clocks["sim:t"] = START + 9 * HOUR
    assert look_at_clock(store) == 1
    assert [n.event for n in store.told.values()] == ["alert.fired"]
    assert store.changes[-1].decision.reason is Reason.MUTE_ENDED
    assert look_at_clock(store) == 0


words = st.lists(
    st.tuples(
        st.sampled_from([FAILURE, INSPECTION, replace(FAILURE, device_id=2)]),
        st.floats(0, 1),
        st.sampled_from([0.5, 1.0, 4.0, 30.0]),
    ),
    max_size=40,
)


def history(drawn: list[tuple[Group, float, float]]) -> list[Evaluation]:
    made, hours = [], 0.0
    for i, (group, probability, step) in enumerate(drawn):
        hours += step
        made.append(replace(evaluation(hours, probability, group=group), row_id=i))
    # Rows are taken predictions first; a law about order needs one order.
    return sorted(made, key=lambda e: (e.group.kind is not AlertKind.FAILURE, e.row_id))


@given(words, st.integers(1, 7))
def test_batch_boundaries_do_not_matter(drawn: list[tuple[Group, float, float]], size: int) -> None:
    whole, pieces = world(*history(drawn)), world(*history(drawn))
    handle(whole, 1000)
    while handle(pieces, size):
        pass
    assert pieces.alerts == whole.alerts
    assert pieces.told == whole.told


@given(words)
def test_a_group_never_has_two_open_alerts_and_none_fires_unasked(
    drawn: list[tuple[Group, float, float]],
) -> None:
    store = world(*history(drawn))
    handle(store, 1000)
    still_open = [g for g, a in store.alerts if a.life is not Life.RESOLVED]
    assert len(still_open) == len(set(still_open))
    for change in store.changes:
        if change.decision.action is Action.FIRE:
            assert change.evaluation is not None
            assert change.evaluation.word is Word.ABOVE
            certain = change.evaluation.probability or 0
            single = change.group.kind is AlertKind.INSPECTION
            renewed = change.decision.reason is Reason.RENEWED
            assert change.after.hits >= 2 or certain >= 0.75 or single or renewed


@given(words)
def test_times_of_an_alert_stand_in_their_order(
    drawn: list[tuple[Group, float, float]],
) -> None:
    store = world(*history(drawn))
    handle(store, 1000)
    for _, alert in store.alerts:
        fired, resolved = alert.fired_at, alert.resolved_at
        assert fired is None or alert.opened_at <= fired
        assert resolved is None or (fired or alert.opened_at) <= resolved
        assert (resolved is not None) == (alert.life is Life.RESOLVED)
