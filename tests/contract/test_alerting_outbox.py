"""One suite for `DeliveryStore`: the fake and PostgreSQL must answer alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from alerting.delivery import LEASE, DeliveryStore, Outcome, Parcel, Verdict, Why
from alerting.outbox_store import MemoryOutbox, PostgresOutbox, replay
from foremend.errors import NotFound
from foremend.outbox import enqueue
from tests.field_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIVERED = Outcome(verdict=Verdict.DELIVERED, why=Why.ACCEPTED)
RETRY = Outcome(
    verdict=Verdict.RETRY, why=Why.FAILED, wait=timedelta(minutes=5), error="status 503"
)
DEAD = Outcome(verdict=Verdict.DEAD, why=Why.LAST_TRY_FAILED, error="status 503")
GONE = Outcome(verdict=Verdict.DISABLE, why=Why.GONE, error="status 410")


class Stage(Protocol):
    store: DeliveryStore

    def post(self, *destinations: int) -> None: ...
    def wait(self, time: timedelta) -> None: ...


class MemoryStage:
    def __init__(self) -> None:
        self.store = MemoryOutbox(now=datetime.now(UTC))

    def post(self, *destinations: int) -> None:
        for destination in destinations:
            number = len(self.store.parcels) + 1
            self.store.parcels[number] = Parcel(
                id=number,
                tenant="demo",
                key=f"k{number}",
                destination_id=destination,
                kind="webhook",
                url=f"https://hook{destination}.example",
                secrets=("whsec_c2VjcmV0",),
                event="e",
                payload={"n": number},
                created_at=self.store.now,
                attempts=0,
            )

    def wait(self, time: timedelta) -> None:
        self.store.now += time


class PostgresStage:
    def __init__(self, world: World) -> None:
        self.world = world
        self.store = PostgresOutbox(world.connection)
        self.posted = 0
        for n in (1, 2):
            world.query(
                "INSERT INTO destination (tenant, kind, url, secrets, events)"
                " VALUES ('demo', 'webhook', %s, '{whsec_c2VjcmV0}', %s)",
                f"https://hook{n}.example",
                [f"e{n}"],
            )

    def post(self, *destinations: int) -> None:
        for destination in destinations:
            self.posted += 1
            with self.world.transaction("demo"):
                enqueue(
                    self.world.connection,
                    tenant="demo",
                    key=f"k{self.posted}",
                    event=f"e{destination}",
                    payload={"n": self.posted},
                )

    def wait(self, time: timedelta) -> None:
        self.world.query("UPDATE outbox SET next_at = next_at - %s", time)


@pytest.fixture(scope="module")
def home(new_database: Any, migrated_template: str) -> Iterator[World]:
    made = World(new_database(migrated_template, "foremend_owner"))
    yield made
    made.close()


@pytest.fixture(params=["memory", "postgres"])
def stage(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryStage()
        return
    home: World = request.getfixturevalue("home")
    yield PostgresStage(home)
    home.reset()


def claimed(stage: Stage, *busy: int) -> list[tuple[str, int]]:
    return [(p.key, p.attempts) for p in stage.store.claim(8, busy)]


def test_the_oldest_parcel_of_each_destination_is_leased(stage: Stage) -> None:
    stage.post(1, 1, 2)
    assert sorted(claimed(stage)) == [("k1", 1), ("k3", 1)]
    assert claimed(stage, 1, 2) == []


def test_a_busy_destination_gets_nothing_more(stage: Stage) -> None:
    stage.post(1, 2)
    assert claimed(stage, 1) == [("k2", 1)]


def test_a_lease_that_ends_brings_the_parcel_back(stage: Stage) -> None:
    stage.post(1)
    assert claimed(stage) == [("k1", 1)]
    assert claimed(stage) == []
    stage.wait(LEASE + timedelta(seconds=1))
    assert claimed(stage) == [("k1", 2)]


def test_a_delivered_parcel_stays_delivered(stage: Stage) -> None:
    stage.post(1)
    (parcel,) = stage.store.claim(8, ())
    stage.store.settle(parcel, DELIVERED)
    # A worker that took over after the lease may report its failure late.
    stage.store.settle(replace(parcel, attempts=2), RETRY)
    stage.wait(timedelta(days=9))
    assert claimed(stage) == []


def test_a_failed_parcel_waits_its_turn(stage: Stage) -> None:
    stage.post(1)
    (parcel,) = stage.store.claim(8, ())
    stage.store.settle(parcel, RETRY)
    stage.wait(timedelta(minutes=4))
    assert claimed(stage) == []
    stage.wait(timedelta(minutes=1, seconds=1))
    assert claimed(stage) == [("k1", 2)]


def test_a_dead_letter_is_left_alone_and_the_next_one_goes(stage: Stage) -> None:
    stage.post(1, 1)
    (parcel,) = stage.store.claim(8, ())
    stage.store.settle(parcel, DEAD)
    stage.wait(timedelta(days=9))
    assert claimed(stage) == [("k2", 1)]


def test_a_destination_that_is_gone_gets_nothing_more(stage: Stage) -> None:
    stage.post(1, 1, 2)
    first = next(p for p in stage.store.claim(8, ()) if p.key == "k1")
    stage.store.settle(first, GONE)
    stage.wait(timedelta(days=9))
    assert claimed(stage) == [("k3", 2)]


def test_no_more_are_leased_than_asked_for(stage: Stage) -> None:
    stage.post(1, 2)
    assert len(stage.store.claim(1, ())) == 1


def test_a_dead_letter_can_be_replayed_once(home: World) -> None:
    stage = PostgresStage(home)
    stage.post(1)
    (parcel,) = stage.store.claim(8, ())
    stage.store.settle(parcel, DEAD)
    with stage.world.transaction("demo"):
        replay(stage.world.connection, parcel.id)
    assert claimed(stage) == [("k1", 1)]
    with stage.world.transaction("demo"), pytest.raises(NotFound, match="dead letter"):
        replay(stage.world.connection, parcel.id)
    home.reset()
