"""Commands and configurations over HTTP: who may ask, what is kept of it, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api_fleet import seed
from tests.api_server import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests import api_server


@pytest.fixture(scope="module")
def site(new_migrated: Any) -> Iterator[api_server.Site]:
    url = new_migrated().app
    seed(url, step_s=7200).connection.close()
    with running(url) as console:
        yield console


@pytest.fixture
def dispatcher(site) -> Iterator[httpx.Client]:
    with site.program("dispatcher") as client:
        yield client


@pytest.fixture
def reader(site) -> Iterator[httpx.Client]:
    with site.program("auditor") as client:
        yield client


def test_a_command_is_queued_shown_and_noted(site, dispatcher, reader) -> None:
    body = {"kind": "burst", "args": {"seconds": 30}, "phases": ["idle"], "expires_s": 3600}

    answer = dispatcher.post("/devices/printer-07/commands", json=body)

    told = answer.json()
    assert answer.status_code == 201
    assert (told["state"], told["interlock"], told["sends"]) == ("queued", [1], 0)
    path = f"/devices/printer-07/commands/{told['id']}"
    assert reader.get(path).json() == told
    assert reader.get("/devices/printer-07/commands").json()[0] == told
    deeds = site.execute(
        "SELECT actor, details->>'kind' FROM audit_log WHERE action = 'device.command'"
    )
    assert deeds[-1] == ("dispatcher-of-demo", "burst")


def test_numbers_rise_with_each_command(site, dispatcher) -> None:
    for _ in range(3):
        dispatcher.post("/devices/printer-08/commands", json={"kind": "report"})
    counters = [
        row[0]
        for row in site.execute(
            "SELECT counter FROM command WHERE device = 'printer-08' ORDER BY asked_at"
        )
    ]
    assert counters == sorted(set(counters))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "no spaces"},
        {"kind": "burst", "phases": ["flying"]},
        {"kind": "burst", "expires_s": 0},
        {"kind": "burst", "args": {"deep": {"er": 1}}},
        {"kind": "burst", "args": {str(n): n for n in range(65)}},
    ],
)
def test_what_makes_no_sense_is_refused(dispatcher, body) -> None:
    answer = dispatcher.post("/devices/printer-07/commands", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_who_only_reads_commands_nothing(reader) -> None:
    assert reader.post("/devices/printer-07/commands", json={"kind": "burst"}).status_code == 403
    assert reader.put("/devices/printer-07/twin", json={"desired": {}}).status_code == 403


def test_another_tenant_finds_no_such_device(site) -> None:
    with site.program("engineer", tenant="other") as other:
        for answer in (
            other.post("/devices/printer-07/commands", json={"kind": "burst"}),
            other.get("/devices/printer-07/commands"),
            other.put("/devices/printer-07/twin", json={"desired": {}}),
        ):
            assert answer.status_code == 404


def test_what_is_desired_stands_beside_what_is_reported(dispatcher, reader) -> None:
    assert reader.get("/devices/printer-09/twin").status_code == 404

    first = dispatcher.put("/devices/printer-09/twin", json={"desired": {"log_level": "DEBUG"}})
    then = dispatcher.put("/devices/printer-09/twin", json={"desired": {"log_level": "INFO"}})

    told = reader.get("/devices/printer-09/twin").json()
    assert told == then.json()
    assert told["version"] > first.json()["version"] > told["reported_version"] == 0
    assert told["desired"] == {"log_level": "INFO"}


def order_of(client: httpx.Client, device: str) -> dict[str, Any]:
    found = client.get("/work-orders", params={"device": device}).json()["items"]
    return dict(client.get(f"/work-orders/{found[0]['number']}").json())


def answered(site, command: str, state: str, details: str, *, reason: str = "") -> None:
    """Settle a command as ingest does once the device has answered."""
    site.execute(
        "UPDATE command SET state = %s, details = %s, reason = %s WHERE id = %s",
        state,
        details,
        reason,
        command,
    )


def test_what_a_device_told_of_itself_stands_on_its_order(site, dispatcher) -> None:
    path = "/devices/printer-07/commands"
    test = dispatcher.post(path, json={"kind": "self_test"}).json()["id"]
    asked = dispatcher.post(path, json={"kind": "diagnostics"}).json()["id"]
    dispatcher.post(path, json={"kind": "burst"})
    dispatcher.post("/devices/printer-01/commands", json={"kind": "self_test"})
    answered(site, test, "finished", '{"heater_verdict": "measured", "heater_gain_k_s": 3.21}')
    answered(site, asked, "refused", "{}", reason="forbidden_phase")

    order = order_of(dispatcher, "printer-07")

    assert [(check["id"], check["state"]) for check in order["checks"]] == [
        (asked, "refused"),
        (test, "finished"),
    ]
    assert order["checks"][1]["details"]["heater_gain_k_s"] == 3.21
    person = site.browser()
    person.sign_in("admin", site.password)
    page = person.client.get(f"/work-orders/{order['number']}").text
    assert "heater gain, K/s" in page
    assert "3.21" in page
    assert "forbidden phase" in page


def test_what_was_told_before_an_order_is_none_of_its(site, dispatcher) -> None:
    asked = dispatcher.post("/devices/printer-03/commands", json={"kind": "self_test"}).json()
    site.execute(
        "UPDATE command SET issued_at = issued_at - interval '99 days' WHERE id = %s",
        asked["id"],
    )
    ids = [check["id"] for check in order_of(dispatcher, "printer-03")["checks"]]
    assert asked["id"] not in ids
