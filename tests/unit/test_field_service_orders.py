from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from field_service.ledger import Leg, Standing, Target, clocks, standing
from field_service.orders import (
    FOR_PEOPLE,
    TABLE,
    Action,
    Reason,
    allowed,
    feasible,
    following,
    move,
    moved,
)
from field_service.values import OVER, Ask, LedgerEvent, State, Strategy
from foremend.values import AsFound
from tests.field_orders import HOUR, OPTIONS, ORDER, START

FULL = Ask(reason="because", strategy=Strategy.ON_SITE, as_found=AsFound.DEGRADED)


@pytest.mark.parametrize(
    ("state", "action", "ask", "to", "reason"),
    [
        (State.OFFERED, Action.ACCEPT, Ask(), State.ACCEPTED, Reason.CONSENT_GIVEN),
        (State.ACCEPTED, Action.SHIP, Ask(), State.PARTS_PENDING, Reason.PARTS_SENT),
        (State.PARTS_PENDING, Action.START, Ask(), State.IN_PROGRESS, Reason.WORK_BEGUN),
        (State.IN_PROGRESS, Action.FIT, FULL, State.VERIFYING, Reason.PART_FITTED),
        (State.IN_PROGRESS, Action.FIT, Ask(), None, Reason.NEEDS_FINDING),
        (State.OFFERED, Action.FIT, FULL, None, Reason.NOT_FROM_THIS_STATE),
        (State.VERIFYING, Action.CLOSE, Ask(), State.CLOSED, Reason.RECOVERED),
        (State.VERIFYING, Action.REOPEN, Ask(), State.OFFERED, Reason.NOT_RECOVERED),
        (State.VERIFYING, Action.CANCEL, FULL, None, Reason.NOT_FROM_THIS_STATE),
        (State.OFFERED, Action.CHOOSE, FULL, State.OFFERED, Reason.OWNER_CHOSE),
        (State.OFFERED, Action.CHOOSE, Ask(), None, Reason.NEEDS_STRATEGY),
        (
            State.OFFERED,
            Action.CHOOSE,
            Ask(strategy=Strategy.TRADE_IN),
            None,
            Reason.STRATEGY_NOT_FEASIBLE,
        ),
        (
            State.OFFERED,
            Action.CHOOSE,
            Ask(strategy=Strategy.SWAP),
            None,
            Reason.STRATEGY_NOT_FEASIBLE,
        ),
        (State.ACCEPTED, Action.CANNOT_COMPLETE, Ask(), None, Reason.NEEDS_REASON),
        (State.ACCEPTED, Action.HOLD, Ask(reason="  "), None, Reason.NEEDS_REASON),
        (State.CLOSED, Action.ACCEPT, Ask(), None, Reason.ORDER_IS_OVER),
        (State.CANCELLED, Action.FIT, FULL, None, Reason.ORDER_IS_OVER),
    ],
)
def test_a_move_is_allowed_or_refused_with_its_reason(
    state: State, action: Action, ask: Ask, to: State | None, reason: Reason
) -> None:
    decision = move(replace(ORDER, state=state), action, ask)
    assert (decision.to, decision.reason) == (to, reason)


def test_nobody_accepts_an_order_for_which_nothing_is_feasible() -> None:
    decision = move(replace(ORDER, strategy=None), Action.ACCEPT, Ask())
    assert (decision.to, decision.reason) == (None, Reason.NEEDS_STRATEGY)


def test_an_order_on_hold_goes_back_to_where_it_was_held() -> None:
    order = replace(ORDER, state=State.PARTS_PENDING)
    held = moved(order, Action.HOLD, move(order, Action.HOLD, FULL), START + HOUR)
    assert (held.state, held.held_from) == (State.ON_HOLD, State.PARTS_PENDING)
    again = moved(held, Action.RESUME, move(held, Action.RESUME, Ask()), START + 2 * HOUR)
    assert (again.state, again.held_from) == (State.PARTS_PENDING, None)


def test_a_finding_may_follow_what_the_device_said_but_only_once() -> None:
    seen = replace(ORDER, state=State.VERIFYING)
    assert move(seen, Action.FIT, FULL).to is State.VERIFYING
    told = replace(seen, as_found=AsFound.DEGRADED)
    assert move(told, Action.FIT, FULL).reason is Reason.FINDING_STANDS


def test_a_refusal_moves_nothing() -> None:
    refused = move(ORDER, Action.FIT, FULL)
    with pytest.raises(ValueError, match="moves nothing"):
        moved(ORDER, Action.FIT, refused, START)


def test_after_what_did_not_fix_it_the_next_option_is_offered() -> None:
    assert following(ORDER) is Strategy.ON_SITE
    assert following(replace(ORDER, strategy=Strategy.ON_SITE)) is Strategy.SELF_REPAIR
    assert following(replace(ORDER, options=OPTIONS[:1])) is Strategy.SELF_REPAIR
    assert feasible(ORDER) == (Strategy.SELF_REPAIR, Strategy.ON_SITE)


def test_what_is_over_allows_nothing_and_people_never_see_policys_moves() -> None:
    assert allowed(replace(ORDER, state=State.CLOSED)) == ()
    for state in State:
        assert set(allowed(replace(ORDER, state=state))) <= FOR_PEOPLE


walks = st.lists(st.tuples(st.sampled_from(Action), st.booleans(), st.floats(0, 50)), max_size=40)


@given(walks)
def test_whatever_is_asked_an_order_stays_on_its_legal_ways(
    walk: list[tuple[Action, bool, float]],
) -> None:
    order, now = replace(ORDER, state=State.PROPOSED), START
    for action, full, hours in walk:
        now += hours * HOUR
        decision = move(order, action, FULL if full else Ask())
        if decision.to is None:
            continue
        sources, to, _ = TABLE[action]
        after = moved(order, action, decision, now)
        assert order.state in sources
        assert order.state not in OVER
        assert after.state is (to or order.held_from)
        assert after.version == order.version + 1
        assert after.state_at >= order.state_at
        assert (after.held_from is not None) == (after.state is State.ON_HOLD)
        order = after


@given(st.sampled_from(Action), st.sampled_from(State))
def test_what_is_allowed_is_what_the_table_says(action: Action, state: State) -> None:
    order = replace(ORDER, state=state, held_from=State.ACCEPTED)
    legal = state in TABLE[action][0]
    assert (move(order, action, FULL).to is not None) == legal


def ledger(*stays: tuple[float, State]) -> list[LedgerEvent]:
    """Give a ledger that enters each state at its hour."""
    before: State | None = None
    events = []
    for hours, state in stays:
        events.append(
            LedgerEvent(
                at=START + hours * HOUR,
                actor="a",
                action="x",
                from_state=before,
                to_state=state,
                reason="r",
            )
        )
        before = state
    return events


WHOLE = ledger(
    (0, State.PROPOSED),
    (0, State.OFFERED),
    (2, State.ACCEPTED),
    (3, State.ON_HOLD),
    (13, State.ACCEPTED),
    (14, State.PARTS_PENDING),
    (19, State.IN_PROGRESS),
    (20, State.VERIFYING),
    (26, State.CLOSED),
)


def test_the_legs_of_a_closed_order_add_up_without_what_was_held() -> None:
    seen = clocks(WHOLE, START + 500 * HOUR)
    assert seen.legs == {
        Leg.DECISION: 2 * HOUR,
        Leg.LOGISTICS: 7 * HOUR,
        Leg.WORK: HOUR,
        Leg.VERIFICATION: 6 * HOUR,
        Leg.STUCK: 0 * HOUR,
    }
    assert (seen.held, seen.turnaround, seen.over) == (10 * HOUR, 16 * HOUR, True)


@pytest.mark.parametrize(
    ("moves", "now", "within", "stands"),
    [
        (1, 1, 2, Standing.RUNNING),
        (1, 3, 2, Standing.BREACHED),
        (3, 3, 2, Standing.MET),
        (3, 99, 1, Standing.BREACHED),
        (9, 99, 2, Standing.MET),
    ],
)
def test_how_a_promise_to_decide_stands(
    moves: int, now: int, within: int, stands: Standing
) -> None:
    target = Target(leg=Leg.DECISION, within=within * HOUR)
    assert standing(target, WHOLE[:moves], START + now * HOUR) is stands


def test_an_order_on_hold_neither_meets_nor_breaks_its_promise() -> None:
    held = WHOLE[:4]
    target = Target(leg=Leg.LOGISTICS, within=2 * HOUR)
    assert standing(target, held, START + 900 * HOUR) is Standing.RUNNING
    assert clocks(held, START + 8 * HOUR).held == 5 * HOUR


def test_an_empty_ledger_has_run_for_no_time() -> None:
    assert clocks([], START).turnaround == timedelta(0)


@given(
    st.lists(st.tuples(st.floats(0, 50), st.sampled_from(State)), min_size=1, max_size=30),
    st.floats(0, 1000),
)
def test_legs_and_hold_add_up_to_the_time_that_passed(
    steps: list[tuple[float, State]], later: float
) -> None:
    at, stays = 0.0, []
    for step, state in steps:
        at += step
        stays.append((at, state))
        if state in OVER:
            break
    events = ledger(*stays)
    now = events[-1].at + later * HOUR
    seen = clocks(events, now)
    end = events[-1].at if seen.over else now
    assert seen.turnaround + seen.held == end - events[0].at
    assert seen.turnaround == sum(seen.legs.values(), timedelta(0))
