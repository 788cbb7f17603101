"""From a sensor to a label over the wire: a fan wears out, and is mended before it fails."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from field_service.labels import labels
from foremend.clock import to_datetime
from foremend.db import transaction
from tests.acceptance.stage import EARLY, ONSET_H, PART, TENANT, Stage, a_world, stage, taught
from tests.field_world import Receiver, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.training import TrainedModel

pytestmark = pytest.mark.timeout(400)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SICK, MIXED_UP = "printer-02", "printer-04"


@pytest.fixture(scope="session")
def trained() -> TrainedModel:
    return taught()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def subscribe(system: Stage, receiver: Receiver) -> None:
    with transaction(system.link, tenant=TENANT):
        system.link.execute(
            "INSERT INTO destination (tenant, kind, url, secrets, events)"
            " VALUES (%s, 'webhook', %s, %s, '{work_order.opened}')",
            (TENANT, receiver.url, [SECRET]),
        )


def open_and_past(system: Stage) -> dict[str, list[dict[str, Any]]]:
    """Give the orders by device."""
    by_device: dict[str, list[dict[str, Any]]] = {}
    for order in system.orders():
        by_device.setdefault(order["device"], []).append(order)
    return by_device


async def until_closed(system: Stage, devices: set[str], *, by_h: float) -> None:
    while {o["device"] for o in system.orders() if o["state"] == "closed"} < devices:
        assert system.hour < by_h, system.orders()
        await system.live(2)


async def test_a_worn_fan_is_foreseen_mended_verified_and_learnt_from(
    tmp_path, migrated_urls, trained, receiver
) -> None:
    world = a_world(SICK, MIXED_UP)
    async with stage(tmp_path, migrated_urls.app, trained, world, wrong_box=MIXED_UP) as system:
        subscribe(system, receiver)
        for _ in range(5):
            await system.live(ONSET_H // 5)
        assert not system.orders()
        await until_closed(system, {SICK, MIXED_UP}, by_h=100)

        orders = open_and_past(system)
        assert orders.keys() == {SICK, MIXED_UP}, "an order on a healthy component"
        assert_foreseen_in_time(system, orders)
        assert_right_kit_cures(system, orders[SICK])
        assert_wrong_kit_does_not(system, orders[MIXED_UP])
        assert_labels(system)
        assert_told(orders, receiver)
        assert_nothing_lost(system)


def assert_foreseen_in_time(system: Stage, orders: dict[str, list[dict[str, Any]]]) -> None:
    due = {t.device: to_datetime(t.due_ms) for t in system.fleet.world.truth() if t.due_ms}
    for device, opened in orders.items():
        (order,) = opened
        assert order["component"] == PART
        assert order["failure_mode"] == "fan_wear"
        assert order["kit"] == "FAN-2"
        assert order["opened_at"] < due[device]
        assert order["probability"] >= EARLY
        assert any(r["subject"].startswith("hotend_fan") for r in order["evidence"])
        feasible = [one for one in order["options"] if one["fallout"] is None]
        assert order["strategy"] in {one["strategy"] for one in feasible}
        assert len(feasible) >= 2, "there must be a runner-up"


def turns(system: Stage, order: dict[str, Any]) -> list[str]:
    """Give the moves of an order that people and telemetry decide on."""
    told = {"open", "accept", "ship", "start", "fit", "reopen", "close", "cancel", "lapse"}
    return [move for move in system.moves(order["number"]) if move in told]


def assert_right_kit_cures(system: Stage, orders: list[dict[str, Any]]) -> None:
    (order,) = orders
    assert turns(system, order) == ["open", "accept", "ship", "start", "fit", "close"]
    assert order["as_found"] in {"degraded", "failed"}
    (truth,) = (t for t in system.fleet.world.truth() if t.device == SICK)
    assert truth.repaired_ms is not None


def assert_wrong_kit_does_not(system: Stage, orders: list[dict[str, Any]]) -> None:
    (order,) = orders
    attempt = ["accept", "ship", "start", "fit"]
    assert turns(system, order) == ["open", *attempt, "reopen", *attempt, "close"]
    replaced = system.ask(
        "SELECT e.component FROM event e JOIN device d ON d.id = e.device_id"
        " WHERE d.name = %s AND e.code = 'part_replaced' ORDER BY e.ts",
        (MIXED_UP,),
    )
    assert [row["component"] for row in replaced] == ["part_fan", PART]


def assert_labels(system: Stage) -> None:
    later = to_datetime(system.fleet.world.now_ms) + timedelta(days=3650)
    with transaction(system.link, tenant=TENANT):
        known = labels(system.link, known_by=later)
    told = {(label.device, label.component, label.attempt): label for label in known}
    mended = [label for label in known if label.component == PART and label.failed]
    assert {label.device for label in mended} == {SICK, MIXED_UP}, told
    assert all(label.verified and label.verified.value == "recovered" for label in mended)


def assert_told(orders: dict[str, list[dict[str, Any]]], receiver: Receiver) -> None:
    taken = eventually(lambda: receiver.taken if len(receiver.taken) >= len(orders) else None)
    told = [Webhook(SECRET).verify(body, headers) for headers, body in taken]
    numbers = sorted(order["number"] for opened in orders.values() for order in opened)
    assert sorted(one["data"]["order"] for one in told) == [f"WO-{n}" for n in numbers]
    assert all(one["type"] == "work_order.opened" for one in told)
    headers, body = taken[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"FAN-2", b"FAN-1"), headers)


def assert_nothing_lost(system: Stage) -> None:
    """Hold what the agents were told is committed against the rows that are there."""
    counters = [agent.counters for agent in system.fleet.agents.values()]
    (stored,) = system.ask(
        "SELECT count(*) AS frames, count(DISTINCT (device_id, ts)) AS readings FROM frame"
    )
    said = round(system.hour * 6) * len(counters)
    acked = sum(c.frames_acked for c in counters)
    assert (acked, stored["frames"], stored["readings"]) == (said, said, said)
    assert sum(c.gaps + c.refused for c in counters) == 0


async def test_killing_ingest_and_scoring_loses_no_frame_and_opens_no_second_order(
    tmp_path, migrated_urls, trained
) -> None:
    async with stage(tmp_path, migrated_urls.app, trained, a_world(SICK)) as system:
        for _ in range(5):
            await system.live(ONSET_H // 5)
        await system.say(6)
        for service in (system.ingest, system.scoring):
            service.kill()
            service.start()
        await system.settle()
        while not system.orders():
            assert system.hour < 70
            await system.say(2)
            await system.settle()
        system.ingest.kill()
        await system.say(2)
        system.scoring.kill()
        system.ingest.start()
        system.scoring.start()
        await system.settle()

        (order,) = system.orders()
        assert (order["device"], order["kit"]) == (SICK, "FAN-2")
        assert turns(system, order) == ["open"]
        assert_nothing_lost(system)
        (fired,) = system.ask("SELECT count(*) AS times FROM alert WHERE kind = 'failure'")
        assert fired["times"] == 1
