"""Alerting's workers on one database: races, people's moves, walls between tenants."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from alerting import application
from alerting.application import SilenceRefused
from alerting.service import decide_once
from foremend.db import connect
from foremend.errors import Conflict, NotFound
from tests.field_world import HOUR, START, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def home(new_database: Any, migrated_template: str) -> Iterator[World]:
    made = World(new_database(migrated_template, "foremend_owner"))
    yield made
    made.close()


@pytest.fixture
def world(home: World) -> Iterator[World]:
    yield home
    home.reset()


def decided(url: str) -> None:
    with connect(url, name="test") as connection:
        while decide_once(connection):
            pass


def test_two_workers_make_one_alert_of_many_predictions(world: World) -> None:
    for n in range(60):
        world.predict(1 + n / 10, 0.6)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(20):
            decided(world.url)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (alert,) = world.query("SELECT * FROM alert")
    assert (alert["state"], alert["hits"]) == ("firing", 60)
    assert alert["fired_at"] == START + 1.1 * HOUR
    assert world.query("SELECT 1 FROM prediction WHERE handled_at IS NULL") == []
    actions = world.query("SELECT action FROM alert_event ORDER BY id")
    assert [row["action"] for row in actions] == ["wait", "fire"]


def test_a_worker_waits_its_turn_while_another_decides(world: World) -> None:
    world.predict(1, 0.97)
    with world.transaction():
        world.run("SELECT pg_advisory_xact_lock(7461, 2)")
        decided(world.url)
        assert world.run("SELECT 1 FROM alert") == []
    decided(world.url)
    assert len(world.query("SELECT 1 FROM alert")) == 1


def test_the_alert_shows_the_newest_evidence_above_the_threshold(
    world: World,
) -> None:
    for n, probability in ((1, 0.6), (2, 0.93), (3, 0.1)):
        world.predict(n, probability)
        decided(world.url)
    (alert,) = world.query("SELECT * FROM alert")
    assert alert["probability"] == pytest.approx(0.93)
    assert (alert["region"], alert["org_node"]) == ("north_america", "na-lakeside")
    assert alert["evidence"][0]["channel"] == "fan_speed"


def test_an_acknowledged_alert_stays_so_until_it_resolves(world: World) -> None:
    world.predict(1, 0.97)
    decided(world.url)
    alert = world.query("SELECT id FROM alert")[0]["id"]
    with world.transaction("demo"):
        application.acknowledge(world.connection, alert, actor="ann", note="on my way")
    world.predict(2, 0.97)
    decided(world.url)
    assert world.query("SELECT state FROM alert") == [{"state": "acknowledged"}]
    with world.transaction("demo"), pytest.raises(Conflict, match="acknowledged"):
        application.acknowledge(world.connection, alert, actor="bob")
    last = world.query("SELECT actor, params FROM alert_event ORDER BY id DESC LIMIT 1")
    assert last == [{"actor": "ann", "params": {"note": "on my way"}}]


def test_an_alert_of_another_tenant_is_not_there(world: World) -> None:
    world.predict(1, 0.97)
    decided(world.url)
    alert = world.query("SELECT id FROM alert")[0]["id"]
    with world.transaction("other"), pytest.raises(NotFound):
        application.acknowledge(world.connection, alert, actor="eve")
    assert world.query("SELECT state FROM alert") == [{"state": "firing"}]


def test_a_silence_keeps_an_alert_quiet_until_it_is_ended(world: World) -> None:
    with world.transaction("demo"):
        silence = application.add_silence(
            world.connection,
            tenant="demo",
            matcher={"component": "hotend_fan"},
            author="ann",
            reason="moving the farm",
            starts_at=START,
            ends_at=START + 100 * HOUR,
        )
    world.predict(1, 0.97)
    decided(world.url)
    assert world.query("SELECT inhibited_by FROM alert") == [{"inhibited_by": "silenced"}]
    with world.transaction("demo"):
        application.end_silence(world.connection, silence, at=START + HOUR)
    decided(world.url)
    assert world.query("SELECT inhibited_by FROM alert") == [{"inhibited_by": None}]


@pytest.mark.parametrize(
    ("matcher", "reason", "hours"),
    [
        ({}, "r", 1),
        ({"colour": "red"}, "r", 1),
        ({"device": "d"}, " ", 1),
        ({"device": "d"}, "r", 0),
    ],
)
def test_a_silence_without_matcher_reason_or_end_is_refused(
    world: World, matcher: dict[str, str], reason: str, hours: int
) -> None:
    with world.transaction("demo"), pytest.raises(SilenceRefused):
        application.add_silence(
            world.connection,
            tenant="demo",
            matcher=matcher,
            author="ann",
            reason=reason,
            starts_at=START,
            ends_at=START + hours * HOUR,
        )


def test_a_silence_that_is_not_there_cannot_be_ended(world: World) -> None:
    with world.transaction("demo"), pytest.raises(NotFound):
        application.end_silence(world.connection, 99, at=START)
