"""What becomes of an old section by the timelines' clocks, and which entries are taken."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foremend.errors import ConfigurationError
from foremend.values import TimelineKind
from ingest.upkeep.retention import Action, Reason, Rules, decide, present_of
from ingest.upkeep.store import stretch

WALL = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
END = datetime(2026, 1, 12, tzinfo=UTC)
LIVE, SIM = TimelineKind.LIVE, TimelineKind.SIMULATION


@pytest.mark.parametrize(
    ("kind", "now_at", "seen_at", "present"),
    [
        (LIVE, None, WALL - 9 * DAY, WALL),
        (SIM, END, WALL, END),
        (SIM, END, WALL - 30 * DAY, END + 30 * DAY),
        (SIM, END, WALL + DAY, END),
        (SIM, END, None, END),
        (SIM, None, WALL, None),
    ],
    ids=["live", "runs", "stands still", "ahead of the wall", "never heard", "no frame yet"],
)
def test_a_timeline_ages_by_its_clock_and_after_its_end_by_the_wall(
    kind, now_at, seen_at, present
) -> None:
    assert present_of(kind, now_at, seen_at, WALL) == present


PRESENTS = {"live": WALL, "sim:demo": END + 10 * DAY}


@pytest.mark.parametrize(
    ("holders", "rules", "action", "reason"),
    [
        ({"live"}, {"keep": 30 * DAY}, Action.DROP, Reason.PAST),
        ({"sim:demo"}, {"keep": 30 * DAY}, Action.KEEP, Reason.HELD),
        ({"live", "sim:demo"}, {"keep": 30 * DAY}, Action.KEEP, Reason.HELD),
        ({"live", "sim:demo"}, {"keep": 10 * DAY}, Action.DROP, Reason.PAST),
        ({"live", "sim:gone"}, {"keep": 10 * DAY}, Action.KEEP, Reason.HELD),
        (set(), {"keep": DAY}, Action.KEEP, Reason.NOBODYS),
        ({"live"}, {"keep": None}, Action.KEEP, Reason.NO_RULE),
        ({"live"}, {"keep": None, "compress": DAY}, Action.COMPRESS, Reason.PAST),
        ({"live"}, {"keep": None, "compress": DAY, "compressed": True}, Action.KEEP,
         Reason.COMPRESSED),
        ({"live"}, {"keep": DAY, "compress": DAY, "compressed": True}, Action.DROP, Reason.PAST),
        ({"sim:demo"}, {"keep": 30 * DAY, "compress": 7 * DAY}, Action.COMPRESS, Reason.PAST),
    ],
)  # fmt: skip
def test_a_section_goes_when_all_whose_readings_it_holds_have_passed_it(
    holders, rules, action, reason
) -> None:
    decision = decide(END, holders, PRESENTS, **rules)
    assert (decision.action, decision.reason) == (action, reason)


@given(
    ages=st.dictionaries(st.sampled_from("abc"), st.integers(0, 100), min_size=1),
    keep=st.integers(1, 50),
)
def test_nothing_is_dropped_that_is_young_for_anybody(ages, keep) -> None:
    presents = {name: END + age * DAY for name, age in ages.items()}
    decision = decide(END, presents.keys(), presents, keep=keep * DAY)
    assert (decision.action is Action.DROP) == (min(ages.values()) >= keep)


def test_rollups_are_kept_no_shorter_than_what_they_are_made_of() -> None:
    rules = Rules.of_days(frames=30, minutes=90, hours=0, compress=7)
    assert (rules.frames, rules.minutes, rules.hours) == (30 * DAY, 90 * DAY, None)
    assert Rules.of_days(frames=0, minutes=0, hours=0, compress=0).compress is None
    for wrong in ((0, 90, 0), (30, 7, 0), (30, 90, 60)):
        with pytest.raises(ConfigurationError, match="no shorter than the one before"):
            Rules.of_days(
                **dict(zip(("frames", "minutes", "hours"), wrong, strict=True)), compress=0
            )


ENTRIES = st.lists(
    st.tuples(st.integers(0, 3), st.none() | st.integers(1, 20)), max_size=40
).map(
    lambda told: sorted(
        (partition, 1 + sum(p == partition for p, _ in told[:i]), batch)
        for i, (partition, batch) in enumerate(told)
    )
)  # fmt: skip


@given(entries=ENTRIES, most=st.integers(1, 6))
@example(entries=[(0, 1, 2), (0, 2, 1)], most=1)
def test_a_stretch_is_the_beginning_of_each_partition_and_always_goes_on(entries, most) -> None:
    taken = stretch(entries, most)
    of: dict[int, list[tuple]] = defaultdict(list)
    for entry in entries:
        of[entry[0]].append(entry)

    assert len({batch for _, _, batch in taken if batch is not None}) <= most
    for partition, there in of.items():
        here = [entry for entry in taken if entry[0] == partition]
        assert here == there[: len(here)]
    assert bool(taken) == bool(entries)
