from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.silences import active, matches
from alerting.values import AlertKind, Context, Group, Silence

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
GROUP = Group(
    timeline="live",
    device_id=1,
    kind=AlertKind.FAILURE,
    component="nozzle",
    failure_mode="nozzle_clog",
)
CONTEXT = Context(device="printer-01", tenant="demo", region="china")


def silence(*, weekly: bool = False, **matcher: str) -> Silence:
    return Silence(matcher=matcher, starts_at=START, ends_at=START + 2 * HOUR, weekly=weekly)


@pytest.mark.parametrize(
    ("matcher", "covers"),
    [
        ({"device": "printer-01"}, True),
        ({"device": "printer-01", "component": "nozzle"}, True),
        ({"device": "printer-01", "component": "psu"}, False),
        ({"region": "europe"}, False),
        ({"colour": "red"}, False),
        ({}, False),
    ],
)
def test_every_key_of_a_matcher_must_hold(matcher: dict[str, str], covers: bool) -> None:
    assert matches(silence(**matcher), GROUP, CONTEXT) is covers


@pytest.mark.parametrize(
    ("after", "weekly", "holds"),
    [
        (-1, True, False),
        (0, False, True),
        (2, False, False),
        (168, False, False),
        (168, True, True),
        (170, True, False),
        (169.9, True, True),
    ],
)
def test_a_silence_has_an_end_and_a_weekly_one_comes_again(
    after: float, weekly: bool, holds: bool
) -> None:
    assert active(silence(weekly=weekly, device="d"), START + after * HOUR) is holds


@given(st.integers(0, 10_000))
def test_a_weekly_window_says_the_same_each_week(minutes: int) -> None:
    window = silence(weekly=True, device="d")
    at = START + timedelta(minutes=minutes)
    assert active(window, at) == active(window, at + timedelta(weeks=1))
