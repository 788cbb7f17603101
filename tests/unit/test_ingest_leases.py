"""Laws of sharing partitions: never two holders, soon a fair share, and the dead are replaced."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foremend.values import PARTITIONS
from ingest.keeper import Keeper
from ingest.leases import (
    LEASE_MS,
    LOOK_S,
    RANGES,
    Lease,
    MemoryLeases,
    Reason,
    Seen,
    decide_leases,
    partitions,
)

LOOK_MS = int(1000 * LOOK_S)


class Hearing:
    def __init__(self) -> None:
        self.numbers: set[int] = set()

    def hear(self, numbers) -> None:
        self.numbers = set(numbers)


def fleet(leases: MemoryLeases, count: int) -> list[Keeper]:
    return [Keeper(leases, Hearing(), f"worker-{n}") for n in range(count)]


def turn(leases: MemoryLeases, keepers: list[Keeper], looks: int) -> None:
    for _ in range(looks):
        leases.now_ms += LOOK_MS
        for keeper in keepers:
            keeper.turn()


def test_ranges_cover_every_partition_once() -> None:
    covered = [p for number in range(RANGES) for p in partitions(number)]
    assert covered == list(range(PARTITIONS))


def test_one_worker_alone_takes_all_at_its_first_look() -> None:
    leases = MemoryLeases()
    (keeper,) = fleet(leases, 1)
    turn(leases, [keeper], 1)
    assert len(keeper.fences()) == PARTITIONS


@given(st.integers(1, 10))
def test_shares_become_fair_and_cover_everything(count: int) -> None:
    leases = MemoryLeases()
    keepers = fleet(leases, count)
    for n in range(count):
        turn(leases, keepers[: n + 1], 1)
    turn(leases, keepers, 4)
    held = [len(k.fences()) // (PARTITIONS // RANGES) for k in keepers]
    assert sum(held) == RANGES
    assert max(held) - min(held) <= 1


@given(st.integers(2, 5), st.data())
def test_what_a_dead_worker_held_moves_within_ten_seconds(count: int, data) -> None:
    leases = MemoryLeases()
    keepers = fleet(leases, count)
    turn(leases, keepers, 6)
    dead = data.draw(st.sampled_from(keepers))
    left = [k for k in keepers if k is not dead]
    died_ms = leases.now_ms
    while sum(len(k.fences()) for k in left) < PARTITIONS:
        turn(leases, left, 1)
        assert leases.now_ms - died_ms < 10_000


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, LEASE_MS)), max_size=40))
def test_nobody_writes_with_a_fence_that_has_passed_on(steps: list[tuple[int, int]]) -> None:
    leases = MemoryLeases()
    keepers = fleet(leases, 4)
    for who, wait_ms in steps:
        leases.now_ms += wait_ms
        keepers[who].turn()
        for number, lease in leases.leases.items():
            first = partitions(number)[0]
            current = [k.me for k in keepers if k.fences().get(first) == lease.fence]
            assert len(current) <= 1


def test_a_range_is_given_up_only_after_nothing_is_heard_of_it_any_more() -> None:
    leases = MemoryLeases()
    first, second = fleet(leases, 2)
    turn(leases, [first], 1)
    turn(leases, [first, second], 1)
    leases.now_ms += LOOK_MS
    first.turn()
    assert isinstance(first.share, Hearing)
    assert len(first.share.numbers) == RANGES // 2
    assert len(first.fences()) == PARTITIONS
    turn(leases, [first, second], 2)
    assert len(first.fences()) == len(second.fences()) == PARTITIONS // 2


def test_leaving_hands_everything_over_at_once() -> None:
    leases = MemoryLeases()
    first, second = fleet(leases, 2)
    turn(leases, [first, second], 5)
    first.leave()
    turn(leases, [second], 1)
    assert len(second.fences()) == PARTITIONS


def test_a_worker_says_why_it_waits() -> None:
    held = {n: Lease(holder="other", expires_ms=10) for n in range(RANGES)}
    seen = Seen(leases=held, workers={"other": 10})
    assert decide_leases(seen, "me", 5).reason is Reason.NOTHING_FREE
    assert decide_leases(seen, "me", 10).take == tuple(range(RANGES))
