"""Services are started again with growing delays, and given up where that is hopeless."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.restarts import (
    Action,
    Decision,
    Phase,
    Reason,
    Seen,
    State,
    Terms,
    advance,
    decide,
    delay,
)

VITAL, OPTIONAL, ONCE = Terms(), Terms(vital=False), Terms(once=True)
ALIVE, READY = Seen(alive=True), Seen(alive=True, ready=True)
DEAD, DONE = Seen(status=1), Seen(status=0)


def at(phase: Phase, *, since: float = 0.0, deaths: int = 0, retry_at: float = 0.0) -> State:
    return State(phase=phase, since=since, deaths=deaths, retry_at=retry_at)


@pytest.mark.parametrize(
    ("state", "seen", "now", "terms", "action", "reason"),
    [
        (at(Phase.DOWN), Seen(), 0, VITAL, Action.START, Reason.FIRST_START),
        (at(Phase.DOWN, deaths=1, retry_at=5), DEAD, 4.9, VITAL, Action.WAIT, Reason.BACKING_OFF),
        (at(Phase.DOWN, deaths=1, retry_at=5), DEAD, 5, VITAL, Action.START, Reason.BACKED_OFF),
        (at(Phase.STARTING), ALIVE, 59, VITAL, Action.WAIT, Reason.COMING_UP),
        (at(Phase.STARTING), READY, 59, VITAL, Action.ANNOUNCE, Reason.CAME_UP),
        (at(Phase.STARTING), ALIVE, 60, VITAL, Action.GIVE_UP, Reason.NEVER_READY),
        (at(Phase.STARTING), ALIVE, 60, OPTIONAL, Action.KILL, Reason.NEVER_READY),
        (at(Phase.STARTING), DEAD, 1, VITAL, Action.RETRY, Reason.DIED_STARTING),
        (at(Phase.STARTING, deaths=4), DEAD, 1, VITAL, Action.GIVE_UP, Reason.KEEPS_DYING),
        (at(Phase.STARTING, deaths=99), DEAD, 1, OPTIONAL, Action.RETRY, Reason.DIED_STARTING),
        (at(Phase.READY), ALIVE, 1e6, VITAL, Action.WAIT, Reason.HEALTHY),
        (at(Phase.READY), DEAD, 1, VITAL, Action.RETRY, Reason.DIED),
        (at(Phase.READY, deaths=4), DEAD, 29, VITAL, Action.GIVE_UP, Reason.KEEPS_DYING),
        (at(Phase.READY, deaths=4), DEAD, 30, VITAL, Action.RETRY, Reason.DIED),
        (at(Phase.READY), DONE, 1, VITAL, Action.RETRY, Reason.DIED),
        (at(Phase.READY), DONE, 1, ONCE, Action.FINISH, Reason.WORK_DONE),
        (at(Phase.READY), DEAD, 1, ONCE, Action.RETRY, Reason.DIED),
        (at(Phase.DONE), DONE, 9, ONCE, Action.WAIT, Reason.WORK_DONE),
    ],
)
def test_what_is_done_about_a_service(
    state: State, seen: Seen, now: float, terms: Terms, action: Action, reason: Reason
) -> None:
    assert decide(state, seen, now, terms) == Decision(action=action, reason=reason)


def test_a_death_is_forgotten_only_after_a_stable_time() -> None:
    retry = Decision(action=Action.RETRY, reason=Reason.DIED)
    early = advance(at(Phase.READY, deaths=3), retry, 29.9, VITAL, 0.0)
    late = advance(at(Phase.READY, deaths=3), retry, 30.0, VITAL, 0.0)

    assert (early.deaths, late.deaths) == (4, 1)
    assert early.phase is late.phase is Phase.DOWN


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_nothing_and_never_for_ever(deaths: int, jitter: float) -> None:
    assert VITAL.first_delay / 2 <= delay(deaths, jitter, VITAL) <= VITAL.longest_delay


def test_delays_double_until_they_are_long_enough() -> None:
    delays = [delay(deaths, 0.5, VITAL) for deaths in range(1, 20)]

    assert all(later in (earlier * 2, delays[-1]) for earlier, later in pairwise(delays))


@given(st.lists(st.sampled_from([ALIVE, READY, DEAD, DONE]), max_size=60))
def test_a_vital_service_that_is_never_stable_is_given_up_within_its_deaths(
    looks: list[Seen],
) -> None:
    state, deaths = State(), 0
    for now, seen in enumerate(looks):
        decision = decide(state, seen, now / 10, VITAL)
        if decision.action is Action.GIVE_UP:
            assert deaths == VITAL.deaths - 1
            return
        deaths += decision.action is Action.RETRY
        state = advance(state, decision, now / 10, VITAL, 0.0)
    assert deaths < VITAL.deaths


NEEDY = Terms(needs=("postgres",), deaths=2)


@pytest.mark.parametrize(
    ("state", "seen", "action", "reason"),
    [
        (at(Phase.DOWN), Seen(needs_met=False), Action.WAIT, Reason.NEED_DOWN),
        (at(Phase.STARTING), Seen(alive=True, needs_met=False), Action.WAIT, Reason.NEED_DOWN),
        (at(Phase.STARTING, deaths=1), Seen(needs_met=False), Action.RETRY, Reason.NEED_DIED),
        (
            at(Phase.READY, deaths=1),
            Seen(status=1, needs_met=False),
            Action.RETRY,
            Reason.NEED_DIED,
        ),
        (at(Phase.READY), Seen(alive=True, needs_met=False), Action.WAIT, Reason.HEALTHY),
    ],
)
def test_a_service_is_neither_started_nor_blamed_while_what_it_needs_is_away(
    state: State, seen: Seen, action: Action, reason: Reason
) -> None:
    assert decide(state, seen, 500.0, NEEDY) == Decision(action=action, reason=reason)


def test_a_death_with_what_it_needs_is_not_counted() -> None:
    blameless = Decision(action=Action.RETRY, reason=Reason.NEED_DIED)
    after = advance(at(Phase.READY, deaths=1), blameless, 500.0, NEEDY, 0.5)

    assert (after.phase, after.deaths) == (Phase.DOWN, 1)
    assert 500.0 < after.retry_at < 501.0


def test_the_time_to_come_up_begins_when_it_can() -> None:
    held = Decision(action=Action.WAIT, reason=Reason.NEED_DOWN)
    after = advance(at(Phase.STARTING, since=0.0), held, 500.0, NEEDY, 0.5)

    assert decide(after, ALIVE, 520.0, NEEDY).reason is Reason.COMING_UP
