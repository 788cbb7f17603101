"""Orders under races, crashes between any two statements, and telemetry as it is stored."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from field_service import application
from field_service.catalogue import load
from field_service.labels import labels, outcome
from field_service.network import NETWORK, place, seed_network, unplaced
from field_service.parts import stock
from field_service.postgres import postgres_desk
from field_service.service import open_next, watch_all
from field_service.values import Subject
from foremend.db import EVERY_TENANT, connect, transaction
from foremend.errors import NotFound
from foremend.values import AsFound
from stack.site import place_devices
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
    home.query(
        "INSERT INTO destination (tenant, kind, url, events) VALUES"
        " ('demo', 'webhook', 'https://hook.example', '{work_order.opened}')"
    )
    yield home
    home.reset()


def fire(world: World, hours: float = 1, **columns: object) -> int:
    named: dict[str, object] = {
        "component": "hotend_fan",
        "failure_mode": "fan_wear",
        "state": "firing",
        "inhibited_by": None,
        "kind": "failure",
        **columns,
    }
    at = world.now(hours)
    row = world.query(
        "INSERT INTO alert (tenant, timeline, device_id, kind, component, failure_mode, state,"
        " inhibited_by, opened_at, fired_at, updated_at, probability, horizon_h) VALUES"
        " ('demo', 'sim:t', %s, %s, %s, %s, %s, %s, %s, %s, %s, 0.9, 24) RETURNING id",
        world.device,
        named["kind"],
        named["component"],
        named["failure_mode"],
        named["state"],
        named["inhibited_by"],
        at,
        None if named["state"] == "pending" else at,
        at,
    )
    return int(row[0]["id"])


def counts(world: World) -> dict[str, int]:
    tables = ("work_order", "work_order_event", "outbox")
    return {t: len(world.query(f"SELECT 1 FROM {t}")) for t in tables}


class Killed(Exception):
    """The worker is dead."""


class Mortal(psycopg.Connection[Any]):
    """A connection whose worker dies before its n-th statement."""

    left = 10**9

    def execute(self, *arguments: Any, **named: Any) -> Any:
        self.age()
        return super().execute(*arguments, **named)

    def age(self) -> None:
        if self.left == 0:
            self.close()
            raise Killed
        self.left -= 1


class MortalCursor(psycopg.Cursor[Any]):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        assert isinstance(self.connection, Mortal)
        self.connection.age()
        return super().execute(*arguments, **named)


def dies_before(url: str, n: int) -> bool:
    """Run a worker that dies before its n-th statement; False where it lived to the end."""
    connection = Mortal.connect(url, autocommit=True, cursor_factory=MortalCursor)
    connection.left = n
    try:
        open_next(connection, 6.0)
    except Killed:
        return True
    finally:
        connection.close()
    return False


def test_a_worker_killed_between_any_two_statements_opens_no_second_order(
    world: World,
) -> None:
    fire(world)
    deaths = 0
    while dies_before(world.url, deaths):
        deaths += 1
        assert counts(world) == {"work_order": 0, "work_order_event": 0, "outbox": 0}
    assert deaths > 8
    assert counts(world) == {"work_order": 1, "work_order_event": 3, "outbox": 1}
    with connect(world.url, name="test") as connection:
        assert not open_next(connection, 6.0)
    assert counts(world) == {"work_order": 1, "work_order_event": 3, "outbox": 1}


def test_workers_and_reporters_who_race_open_one_order(world: World) -> None:
    subject = Subject(
        timeline="sim:t",
        device_id=world.device,
        component="hotend_fan",
        failure_mode="fan_wear",
    )
    for n in range(4):
        fire(world, 1 + n, failure_mode="fan_wear", component="hotend_fan")
        start = threading.Barrier(4)

        def alerted(start: threading.Barrier = start) -> None:
            with connect(world.url, name="test") as connection:
                start.wait()
                open_next(connection, 6.0)

        def reported(start: threading.Barrier = start) -> None:
            with connect(world.url, name="test") as connection:
                start.wait()
                with transaction(connection, tenant="demo"):
                    application.open_reactive(
                        postgres_desk(connection), subject=subject, actor="ann"
                    )

        threads = [threading.Thread(target=t) for t in (alerted, alerted, reported, reported)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        orders = world.orders()
        assert [o["number"] for o in orders] == list(range(1, n + 2))
        assert [o["state"] for o in orders].count("offered") == 1
        world.move("cancel", reason="next round")
        world.query("UPDATE alert SET state = 'resolved'")
    keys = [row["key"] for row in world.query("SELECT key FROM outbox ORDER BY id")]
    assert keys == ["wo-1-opened", "wo-2-opened", "wo-3-opened", "wo-4-opened"]


def test_a_second_open_order_is_refused_by_the_database_itself(world: World) -> None:
    fire(world)
    assert open_next(world.connection, 6.0)
    with pytest.raises(psycopg.errors.UniqueViolation), world.transaction():
        world.run(
            "INSERT INTO work_order (tenant, number, timeline, region, device_id, component,"
            " failure_mode, state, opened_at, state_at) SELECT tenant, 2, timeline, region,"
            " device_id, component, failure_mode, 'proposed', opened_at, state_at FROM work_order"
        )


@pytest.mark.parametrize(
    "columns",
    [
        {"kind": "inspection", "component": "", "failure_mode": ""},
        {"state": "pending"},
        {"inhibited_by": "silenced"},
    ],
)
def test_what_is_no_loud_failure_alert_opens_nothing(
    world: World, columns: dict[str, object]
) -> None:
    fire(world, **columns)
    assert not open_next(world.connection, 6.0)
    assert world.orders() == []


@pytest.mark.parametrize(
    "columns",
    [{"state": "acknowledged"}, {"state": "resolved"}, {"inhibited_by": "open_work_order"}],
)
def test_what_fired_gets_its_order_however_it_went_on(
    world: World, columns: dict[str, object]
) -> None:
    fire(world, **columns)
    assert open_next(world.connection, 6.0)
    assert len(world.orders()) == 1


def test_a_failure_mode_that_no_catalogue_knows_is_looked_at_by_somebody_skilled(
    world: World,
) -> None:
    fire(world, component="comp2", failure_mode="failure")
    assert open_next(world.connection, 6.0)
    (order,) = world.orders()
    assert (order["kit"], order["state"]) == (None, "offered")
    assert order["strategy"] != "self_repair"


def test_a_supply_on_mains_is_never_sent_to_its_owner(world: World) -> None:
    fire(world, component="psu", failure_mode="supply_sag")
    assert open_next(world.connection, 6.0)
    (order,) = world.orders()
    assert order["kit"] == "PSU-1"
    assert order["strategy"] != "self_repair"
    fallen = {o["strategy"]: o["fallout"] for o in order["options"]}
    assert fallen["self_repair"] == "unsafe_for_owners"


def repaired(world: World, as_found: str = "degraded") -> None:
    fire(world)
    assert open_next(world.connection, 6.0)
    for action in ("accept", "start"):
        world.move(action)
    world.now(3)
    world.move("fit", as_found=as_found)


def state(world: World) -> str:
    watch_all(world.connection, 6.0)
    return str(world.orders()[-1]["state"])


def test_a_repair_is_closed_only_when_the_device_was_seen_running_long_enough(
    world: World,
) -> None:
    repaired(world)
    world.predict(8, 0.02)
    world.frames(3, 5, phase=3)
    world.frames(5.1, 9, phase=1)
    assert state(world) == "verifying"
    world.frames(9.1, 13.2, phase=3)
    assert state(world) == "closed"
    assert world.query("SELECT verified FROM finding") == [{"verified": "recovered"}]


def test_a_repair_is_reopened_when_the_risk_comes_back(world: World) -> None:
    repaired(world)
    world.predict(4, 0.9)
    assert state(world) == "verifying"
    world.predict(6, 0.9)
    assert state(world) == "offered"
    (order,) = world.orders()
    assert (order["reopened"], order["strategy"]) == (1, "walk_in")
    assert world.query("SELECT verified FROM finding") == [{"verified": "not_recovered"}]


def test_an_anomaly_or_an_error_holds_the_verdict_back(world: World) -> None:
    repaired(world)
    world.predict(8, 0.02)
    world.frames(3, 9.5)
    world.query(
        "INSERT INTO anomaly (device_id, tenant, timeline, kind, ts, score)"
        " VALUES (%s, 'demo', 'sim:t', 'alarm', %s, 9)",
        world.device,
        START + 7 * HOUR,
    )
    assert state(world) == "verifying"
    world.query("UPDATE anomaly SET kind = 'cleared'")
    world.frames(9.6, 9.7, phase=6)
    assert state(world) == "verifying"
    world.frames(9.8, 10, phase=3)
    assert state(world) == "closed"


def test_an_error_of_the_very_component_reopens_at_once(world: World) -> None:
    repaired(world)
    world.event(3.5, "fan_stalled", "hotend_fan")
    assert state(world) == "verifying"
    world.query("UPDATE event SET severity = 'error'")
    assert state(world) == "offered"


STOPPED = 7


def stops_with_an_error(world: World, hours: float) -> None:
    """Have the device say that it failed, as most do without naming a part."""
    world.event(hours, "E77", "")
    world.query("UPDATE event SET severity = 'critical', component = NULL WHERE code = 'E77'")


def test_a_machine_that_ran_and_stands_since_an_error_has_not_recovered(world: World) -> None:
    repaired(world)
    world.predict(8, 0.02)
    world.frames(3, 9.5)
    stops_with_an_error(world, 9.51)
    # A shaft takes its time to stand still.
    world.frames(9.52, 9.56)
    world.frames(9.6, 10, phase=STOPPED)
    assert state(world) == "verifying"
    world.frames(10.1, 27.1, phase=STOPPED)
    assert state(world) == "offered"
    assert world.query("SELECT verified FROM finding") == [{"verified": "not_recovered"}]


def test_a_machine_that_ran_and_is_out_of_use_has_recovered(world: World) -> None:
    repaired(world)
    world.predict(8, 0.02)
    world.frames(3, 9.5)
    world.frames(9.6, 10, phase=STOPPED)
    assert state(world) == "closed"
    assert world.query("SELECT verified FROM finding") == [{"verified": "recovered"}]


def test_a_machine_that_never_ran_after_the_repair_of_its_failure_is_reopened(
    world: World,
) -> None:
    stops_with_an_error(world, 0.5)
    repaired(world, as_found="failed")
    world.frames(3, 27.1, phase=STOPPED)
    assert state(world) == "offered"


def test_a_machine_that_another_order_sees_to_says_nothing_of_this_repair(world: World) -> None:
    stops_with_an_error(world, 0.5)
    repaired(world, as_found="failed")
    subject = Subject(
        timeline="sim:t", device_id=world.device, component="psu", failure_mode="supply_sag"
    )
    with world.transaction("demo"):
        application.open_reactive(postgres_desk(world.connection), subject=subject, actor="ann")
    world.frames(3, 27.1, phase=STOPPED)
    watch_all(world.connection, 6.0)
    assert [order["state"] for order in world.orders()] == ["closed", "offered"]
    assert world.query("SELECT verified FROM finding") == [{"verified": "no_telemetry"}]


def test_a_machine_that_was_tried_and_then_left_off_is_closed_without_a_verdict(
    world: World,
) -> None:
    stops_with_an_error(world, 0.5)
    repaired(world, as_found="failed")
    world.frames(3.1, 3.3)
    world.frames(3.4, 27.1, phase=STOPPED)
    assert state(world) == "closed"
    assert world.query("SELECT verified FROM finding") == [{"verified": "no_telemetry"}]


def test_the_view_of_labels_holds_the_rule_that_python_holds(
    world: World,
) -> None:
    repaired(world)
    verdicts = ("recovered", "not_recovered", "no_telemetry", None)
    cases = list(itertools.product(AsFound, (True, False), verdicts))
    with connect(world.superuser_url, name="test") as owner:
        for as_found, replaced, verified in cases:
            with transaction(owner, tenant=EVERY_TENANT):
                owner.execute(
                    "UPDATE finding SET as_found = %s, replaced = %s, verified = %s",
                    (as_found.value, replaced, verified),
                )
            with world.transaction("demo"):
                (label,) = labels(world.connection, known_by=START + 3 * HOUR, timeline="sim:t")
            expected = outcome(label.as_found, replaced=label.replaced, verified=label.verified)
            assert (label.failed, label.censored) == expected


def test_a_label_is_not_read_before_it_was_known_nor_by_another_tenant(world: World) -> None:
    repaired(world)
    with world.transaction("demo"):
        assert labels(world.connection, known_by=START + 2.9 * HOUR) == []
        assert labels(world.connection, known_by=START + 9 * HOUR, timeline="live") == []
    with world.transaction("other"):
        assert labels(world.connection, known_by=START + 9 * HOUR) == []


def test_the_runtime_role_cannot_rewrite_a_ledger_or_a_finding(world: World) -> None:
    repaired(world)
    for statement in (
        "UPDATE work_order_event SET actor = 'eve'",
        "DELETE FROM work_order_event",
        "UPDATE finding SET as_found = 'failed'",
        "DELETE FROM finding",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), world.transaction():
            world.run(statement)


def test_the_network_is_seeded_once(world: World) -> None:
    with world.transaction("demo"):
        before = stock(world.connection, "demo")
        seed_network(world.connection, "demo", at=START)
        assert stock(world.connection, "demo") == before
        assert len(world.run("SELECT 1 FROM org_node")) == len(NETWORK)
    kits = {row["kit"] for row in before}
    assert len(before) == len(NETWORK) * len(kits)
    assert kits == {kit.code for kit in load().kits()}


def test_two_tenants_have_networks_of_their_own(world: World) -> None:
    with world.transaction("other"):
        seed_network(world.connection, "other", at=START)
        assert len(world.run("SELECT 1 FROM org_node")) == len(NETWORK)


def test_a_device_that_moves_keeps_where_it_was(world: World) -> None:
    with world.transaction("demo"):
        for hours in (5, 6):
            place(
                world.connection,
                device_id=world.device,
                region="europe",
                org_node="eu-altfeld",
                at=START + hours * HOUR,
            )
        rows = world.run("SELECT region, valid_from, valid_to FROM placement ORDER BY valid_from")
        assert unplaced(world.connection, "demo") == []
    assert rows == [
        {"region": "north_america", "valid_from": START, "valid_to": START + 5 * HOUR},
        {"region": "europe", "valid_from": START + 5 * HOUR, "valid_to": None},
    ]
    with world.transaction("demo"), pytest.raises(NotFound, match="region"):
        place(world.connection, device_id=world.device, region="moon", org_node=None, at=START)
    with world.transaction("demo"), pytest.raises(NotFound, match="device"):
        place(world.connection, device_id=99, region="europe", org_node=None, at=START)


def test_the_demonstration_places_simulated_devices_and_nobody_elses(world: World) -> None:
    world.query("DELETE FROM placement")
    world.query("INSERT INTO timeline VALUES ('live', 'live', NULL) ON CONFLICT DO NOTHING")
    world.query(
        "INSERT INTO device (tenant, timeline, name, partition, family, state)"
        " VALUES ('demo', 'live', 'voron', 1, 'fdm_printer', 'online')"
    )

    placed = place_devices(world.connection, "demo")
    with world.transaction("demo"):
        left = [device["name"] for device in unplaced(world.connection, "demo")]
    world.query("DELETE FROM device WHERE timeline = 'live'")

    assert placed == 1
    assert left == ["voron"]


def test_a_device_nobody_placed_is_listed_and_served_from_headquarters(world: World) -> None:
    world.query("DELETE FROM placement")
    with world.transaction("demo"):
        (device,) = unplaced(world.connection, "demo")
    assert (device["name"], device["now"]) == ("printer-07", START)
    fire(world)
    assert open_next(world.connection, 6.0)
    (order,) = world.orders()
    assert (order["region"], order["org_node"]) == ("north_america", None)
    world.move("accept")
    moved = world.query("SELECT org_node FROM part_movement WHERE work_order_id IS NOT NULL")
    assert moved == [{"org_node": "hq"}]


def test_the_last_kit_goes_to_one_of_two_who_accept_at_once(
    world: World,
) -> None:
    world.rewrite("DELETE FROM part_movement WHERE org_node <> 'na-lakeside'")
    world.rewrite("UPDATE part_movement SET quantity = 1")
    fire(world)
    fire(world, component="nozzle", failure_mode="nozzle_clog")
    assert open_next(world.connection, 6.0)
    assert open_next(world.connection, 6.0)
    start = threading.Barrier(2)
    got: list[str | None] = []

    def reserve(number: int) -> None:
        with (
            connect(world.url, name="test") as connection,
            transaction(connection, tenant=EVERY_TENANT),
        ):
            desk = postgres_desk(connection)
            order = replace(desk.orders.get("demo", number), kit="BELT-1")
            start.wait()
            got.append(desk.parts.reserve(order, "BELT-1", ["na-lakeside"], START))

    threads = [threading.Thread(target=reserve, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got, key=str) == [None, "na-lakeside"]
    with world.transaction("demo"):
        left = [r["available"] for r in stock(world.connection, "demo") if r["kit"] == "BELT-1"]
    assert left == [0]


def test_evidence_travels_from_the_alert_to_the_order(world: World) -> None:
    alert = fire(world)
    evidence = [{"code": "channel_low", "channel": "fan_speed", "change": -0.31}]
    world.query("UPDATE alert SET evidence = %s WHERE id = %s", Jsonb(evidence), alert)
    assert open_next(world.connection, 6.0)
    (order,) = world.orders()
    assert (order["evidence"], order["alert_id"]) == (evidence, alert)
    (told,) = world.query("SELECT payload FROM outbox")
    assert told["payload"]["evidence"] == evidence
