"""A challenger is scored by the live code beside live scoring, and nothing of that is disturbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from foremend.errors import SignatureRefused
from ingest.store import PostgresStore
from models.scoring.engine import Engine
from models.scoring.service import Follower
from models.scoring.shadow import ShadowStore
from models.scoring.shadowing import Shadows
from models.scoring.store import ScoringStore, announce
from models.trials import store as trials
from stack.drill.parts import wait
from tests.scoring_log import Known, models
from tests.taught_fleet import birth, telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.failure import FailureModel

SAME, BOLDER = "5a3e00000000", "b01d00000000"


def known() -> Known:
    """Give the model in force, the same under another name, and one that is harder to move."""
    by_version = models().by_version
    return Known({"v1": by_version["v1"], SAME: by_version["v1"], BOLDER: by_version["v2"]})


@dataclass
class World:
    """One database in which a fleet's first half was told, and live scoring follows."""

    url: str
    connection: Connection
    live: Follower

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with transaction(self.connection, tenant=EVERY_TENANT):
            cursor = self.connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def tell_more(self) -> None:
        tell(self.connection, 30, 54)

    def follow(self) -> None:
        while self.live.step():
            pass

    def register(self, version: str, cohort: str = "toy") -> None:
        """Put a row into the registry; what it holds is given by `known`."""
        self.rows(
            "INSERT INTO model_version VALUES (%s, 'failure', %s, 'shadow', %s, '', '', '', '{}')",
            version, cohort, version,
        )  # fmt: skip
        trials.begin(self.connection, version, cohort)

    def live_state(self) -> dict[str, list[tuple[Any, ...]]]:
        """Give everything that live scoring wrote, but for what the wall's clock wrote."""
        wanted = {
            "health": "SELECT * FROM health ORDER BY device_id, ts",
            "anomaly": "SELECT device_id, kind, ts, score FROM anomaly ORDER BY id",
            "prediction": "SELECT device_id, component, ts, above, probability, reasons::text,"
            " model_version FROM prediction ORDER BY device_id, component, ts",
            "hazard": "SELECT * FROM component_hazard ORDER BY device_id, component",
            "cursor": "SELECT * FROM scoring_cursor WHERE consumer = 'live' ORDER BY partition",
            "state": "SELECT * FROM scoring_snapshot WHERE consumer = 'live'"
            " ORDER BY partition, subject",
        }
        return {name: self.rows(query) for name, query in wanted.items()}


def tell(connection: Connection, since_h: int, until_h: int) -> None:
    telling(connection, since_h=since_h, until_h=until_h, devices=4)


def begun(url: str) -> World:
    connection = connect(url, name="test")
    announce(connection, kind="model", cohort="toy", version="v1")
    tell(connection, 0, 30)
    store = ScoringStore(connect(url, name="scoring"))
    assert store.claim()
    follower = Follower(store, Engine(known()))
    follower.catch_up()
    world = World(url, connection, follower)
    world.follow()
    follower.save()
    return world


@pytest.fixture
def world(migrated_urls) -> Iterator[World]:
    made = begun(migrated_urls.app)
    with made.connection, made.live.store._connection:
        yield made


@pytest.fixture
def shadows(world: World) -> Iterator[Shadows]:
    with connect(world.url, name="control") as control:
        made = Shadows(world.url, known(), control)
        yield made
        made.close()


def run(shadows: Shadows) -> None:
    while shadows.turn():
        pass


def said(world: World, table: str, version: str) -> list[tuple[Any, ...]]:
    name = "version" if table == "shadow_prediction" else "model_version"
    return world.rows(
        "SELECT device_id, component, failure_mode, ts, above, probability, threshold, horizon_h"
        f" FROM {table} WHERE {name} = %s ORDER BY device_id, component, ts",
        version,
    )


def test_a_challenger_that_is_the_model_in_force_says_the_same_to_the_bit(world, shadows) -> None:
    begin = len(said(world, "prediction", "v1"))
    world.register(SAME)
    run(shadows)
    world.tell_more()
    world.follow()
    run(shadows)
    later = world.rows("SELECT min(since) FROM shadow_seen")[0][0]
    live = [row for row in said(world, "prediction", "v1") if row[3] >= later]
    assert said(world, "shadow_prediction", SAME) == live
    assert len(live) > 20
    assert begin > 0, "live scoring had spoken before the trial began"


def test_another_challenger_says_something_else(world, shadows) -> None:
    """Shows that the comparison above can tell models apart."""
    world.register(BOLDER)
    world.tell_more()
    world.follow()
    run(shadows)
    assert said(world, "shadow_prediction", BOLDER) != said(world, "prediction", "v1")


def test_live_scoring_is_what_it_is_without_any_shadow(world, shadows, new_migrated) -> None:
    world.register(BOLDER)
    world.tell_more()
    run(shadows)
    world.follow()
    run(shadows)
    shadows.close()
    world.live.save()
    alone = begun(new_migrated().app)
    with alone.connection, alone.live.store._connection:
        alone.tell_more()
        alone.follow()
        alone.live.save()
        assert world.live_state() == alone.live_state()
    assert world.rows("SELECT count(*) > 0 FROM shadow_prediction") == [(True,)]


def test_live_scoring_does_not_wait_for_a_shadow_that_stands_still(world) -> None:
    """It hangs in the middle of its commit, and live scoring goes on to the end of the log."""
    world.register(BOLDER)
    world.tell_more()
    with connect(world.url, name="shadow") as link:
        store = ShadowStore(link, BOLDER, "toy")
        assert store.claim()
        stuck = Follower(store, Engine(known()))
        stuck.catch_up()
        with transaction(link, tenant=EVERY_TENANT):
            assert stuck.step()
            world.rows("SET statement_timeout = '5s'")
            world.follow()
    heads = world.rows("SELECT sum(pos) FROM partition_head")
    read = world.rows("SELECT sum(output_pos) FROM scoring_cursor WHERE consumer = 'live'")
    assert heads == read


class Died(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("call", ["read", "write", "save_snapshots"])
def test_a_killed_shadow_goes_on_without_a_gap_or_a_double(world, call) -> None:
    world.register(BOLDER)
    world.tell_more()
    told: list[list[tuple[Any, ...]]] = []
    for dies_at in (None, 0, 1):
        world.rows("DELETE FROM shadow_prediction")
        world.rows("DELETE FROM shadow_seen")
        world.rows("DELETE FROM scoring_cursor WHERE consumer LIKE 'shadow:%%'")
        score_and_die(world, call, dies_at)
        told.append(said(world, "shadow_prediction", BOLDER))
        told[-1] += world.rows("SELECT * FROM shadow_seen ORDER BY device_id")
    assert told[0] == told[1] == told[2]
    assert len(told[0]) > 20


def score_and_die(world: World, call: str, dies_at: int | None) -> None:
    """Follow the log in short stretches, dying after the nth call of one kind, and again."""
    left = dies_at
    while True:
        with connect(world.url, name="shadow") as link:
            store = ShadowStore(link, BOLDER, "toy")
            # The claim of who died ends once the server has noticed.
            assert wait(store.claim, 10.0)
            real = getattr(store, call)

            def dying(*arguments: Any, real: Any = real, **named: Any) -> Any:
                nonlocal left
                given = real(*arguments, **named)
                if left == 0:
                    left = None
                    raise Died
                left = None if left is None else left - 1
                return given

            setattr(store, call, dying)
            ticks = iter(range(10**6))
            follower = Follower(store, Engine(known()), clock=lambda t=ticks: next(t) * 40.0)
            try:
                follower.catch_up()
                while follower.step():
                    pass
            except Died:
                continue
            return


def test_devices_of_other_families_are_left_out(world, shadows) -> None:
    store = PostgresStore(world.connection)
    announce(world.connection, kind="model", cohort="else", version="v1")
    store.commit([birth("stranger", family="else")], [], wall_ms())
    world.register(SAME)
    world.tell_more()
    run(shadows)
    names = world.rows(
        "SELECT DISTINCT d.family FROM shadow_seen JOIN device d ON d.id = device_id"
    )
    assert names == [("toy",)]


def test_nobody_is_alerted_by_a_shadow(world, shadows) -> None:
    before = world.live_state()
    world.register(BOLDER)
    run(shadows)
    world.tell_more()
    run(shadows)
    assert said(world, "shadow_prediction", BOLDER)
    assert world.live_state() == before
    unhandled = world.rows("SELECT count(*) FROM prediction WHERE model_version = %s", BOLDER)
    assert unhandled == [(0,)]


class Suspicious:
    """Gives models, but for one that nobody who is trusted has signed."""

    def failure_model(self, version: str) -> FailureModel:
        if version == BOLDER:
            raise SignatureRefused(f"model {version}: not signed by a trusted key")
        return known().failure_model(version)


def test_a_challenger_that_nobody_signed_ends_its_trial_and_is_named(world, shadows) -> None:
    shadows.models = Suspicious()
    world.register(BOLDER)
    world.tell_more()
    run(shadows)
    trial = trials.trial_of(world.connection, BOLDER)
    assert trial.fault == f"model {BOLDER}: not signed by a trusted key"
    assert trial.ended_at is not None
    kept = world.rows("SELECT count(*) FROM scoring_cursor WHERE consumer LIKE 'shadow:%%'")
    assert kept == [(0,)]


def test_one_that_fails_does_not_keep_another_family_from_its_trial(world, shadows) -> None:
    shadows.models = Suspicious()
    store = PostgresStore(world.connection)
    store.commit([birth("stranger", family="else")], [], wall_ms())
    world.register(BOLDER, cohort="else")
    world.register(SAME)
    world.tell_more()
    run(shadows)
    assert trials.trial_of(world.connection, BOLDER).fault is not None
    assert said(world, "shadow_prediction", SAME)


def test_an_ended_trial_leaves_no_state_but_what_was_said(world, shadows) -> None:
    world.register(BOLDER)
    run(shadows)
    world.tell_more()
    run(shadows)
    spoken = said(world, "shadow_prediction", BOLDER)
    trials.end(world.connection, BOLDER)
    run(shadows)
    shadows.close()
    for table in ("scoring_cursor", "scoring_snapshot"):
        kept = world.rows(f"SELECT count(*) FROM {table} WHERE consumer LIKE 'shadow:%%'")
        assert kept == [(0,)], table
    assert said(world, "shadow_prediction", BOLDER) == spoken
