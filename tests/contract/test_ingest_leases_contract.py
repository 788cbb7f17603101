"""One suite for whatever leases are written down in: the shipped fake and the real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foremend.db import connect
from ingest.lease_store import PostgresLeases
from ingest.leases import RANGES, Leases, MemoryLeases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=["memory", "postgres"])
def place(request) -> Iterator[tuple[Leases, Callable[[], None]]]:
    """Leases, and a way to let a lease's time pass."""
    if request.param == "memory":
        fake = MemoryLeases()
        fake.now_ms = 1_000_000

        def later() -> None:
            fake.now_ms += 100_000

        yield fake, later
        return
    urls = request.getfixturevalue("migrated_urls")
    leases = PostgresLeases(lambda: connect(urls.app, name="test"))
    with connect(urls.owner, name="test") as owner:

        def pass_on() -> None:
            for table in ("partition_lease", "ingest_worker"):
                owner.execute(f"UPDATE {table} SET expires_at = now() - interval '1 s'".encode())

        yield leases, pass_on
    leases.close()


@pytest.fixture
def leases(place) -> Leases:
    return place[0]


@pytest.fixture
def expire(place) -> Callable[[], None]:
    return place[1]


def holder(leases: Leases, number: int) -> str:
    seen, now_ms = leases.look("somebody")
    lease = seen.leases[number]
    return lease.holder if lease.expires_ms > now_ms else ""


def test_at_first_nobody_has_anything(leases) -> None:
    seen, now_ms = leases.look("a")
    assert all(lease.expires_ms <= now_ms for lease in seen.leases.values())
    assert len(seen.leases) == RANGES
    assert set(leases.look("b")[0].workers) == {"a", "b"}


def test_a_free_range_is_taken_once(leases) -> None:
    assert leases.take("a", 3)
    assert not leases.take("b", 3)
    assert not leases.take("a", 3)
    assert holder(leases, 3) == "a"


def test_renewing_gives_what_is_held_and_its_fence(leases) -> None:
    leases.take("a", 1)
    leases.take("a", 2)
    held = leases.renew("a")
    assert set(held) == {1, 2}
    assert leases.renew("b") == {}


def test_a_lease_runs_out_and_its_fence_moves_when_it_passes_on(leases, expire) -> None:
    leases.take("a", 0)
    before = leases.renew("a")[0]
    expire()
    assert leases.take("b", 0)
    assert leases.renew("a") == {}
    assert leases.renew("b")[0] > before


def test_a_lease_that_ran_out_and_that_nobody_took_is_renewed_under_its_fence(
    leases, expire
) -> None:
    leases.take("a", 0)
    before = leases.renew("a")
    expire()
    assert leases.renew("a") == before
    assert not leases.take("b", 0)


def test_what_is_released_is_free(leases) -> None:
    leases.take("a", 5)
    leases.release("b", 5)
    assert holder(leases, 5) == "a"
    leases.release("a", 5)
    assert leases.take("b", 5)


def test_who_leaves_gives_up_everything(leases) -> None:
    leases.look("a")
    leases.take("a", 4)
    leases.leave("a")
    assert "a" not in leases.look("b")[0].workers
    assert leases.take("b", 4)
