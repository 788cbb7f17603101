"""Laws of sets of sequence numbers, held against Python's own sets."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ingest import seqset

ranges = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 8)).map(lambda r: (r[0], r[0] + r[1])), max_size=8
)


def members(have: seqset.SeqSet) -> set[int]:
    return {seq for first, end in have for seq in range(first, end)}


@given(ranges, ranges)
def test_a_union_holds_what_either_held(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    both = seqset.union(seqset.union((), a), b)
    assert members(both) == members(tuple(a)) | members(tuple(b))


@given(ranges)
def test_ranges_are_sorted_and_never_touch(a: list[tuple[int, int]]) -> None:
    have = seqset.union((), a)
    assert all(end < first for (_, end), (first, _) in itertools.pairwise(have))


@given(ranges, st.integers(0, 70))
def test_membership_agrees_with_the_members(a: list[tuple[int, int]], seq: int) -> None:
    have = seqset.union((), a)
    assert seqset.contains(have, seq) == (seq in members(have))


@given(ranges)
def test_what_is_written_can_be_read(a: list[tuple[int, int]]) -> None:
    have = seqset.union((), a)
    assert seqset.parse(seqset.literal(have)) == have


@given(ranges)
def test_upto_and_beyond_say_the_whole_set(a: list[tuple[int, int]]) -> None:
    have = seqset.union((), a)
    told = set(range(seqset.upto(have) + 1))
    told |= {s for first, last in seqset.beyond(have) for s in range(first, last + 1)}
    assert told == members(have)


@given(ranges, st.integers(0, 60), st.integers(0, 10))
def test_what_is_missing_is_what_a_range_has_and_the_set_has_not(
    a: list[tuple[int, int]], first: int, length: int
) -> None:
    have = seqset.union((), a)
    expected = set(range(first, first + length)) - members(have)
    assert members(seqset.missing(have, first, first + length)) == expected
