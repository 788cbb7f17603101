"""From the clocks of a machine and its sources to UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.timebase import (
    SANE_FROM_MS,
    STEP_MS,
    SourceClock,
    Step,
    SystemTrust,
    Timebase,
    boot_ms,
    machine,
)
from edge_agent.timekeeper import timekeeper

if TYPE_CHECKING:
    from pathlib import Path

UTC_MS = 1_800_000_000_000
instants = st.integers(0, 10**13)


@given(wall=instants, mono=instants, read=instants)
def test_by_a_trusted_clock_instants_stay_what_they_are(wall: int, mono: int, read: int) -> None:
    base = Timebase()
    base.look(wall_ms=wall, mono_ms=mono, trusted=True)

    assert base.place(read) == read
    assert not base.held


@given(wrong=instants, mono=instants, later=st.integers(0, 10**9))
def test_what_was_read_by_a_wrong_clock_is_dated_right_once_the_offset_is_known(
    wrong: int, mono: int, later: int
) -> None:
    base = Timebase()
    base.look(wall_ms=wrong, mono_ms=mono, trusted=False)
    held = base.place(wrong)
    base.look(wall_ms=UTC_MS + later, mono_ms=mono + later, trusted=True)

    assert base.offset_ms is not None
    assert held + base.offset_ms == UTC_MS


def test_a_clock_that_is_set_is_seen_with_how_far() -> None:
    base = Timebase()
    base.look(wall_ms=UTC_MS, mono_ms=5_000, trusted=True)

    step = base.look(wall_ms=UTC_MS + 1_000 - 60_000, mono_ms=6_000, trusted=True)

    assert step == Step(from_ms=UTC_MS + 1_000, to_ms=UTC_MS - 59_000, trusted=True)
    assert step.by_ms == -60_000


def test_a_clock_that_drifts_is_followed_without_a_word() -> None:
    base = Timebase()
    seen = [
        base.look(wall_ms=UTC_MS + n * (1_000 + STEP_MS // 2), mono_ms=1_000 * n, trusted=True)
        for n in range(20)
    ]

    assert seen == [None] * 20


def test_a_clock_that_loses_its_mind_is_overruled_by_the_offset_that_is_known() -> None:
    base = Timebase()
    base.look(wall_ms=UTC_MS, mono_ms=5_000, trusted=True)

    base.look(wall_ms=0, mono_ms=6_000, trusted=False)

    assert base.place(0) == UTC_MS + 1_000
    assert not base.held


@pytest.mark.parametrize("wall_ms", [0, SANE_FROM_MS - 1, 5 * 10**12])
def test_no_year_that_cannot_be_is_believed(wall_ms: int, tmp_path: Path) -> None:
    assert not SystemTrust(timesync=tmp_path).trusts(wall_ms, 10**9)


def test_where_ntp_is_awaited_its_answer_counts_until_patience_ends(tmp_path: Path) -> None:
    trust = SystemTrust(patience_ms=1_000, timesync=tmp_path)
    assert not trust.trusts(UTC_MS, 999)
    assert trust.trusts(UTC_MS, 1_000)

    (tmp_path / "synchronized").touch()

    assert trust.trusts(UTC_MS, 0)


def test_where_nobody_awaits_ntp_a_sane_year_is_enough(tmp_path: Path) -> None:
    assert SystemTrust(timesync=tmp_path / "none").trusts(UTC_MS, 0)


def test_a_timeline_of_its_own_is_never_held() -> None:
    assert not timekeeper(live=False, clock=lambda: 7, patience_s=300).held
    assert timekeeper(live=True, clock=lambda: 7, patience_s=300).held


def test_the_machine_tells_one_start_from_another_and_how_long_ago_it_was() -> None:
    assert machine()
    first = boot_ms()
    assert 0 < first <= boot_ms()


class Two:
    """Our clocks and a source's, with the delays between them in the test's hands."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.clock = SourceClock(lambda: UTC_MS + self.now_ms, lambda: self.now_ms)

    def read(self, taken_ms: int, delay_ms: int) -> int:
        """Date a reading whose source had been running for 100 s at our 0."""
        self.now_ms = taken_ms + delay_ms
        return self.clock.date(100 + taken_ms / 1000)


def test_a_source_by_its_own_clock_is_dated_by_the_quickest_of_its_readings() -> None:
    two = Two()
    two.read(0, delay_ms=10)

    assert two.read(1_000, delay_ms=900) == UTC_MS + 1_000 + 10
    assert two.read(2_000, delay_ms=10) == UTC_MS + 2_000 + 10


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=200))
def test_no_reading_is_dated_before_it_was_taken_or_after_it_came(delays: list[int]) -> None:
    two = Two()
    for number, delay in enumerate(delays):
        dated = two.read(10_000 * number, delay)
        assert UTC_MS + 10_000 * number <= dated + 1
        assert dated <= UTC_MS + two.now_ms


def test_a_source_that_starts_again_is_dated_anew() -> None:
    two = Two()
    two.read(0, delay_ms=0)
    two.now_ms = 50_000

    assert two.clock.date(0.5) == UTC_MS + 50_000
    two.now_ms = 51_000
    assert two.clock.date(1.5) == UTC_MS + 51_000
