"""From a prediction's row to a label: the whole path of alerting and field service, for real."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks.webhooks import Webhook

import alerting.service
import field_service.service
from field_service.labels import labels
from foremend.settings import Settings
from tests.field_world import HOUR, START, Receiver, World, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def home(new_database: Any, migrated_template: str) -> Iterator[World]:
    made = World(new_database(migrated_template, "foremend_owner"))
    yield made
    made.close()


@pytest.fixture
def world(home: World) -> Iterator[World]:
    yield home
    home.reset()


@pytest.fixture
def services(world: World) -> Iterator[None]:
    """Run both services as the supervisor would, each in a thread."""
    settings = Settings(database_url=world.url, allow_private_destinations=True)
    stop, failures = threading.Event(), []

    def run(service: Callable[[Settings, threading.Event], None]) -> None:
        try:
            service(settings, stop)
        except BaseException as error:  # noqa: BLE001 - judged after the test
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=(service,))
        for service in (alerting.service.run, field_service.service.run)
    ]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.mark.usefixtures("services")
def test_a_foreseen_failure_becomes_an_order_a_repair_and_a_label(
    world: World, receiver: Receiver
) -> None:
    world.query(
        "INSERT INTO destination (tenant, kind, url, secrets, events)"
        " VALUES ('demo', 'webhook', %s, %s, '{work_order.opened}')",
        receiver.url,
        [SECRET],
    )
    world.predict(10, 0.6)
    world.predict(11, 0.93)

    order = eventually(world.orders)[0]
    assert (order["state"], order["kit"], order["strategy"]) == (
        "offered",
        "FAN-2",
        "self_repair",
    )
    assert order["opened_at"] == START + 11 * HOUR
    assert order["evidence"][0]["channel"] == "fan_speed"
    assert [o["strategy"] for o in order["options"]][:2] == ["self_repair", "walk_in"]

    headers, body = eventually(lambda: receiver.taken)[0]
    told = Webhook(SECRET).verify(body, headers)
    assert (told["type"], told["data"]["order"]) == ("work_order.opened", "WO-1")
    assert told["data"]["text"].startswith("WO-1: kit FAN-2, self-repair (North America), ")

    world.now(12)
    for action in ("accept", "ship", "start"):
        world.move(action)
    world.event(13, "part_replaced", "hotend_fan")
    fitted = world.move("fit", as_found="degraded", note="blades cracked")
    assert fitted.verify_until == START + 19 * HOUR
    world.predict(16, 0.04)
    world.frames(13.1, 20)

    closed = eventually(lambda: [o for o in world.orders() if o["state"] == "closed"])[0]
    assert closed["as_found"] == "degraded"
    with world.transaction("demo"):
        (label,) = labels(world.connection, known_by=START + 30 * HOUR)
    assert (label.component, label.failed, label.censored) == ("hotend_fan", True, False)
    assert label.verified is not None
    assert label.verified.value == "recovered"
    assert json.loads(body)["id"] == "wo-1-opened"
    assert len(receiver.taken) == 1
