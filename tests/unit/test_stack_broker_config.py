"""Both brokers are told the same: who may come in, and what each may say and hear."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremend.wire import Address, Down, Up
from stack.embedded.broker_config import (
    PACKET_IDS,
    Gate,
    devices_right,
    max_ack_pending,
    mosquitto_access,
    mosquitto_config,
    mosquitto_passwords,
    nats_config,
    nats_subjects,
    services_right,
)
from stack.embedded.mqtt_probe import Login, connect_packet

SERVICES = services_right(Login(user="services", password='a "quoted" word'))
ONE = devices_right(Login(user="printer-01", password="secret"), "printer-01")

GATE = Gate(
    port=4222,
    login=Login(user="gate", password="g"),
    system=Login(user="system", password="s"),
    issuer="A" * 56,
)


@pytest.mark.parametrize(
    ("mqtt_filter", "subjects"),
    [
        ("fm/1/+/+/printer-01/up/+", ("fm.1.*.*.printer-01.up.*",)),
        ("fm/1/7/demo/d/down/#", ("fm.1.7.demo.d.down", "fm.1.7.demo.d.down.>")),
        ("#", (">",)),
    ],
)
def test_a_filter_becomes_the_subjects_that_cover_it(
    mqtt_filter: str, subjects: tuple[str, ...]
) -> None:
    assert nats_subjects(mqtt_filter) == subjects


@given(st.integers(min_value=1, max_value=1000))
def test_all_filters_of_a_session_together_leave_packet_ids_over(filters: int) -> None:
    assert 0 < filters * max_ack_pending(filters) <= PACKET_IDS


def test_nats_is_told_loopback_users_and_rights() -> None:
    config = json.loads(
        nats_config(port=1883, store="/s", rights=[SERVICES, ONE], filters=8, gate=GATE)
    )

    assert config["mqtt"] == {
        "listen": "127.0.0.1:1883",
        "ack_wait": "10s",
        "max_ack_pending": 8191,
    }
    services, device, gate = config["authorization"]["users"]
    assert services["password"] == 'a "quoted" word'
    assert device["permissions"]["publish"]["allow"] == ["fm.1.*.*.printer-01.up.*"]
    assert {tuple(u["allowed_connection_types"]) for u in (services, device)} == {("MQTT",)}
    assert gate["allowed_connection_types"] == ["STANDARD"]


def test_whoever_nats_does_not_know_is_asked_of_the_gate() -> None:
    config = json.loads(
        nats_config(port=1, store="/s", rights=[SERVICES, ONE], filters=8, gate=GATE)
    )

    assert config["listen"] == "127.0.0.1:4222"
    assert config["authorization"]["auth_callout"] == {
        "issuer": "A" * 56,
        "auth_users": ["services", "printer-01", "gate", "system"],
    }


def test_on_mosquitto_an_enrolled_devices_login_is_its_client_id() -> None:
    config = mosquitto_config(port=1, device_port=2, store="/s", filters=8)
    services, devices = config.split("listener 2 ")

    assert "use_username_as_clientid" not in services
    assert "use_username_as_clientid true\npassword_file /s/device-passwords" in devices


@pytest.mark.parametrize("kind", [*Up, *Down])
def test_a_devices_own_topics_lie_within_its_filters(kind: Up | Down) -> None:
    address = Address(tenant="demo", device="printer-01")
    topic = address.up(kind) if isinstance(kind, Up) else address.down(kind)
    filters = ONE.publish if isinstance(kind, Up) else ONE.subscribe

    assert any(matches(f, topic) for f in filters)


def test_mosquitto_gets_the_same_rights() -> None:
    assert mosquitto_access([ONE]).splitlines() == [
        "user printer-01",
        "topic write fm/1/+/+/printer-01/up/+",
        "topic read fm/1/+/+/printer-01/down/#",
    ]


def test_mosquitto_gets_a_salted_hash_instead_of_a_password() -> None:
    one, other = (mosquitto_passwords([ONE], salt) for salt in (b"twelve bytes", b"other bytes!"))

    assert one.startswith("printer-01:$7$101$dHdlbHZlIGJ5dGVz$")
    assert one != other
    assert "secret" not in one


@given(st.text(min_size=1, max_size=200))
def test_a_connect_packet_says_its_own_length(password: str) -> None:
    packet = connect_packet(Login(user="u", password=password))
    length, used = decode_length(packet[1:])

    assert length == len(packet) - 1 - used


def decode_length(raw: bytes) -> tuple[int, int]:
    total = 0
    for used, byte in enumerate(raw, start=1):
        total |= (byte & 0x7F) << 7 * (used - 1)
        if byte < 0x80:
            return total, used
    raise AssertionError("a length without an end")


def matches(mqtt_filter: str, topic: str) -> bool:
    wanted, levels = mqtt_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(
        w in ("+", level) for w, level in zip(wanted, levels, strict=True)
    )
