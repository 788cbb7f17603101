"""Where a backup may be restored, and what of a verification is a difference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from stack.keeping.findings import SHOWN, Boot, Check, holes_of, lost_of
from stack.keeping.manifest import Content, Manifest, Target, behind, differences, refusal_of
from stack.keeping.windows import MONDAY, WEEK, Window, weeks, without

START = datetime(2026, 1, 5, tzinfo=UTC)


def a_manifest(**changes) -> Manifest:
    told = {
        "format": 1, "made_at": START, "schema": "0007", "postgresql": 18, "layout": "postgresql",
        "timescaledb": None, "tables": {"a": Content(rows=1, hash="x")}, "sequences": {},
    }  # fmt: skip
    return Manifest(**(told | changes))


def a_target(**changes) -> Target:
    told = {
        "postgresql": 18, "newest_schema": "0007", "tables": (), "missing_roles": (),
        "timescaledb": ("2.20.0",), "superuser": True,
    }  # fmt: skip
    return Target(**(told | changes))


@pytest.mark.parametrize(
    ("told", "target", "words"),
    [
        (a_manifest(schema="0008"), a_target(), "newer Foremend"),
        (a_manifest(postgresql=17), a_target(), "PostgreSQL 17, and the target runs 18"),
        (a_manifest(), a_target(tables=["b", "a"]), "holds tables already (a, b)"),
        (a_manifest(), a_target(missing_roles=["foremend_app"]), "no role foremend_app"),
        (a_manifest(timescaledb="2.21.0"), a_target(), "TimescaleDB 2.21.0"),
        (a_manifest(timescaledb="2.21.0"), a_target(timescaledb=()), "offers none"),
        (a_manifest(timescaledb="2.20.0"), a_target(superuser=False), "only a superuser"),
    ],
)
def test_a_restore_that_cannot_be_right_is_refused(told, target, words) -> None:
    assert words in (refusal_of(told, target) or "")


def test_what_fits_is_let_through() -> None:
    assert refusal_of(a_manifest(), a_target()) is None
    assert refusal_of(a_manifest(schema="0005"), a_target()) is None
    assert refusal_of(a_manifest(timescaledb="2.20.0"), a_target()) is None


def test_tables_that_differ_are_named_with_both_sides() -> None:
    found = {"a": Content(rows=2, hash="yyyyyyyyyy"), "b": Content(rows=0, hash="0")}
    assert differences(a_manifest(), found) == [
        "a: 1 rows (x) in the backup, 2 rows (yyyyyyyy) here",
        "b: none in the backup, 0 rows (0) here",
    ]
    assert differences(a_manifest(), {"a": Content(rows=1, hash="x")}) == []


def test_a_sequence_may_be_further_on_and_never_behind() -> None:
    told = a_manifest(sequences={"a": 5, "b": None})
    assert behind(told, {"a": 9, "b": 1}) == []
    assert behind(told, {"a": 4, "b": None}) == ["the sequence a stands at 4 and was at 5"]
    assert behind(told, {}) == ["the sequence a stands at None and was at 5"]


def a_boot(nowhere: list[tuple[int, int]], first_kept: int | None) -> Boot:
    ranges = Multirange([Range(a, b) for a, b in nowhere])
    return Boot(
        name="b", booted_at=START, nowhere=ranges, unreceipted=Multirange(), first_kept=first_kept
    )


def test_numbers_below_the_first_that_was_kept_went_with_retention() -> None:
    later = START + WEEK
    assert lost_of(a_boot([(0, 5), (7, 9)], 3), None) == [(0, 5), (7, 9)]
    assert lost_of(a_boot([(0, 5), (7, 9)], 3), later) == [(3, 5), (7, 9)]
    assert lost_of(a_boot([(0, 5)], None), later) == []
    assert lost_of(a_boot([(0, 5)], None), START) == [(0, 5)]


@pytest.mark.parametrize(
    ("log", "whole"),
    [((0, 0, None, None), True), ((3, 3, 1, 3), True), ((3, 2, 1, 3), False), ((3, 2, 2, 3), False),
     ((2, 3, 1, 3), False), ((4, 3, 1, 3), False), ((1, 0, None, None), False)],
)  # fmt: skip
def test_a_log_has_every_position_up_to_its_head(log, whole) -> None:
    assert (holes_of(*log) is None) is whole


def test_a_check_names_the_first_differences_and_counts_all() -> None:
    check = Check(name="minutes", examined=99)
    for i in range(30):
        check.differ(str(i))
    assert (check.differences, len(check.first)) == (30, SHOWN)
    assert check.line() == "minutes: 99 compared, 30 differ"


HOURS = st.integers(0, 2000).map(lambda n: MONDAY + timedelta(hours=n))
SPANS = st.tuples(HOURS, st.integers(1, 500)).map(
    lambda told: Window(since=told[0], until=told[0] + timedelta(hours=told[1]))
)


@given(whole=SPANS, gone=st.lists(SPANS, max_size=4))
def test_what_is_left_of_a_span_is_all_that_is_not_gone(whole: Window, gone: list[Window]) -> None:
    parts = [week for kept in without(whole, gone) for week in weeks(kept)]
    hour = timedelta(hours=1)
    moments = [whole.since + i * hour for i in range(int((whole.until - whole.since) / hour))]

    for moment in moments:
        inside = sum(part.since <= moment < part.until for part in parts)
        assert inside == (not any(g.since <= moment < g.until for g in gone))
    assert all(part.until - part.since <= WEEK for part in parts)
