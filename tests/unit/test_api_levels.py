"""Which level a chart is read from, and that its slots cover the window and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.levels import HOUR_MS, MINUTE_MS, MOST_ROWS, Known, Level, Reason, choose_level, plan

DAY = 24 * HOUR_MS


@pytest.mark.parametrize(
    ("span", "known", "level", "reason"),
    [
        (HOUR_MS, Known(frames=3600), Level.RAW, Reason.FEW_FRAMES),
        (DAY, Known(frames=MOST_ROWS + 1), Level.MINUTE, Reason.MANY_FRAMES),
        (30 * DAY, Known(frames=MOST_ROWS + 1), Level.HOUR, Reason.MANY_MINUTES),
        (400 * DAY, Known(frames=500), Level.RAW, Reason.FEW_FRAMES),
        (DAY, Known(frames=0, frames_from=1), Level.MINUTE, Reason.FRAMES_DROPPED),
        (30 * DAY, Known(frames=0, frames_from=1), Level.HOUR, Reason.FRAMES_DROPPED),
        (DAY, Known(frames=9, frames_from=0, minutes_from=0), Level.RAW, Reason.FEW_FRAMES),
        (DAY, Known(frames=9, minutes_from=1), Level.HOUR, Reason.MINUTES_DROPPED),
    ],
)
def test_the_finest_level_that_is_small_enough_and_whole(span, known, level, reason) -> None:
    choice = choose_level(0, span, known)
    assert (choice.level, choice.reason) == (level, reason)


def test_the_newest_rows_are_read_finer_as_they_still_grow() -> None:
    known = Known(frames=10**6, hours_end=50 * HOUR_MS, minutes_end=51 * HOUR_MS + 7 * MINUTE_MS)
    laid = plan(0, 60 * HOUR_MS, 400, Level.HOUR, known)
    assert (laid.hours_to, laid.minutes_to) == (50 * HOUR_MS, 51 * HOUR_MS + 7 * MINUTE_MS)


def test_where_frames_are_gone_the_newest_minute_is_all_there_is() -> None:
    known = Known(frames=0, minutes_end=5 * MINUTE_MS, frames_from=DAY)
    assert plan(0, HOUR_MS, 400, Level.MINUTE, known).minutes_to == 6 * MINUTE_MS


def test_without_rollups_frames_are_read() -> None:
    laid = plan(0, 30 * DAY, 400, Level.HOUR, Known(frames=10**6))
    assert (laid.hours_to, laid.minutes_to) == (0, 0)


MOMENTS = st.integers(0, 400 * DAY)


@given(
    start=MOMENTS,
    span=st.integers(1, 400 * DAY),
    points=st.integers(10, 2000),
    level=st.sampled_from(Level),
    hours=st.none() | MOMENTS.map(lambda m: m // HOUR_MS * HOUR_MS),
    minutes=st.none() | MOMENTS.map(lambda m: m // MINUTE_MS * MINUTE_MS),
    gone=st.none() | MOMENTS,
)
def test_slots_are_whole_rows_and_at_most_the_points(
    start, span, points, level, hours, minutes, gone
) -> None:
    known = Known(frames=0, hours_end=hours, minutes_end=minutes, frames_from=gone)
    laid = plan(start, start + span, points, level, known)

    assert laid.start <= start < start + span <= laid.end
    assert laid.start <= laid.hours_to <= laid.minutes_to <= laid.end
    assert laid.slot_ms % level.width_ms == 0
    assert -(-(laid.end - laid.start) // laid.slot_ms) <= points
    assert laid.start % level.width_ms == laid.end % level.width_ms == 0
