"""What a full outbox gives up, and how it says so."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.messages import Key, Lost, gap, spans, unknown_gap
from edge_agent.outbox import eviction
from edge_agent.outbox.eviction import Bounds, Candidate
from foremend import wire
from foremend.wire import Up


def candidate(boot_no: int, seq: int, size: int = 10) -> Candidate:
    return Candidate(
        key=Key(boot_no, seq),
        boot=f"b{boot_no}",
        frames=2,
        first_ms=seq,
        last_ms=seq + 1,
        size=size,
    )


def test_nothing_is_given_up_within_the_bound() -> None:
    assert eviction.excess(100, Bounds(max_bytes=100)) == 0


def test_beyond_the_bound_a_tenth_is_freed_so_that_gaps_stay_few() -> None:
    assert eviction.excess(101, Bounds(max_bytes=100)) == 11


def test_the_first_candidates_go_until_enough_is_free() -> None:
    chosen = eviction.choose((candidate(1, seq) for seq in range(5)), 11)

    assert [one.key.seq for one in chosen] == [0, 1]


def test_losses_are_ranges_within_one_boot() -> None:
    lost = eviction.losses([candidate(2, 0), candidate(1, 4), candidate(1, 5), candidate(1, 8)])

    assert lost == [
        Lost(boot="b1", span=(4, 5), frames=4, first_ms=4, last_ms=6),
        Lost(boot="b1", span=(8, 8), frames=2, first_ms=8, last_ms=9),
        Lost(boot="b2", span=(0, 0), frames=2, first_ms=0, last_ms=1),
    ]


@given(st.sets(st.integers(0, 60)))
def test_spans_name_exactly_their_numbers(numbers: set[int]) -> None:
    found = spans(sorted(numbers))

    assert {n for first, last in found for n in range(first, last + 1)} == numbers
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(found))


def test_a_gap_event_names_the_boot_the_range_the_time_and_the_reason() -> None:
    lost = Lost(boot="b1", span=(4, 5), frames=4, first_ms=40, last_ms=60)

    event = wire.decode_up(Up.EVENT, gap(lost, "outbox_full", 99).encode("b2", 9))

    assert event == wire.Event(
        boot="b2",
        seq=9,
        ts_ms=60,
        code="gap",
        severity="warning",
        details={
            "boot": "b1",
            "first": 4,
            "last": 5,
            "frames": 4,
            "from_ms": 40,
            "to_ms": 60,
            "reason": "outbox_full",
        },
    )


def test_a_gap_of_unknown_extent_names_its_reason_alone() -> None:
    event = wire.decode_up(Up.EVENT, unknown_gap(77, "outbox_corrupt").encode("b", 0))

    assert isinstance(event, wire.Event)
    assert (event.ts_ms, event.details) == (77, {"reason": "outbox_corrupt"})
