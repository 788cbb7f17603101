"""From a critical event that ingest stored to its alert, its notice, and what people see of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import dict_row

from alerting.batch import handle
from alerting.postgres import PostgresAlerts
from alerting.service import decide_once
from foremend import wire
from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from ingest.intake import Accepted, Arrival, read
from ingest.store import PostgresStore
from stack.story import Teller
from tests.api_server import running

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = (wire.Channel(name="hotend_temp", unit="Cel"),)
SCHEMA = wire.schema_hash(CHANNELS)
ADDRESS = wire.Address(tenant="demo", device="klipper")
MESSAGE = "Heater extruder not heating at expected rate"
NOW = wall_ms()
PAGES = ("/", "/alerts", "/alerts/1", "/devices/klipper")
ORDER = """
INSERT INTO work_order (tenant, number, timeline, region, device_id, component, failure_mode, state,
                        opened_at, state_at)
SELECT tenant, 1, timeline, 'europe', id, 'hotend_fan', 'fan_wear', 'offered', now(), now()
FROM device
"""


@pytest.fixture
def connection(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.app, name="test") as link:
        query(
            link,
            "INSERT INTO destination (tenant, kind, url, events) VALUES"
            " ('demo', 'webhook', 'https://hook.example', '{alert.fired,alert.resolved}')",
        )
        yield link


class Died(Exception):
    """The process ends between its decisions and their commit."""


def die_deciding(connection: Connection) -> None:
    with transaction(connection, tenant=EVERY_TENANT):
        assert handle(PostgresAlerts(connection)) == 1
        raise Died


def query(connection: Connection, sql: str, *parameters: object) -> list[tuple]:
    with transaction(connection, tenant=EVERY_TENANT):
        cursor = connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def store(connection: Connection, kind: wire.Up, message: object) -> None:
    accepted = read(Arrival(topic=ADDRESS.up(kind), payload=wire.encode(message)))
    assert isinstance(accepted, Accepted), accepted
    PostgresStore(connection).commit([accepted], (), wall_ms())


def born(connection: Connection) -> None:
    birth = wire.Birth(
        boot="b1",
        boot_ms=NOW - 3_600_000,
        schema=SCHEMA,
        channels=CHANNELS,
        family="fdm_printer",
        model="P1",
    )
    store(connection, wire.Up.BIRTH, birth)


def said(connection: Connection, seq: int, code: str, **fields: object) -> None:
    event = wire.Event(boot="b1", seq=seq, ts_ms=NOW - 60_000 + seq * 1000, code=code, **fields)
    store(connection, wire.Up.EVENT, event)


def halted(connection: Connection, seq: int = 0) -> None:
    fields = {"severity": "critical", "component": "hotend_heater"}
    said(connection, seq, "heater_not_heating", details={"message": MESSAGE}, **fields)


def alerts(connection: Connection) -> list[tuple]:
    return query(connection, "SELECT kind, component, failure_mode, state FROM alert ORDER BY id")


def notices(connection: Connection) -> list[tuple]:
    return query(connection, "SELECT key, event, payload ->> 'code' FROM outbox ORDER BY id")


def test_a_printer_that_halts_opens_an_alert_and_is_told_until_it_is_ready_again(
    connection: Connection,
) -> None:
    born(connection)
    halted(connection)
    halted(connection)
    decide_once(connection)
    assert alerts(connection) == [("fault", "hotend_heater", "heater_not_heating", "firing")]
    assert notices(connection) == [("alert-1-fired", "alert.fired", "heater_not_heating")]

    said(connection, 1, "klippy_ready")
    decide_once(connection)
    assert [row[3] for row in alerts(connection)] == ["resolved"]
    assert [row[0] for row in notices(connection)] == ["alert-1-fired", "alert-1-resolved"]


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("heater_not_heating", "error"),
        ("heater_not_heating", "info"),
        ("source_lost", "critical"),
        ("clock_step", "critical"),
        ("part_replaced", "critical"),
    ],
)
def test_what_tells_no_critical_fault_of_the_device_opens_no_alert(
    connection: Connection, code: str, severity: str
) -> None:
    born(connection)
    said(connection, 0, code, severity=severity)
    decide_once(connection)
    assert alerts(connection) == []


def test_an_event_is_handled_once_though_alerting_dies_before_it_commits(
    connection: Connection,
) -> None:
    born(connection)
    halted(connection)
    with pytest.raises(Died):
        die_deciding(connection)
    assert (alerts(connection), notices(connection)) == ([], [])
    for _ in range(3):
        decide_once(connection)
    assert len(alerts(connection)) == len(notices(connection)) == 1
    assert query(connection, "SELECT action, reason FROM alert_event") == [("fire", "told")]


def test_two_workers_make_one_alert_of_a_storm_of_repeats(migrated_urls, connection) -> None:
    born(connection)
    for seq in range(20):
        halted(connection, seq)
    start = threading.Barrier(2)

    def work() -> None:
        with connect(migrated_urls.app, name="test-worker") as own:
            start.wait()
            for _ in range(10):
                decide_once(own)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert query(connection, "SELECT hits FROM alert") == [(20,)]
    assert len(notices(connection)) == 1


def test_what_was_stored_before_anybody_asked_for_faults_alarms_nobody(connection) -> None:
    born(connection)
    halted(connection)
    query(connection, "UPDATE event SET handled_at = now()")
    decide_once(connection)
    assert alerts(connection) == []


def test_the_terminal_tells_a_fault_and_not_one_that_an_order_sees_to(
    migrated_urls, connection: Connection
) -> None:
    born(connection)
    with psycopg.connect(migrated_urls.app, autocommit=True, row_factory=dict_row) as link:
        teller = Teller(link, "live")
        query(connection, ORDER)
        said(connection, 0, "fan_stalled", severity="critical", component="hotend_fan")
        halted(connection, 1)
        decide_once(connection)
        line = "klipper hot-end heater: heater not heating, as the device says"
        assert teller.news() == [line]
    assert len(alerts(connection)) == 2
    assert [row[2] for row in notices(connection)] == ["heater_not_heating"]


def test_people_see_which_part_it_is_and_what_the_device_said(migrated_urls, connection) -> None:
    born(connection)
    halted(connection)
    decide_once(connection)
    with running(migrated_urls.app) as site:
        with site.program("dispatcher") as program:
            (alert,) = program.get("/alerts", params={"timeline": "live"}).json()["items"]
            acknowledged = program.post("/alerts/1/acknowledge").json()
        assert (alert["kind"], alert["component"]) == ("fault", "hotend_heater")
        assert (alert["failure_mode"], alert["state"]) == ("heater_not_heating", "firing")
        assert (alert["probability"], alert["order_number"]) == (None, None)
        assert acknowledged["state"] == "acknowledged"
        person = site.browser()
        person.sign_in("admin", site.password)
        pages = [person.get(f"{page}?timeline=live").text for page in PAGES]
    for page in pages:
        assert "heater not heating" in page
    assert MESSAGE in pages[0]
    assert MESSAGE in pages[2]
