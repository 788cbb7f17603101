"""When the agent tries again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import policy
from edge_agent.messages import Load
from edge_agent.policy import BirthAction, BirthReason, IntakeAction, IntakeReason


def test_a_resend_waits_thirty_seconds_and_then_twice_as_long_each_time() -> None:
    assert [policy.resend_after_s(n) for n in range(1, 5)] == [30, 60, 120, 240]


@given(times=st.integers(1, 10_000))
def test_no_resend_waits_longer_than_a_quarter_of_an_hour(times: int) -> None:
    assert policy.FIRST_RESEND_S <= policy.resend_after_s(times) <= policy.LONGEST_RESEND_S


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_reconnecting_is_spread_over_half_of_a_bounded_delay(failures: int, chance: float) -> None:
    delay = policy.reconnect_after_s(failures, chance)
    whole = min(policy.LONGEST_RECONNECT_S, policy.FIRST_RECONNECT_S * 2.0 ** min(failures - 1, 16))

    assert whole / 2 <= delay <= whole


def test_a_birth_is_said_when_asked_for() -> None:
    decision = policy.decide_birth(known=True, said_s=10.0, now_s=11.0)

    assert decision.action is BirthAction.SAY
    assert decision.resend_in_s == 0


def test_a_birth_just_said_is_not_said_again_but_its_messages_soon_are() -> None:
    decision = policy.decide_birth(known=True, said_s=10.0, now_s=10.25)

    assert (decision.action, decision.reason) == (BirthAction.IGNORE, BirthReason.JUST_SAID)
    assert decision.resend_in_s == 0.75


def test_the_birth_of_a_boot_that_nobody_knows_is_not_said() -> None:
    decision = policy.decide_birth(known=False, said_s=None, now_s=0.0)

    assert (decision.action, decision.reason) == (BirthAction.IGNORE, BirthReason.UNKNOWN_BOOT)


@pytest.mark.parametrize(
    ("load", "max_unsettled", "action", "reason"),
    [
        (Load(), 10, IntakeAction.TAKE, IntakeReason.ROOM),
        (Load(unsettled=10), 10, IntakeAction.WAIT, IntakeReason.TOO_MUCH_UNSETTLED),
        (Load(fullness=0.5), 10, IntakeAction.WAIT, IntakeReason.OUTBOX_FILLING),
        (Load(uncommitted=4096), None, IntakeAction.WAIT, IntakeReason.DISK_BEHIND),
        (Load(unsettled=10**6, fullness=1.0), None, IntakeAction.TAKE, IntakeReason.ROOM),
    ],
)
def test_who_can_wait_is_made_to_and_who_cannot_only_for_the_disk(
    load: Load, max_unsettled: int | None, action: IntakeAction, reason: IntakeReason
) -> None:
    decision = policy.decide_intake(load, max_unsettled)

    assert (decision.action, decision.reason) == (action, reason)
