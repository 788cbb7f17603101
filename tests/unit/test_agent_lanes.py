"""Whose turn it is while a backlog drains."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent import lanes
from edge_agent.lanes import LAG, Shares
from edge_agent.messages import Key

places = st.integers(0, 64)


def test_without_a_backlog_everything_goes_in_one_lane() -> None:
    assert lanes.shares(size=64, free=7, fresh_flying=0, behind=False) == Shares(fresh=0, backlog=7)


@given(free=places, flying=places)
def test_a_backlog_has_five_places_for_each_of_the_new_readings(free: int, flying: int) -> None:
    room = lanes.shares(size=64, free=free, fresh_flying=flying, behind=True)

    assert room.fresh + room.backlog == free
    assert room.fresh == 0 or 5 * (flying + room.fresh) <= 64 - (flying + room.fresh)


@given(free=st.integers(11, 64))
def test_a_new_reading_always_finds_a_place_in_a_window_with_room(free: int) -> None:
    assert lanes.shares(size=64, free=free, fresh_flying=0, behind=True).fresh > 0


def test_what_waits_is_a_backlog_once_it_is_long_or_of_an_earlier_boot() -> None:
    assert not lanes.lags(Key(1, 0), Key(1, LAG))
    assert lanes.lags(Key(1, 0), Key(1, LAG + 1))
    assert lanes.lags(Key(1, 5), Key(2, -1))
