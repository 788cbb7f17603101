"""Each device comes in as itself alone, without a restart of anything, until it is revoked."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from foremend.wire import Address, Down, Up
from stack.embedded.broker import (
    EmbeddedBroker,
    Kind,
    NoBroker,
    Program,
    find_program,
    program_on_path,
)
from stack.embedded.datadir import open_data_dir
from stack.embedded.mqtt_probe import Login
from stack.embedded.server import serving, start
from tests.field_world import eventually
from tests.gate_world import PATIENCE, TENANT, Device, Site, gate, site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.credentials import Enrolled

CUT_OFF_WITHIN_S = 60.0


@pytest.fixture(params=list(Kind), ids=lambda kind: kind.value)
def program(request: pytest.FixtureRequest) -> Program:
    if request.param is Kind.NATS:
        return find_program()
    try:
        return program_on_path(f"{os.environ['PATH']}:/usr/sbin", [Kind.MOSQUITTO])
    except NoBroker:
        pytest.skip("mosquitto is not installed")


@pytest.fixture
def place(tmp_path, migrated_urls, program) -> Iterator[Site]:
    with open_data_dir(tmp_path / "var") as home, site(home, migrated_urls.app, program) as running:
        yield running


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def login(enrolled: Enrolled) -> Login:
    return Login(user=enrolled.login, password=enrolled.secret)


def inside(stack: ExitStack, place: Site, enrolled: Enrolled) -> Device:
    """Give a device that has come in; on Mosquitto its files are read a moment after the claim."""
    device = eventually_in(place, enrolled)
    stack.callback(device.leave)
    return device


def eventually_in(place: Site, enrolled: Enrolled) -> Device:
    until = time.monotonic() + PATIENCE
    while True:
        device = Device(place.broker, login(enrolled), enrolled.login)
        if device.come_in():
            return device
        device.leave()
        assert time.monotonic() < until


def listener(stack: ExitStack, place: Site, topic_filter: str) -> Device:
    """Give an ear of the services at the devices' own broker."""
    ear = Device(place.broker, place.broker.services, "ear")
    ear._address = (place.broker.host, place.broker.port)
    assert ear.come_in()
    stack.callback(ear.leave)
    ear.hear(topic_filter)
    return ear


def test_a_claimed_device_comes_in_without_a_restart(place, stack) -> None:
    assert inside(stack, place, place.enrol("printer-01"))


def test_an_enrolled_device_is_heard_under_its_own_name_only(place, stack) -> None:
    ear = listener(stack, place, "fm/1/#")
    thief = inside(stack, place, place.enrol("printer-01"))
    own = Address(tenant=TENANT, device="printer-01")

    for stranger in (
        Address(tenant=TENANT, device="printer-02"),
        Address(tenant="other", device="printer-01"),
    ):
        thief.say(stranger.up(Up.DATA), b"forged")
    thief.say(own.down(Down.ACK), b"forged")
    thief.say(own.up(Up.DATA), b"own")

    # What one client says arrives in order, so what is forged would have come first.
    assert ear.inbox.get(timeout=PATIENCE) == (own.up(Up.DATA), b"own")


def test_an_enrolled_device_hears_what_is_for_it_only(place, stack) -> None:
    device = inside(stack, place, place.enrol("printer-01"))
    own, other = (Address(tenant=TENANT, device=d) for d in ("printer-01", "printer-02"))
    for topic_filter in (other.down(), "fm/1/#", own.up(Up.DATA), own.down()):
        device.hear(topic_filter)
    voice = listener(stack, place, "nothing")

    voice.say(other.down(Down.ACK), b"not yours")
    voice.say(own.up(Up.DATA), b"its own voice")
    voice.say(own.down(Down.ACK), b"yours")

    assert device.inbox.get(timeout=PATIENCE) == (own.down(Down.ACK), b"yours")


def test_nobody_throws_another_off_by_its_client_id(place, stack) -> None:
    victim = inside(stack, place, place.enrol("printer-01"))
    thief = place.enrol("printer-02")
    inside(stack, place, thief)

    impostor = Device(place.broker, login(thief), "printer-01@demo")
    stack.callback(impostor.leave)
    came_in = impostor.come_in()

    # Mosquitto lets it in under its own name, whatever it calls itself; nats-server not at all.
    assert came_in is (place.broker.program.kind is Kind.MOSQUITTO)
    own = Address(tenant=TENANT, device="printer-01")
    victim.hear(own.down())
    voice = listener(stack, place, "nothing")
    voice.say(own.down(Down.ACK), b"still there")
    assert victim.inbox.get(timeout=PATIENCE) == (own.down(Down.ACK), b"still there")
    assert not victim.left.is_set()


def test_a_stranger_and_a_wrong_secret_are_refused(place, stack) -> None:
    enrolled = place.enrol("printer-01")
    inside(stack, place, enrolled)

    for user, password in (("printer-09@demo", enrolled.secret), (enrolled.login, "guess")):
        stranger = Device(place.broker, Login(user=user, password=password), user)
        assert not stranger.come_in()
        stranger.leave()


def test_a_revoked_device_is_cut_off_and_stays_out(place, stack) -> None:
    enrolled, other = place.enrol("printer-01"), place.enrol("printer-02")
    device, neighbour = inside(stack, place, enrolled), inside(stack, place, other)

    place.revoke("printer-01")
    assert device.left.wait(CUT_OFF_WITHIN_S)

    again = Device(place.broker, login(enrolled), enrolled.login)
    assert not again.come_in()
    again.leave()
    assert not neighbour.left.is_set()


@pytest.mark.parametrize("program", [Kind.NATS], indirect=True, ids=lambda kind: kind.value)
def test_a_session_that_is_cut_off_is_counted_by_its_reason(place, stack) -> None:
    device = inside(stack, place, place.enrol("printer-01"))
    told = {"reason": "revoked"}
    before = REGISTRY.get_sample_value("foremend_gate_sessions_cut_total", told) or 0.0

    place.revoke("printer-01")
    assert device.left.wait(CUT_OFF_WITHIN_S)

    # It is counted a moment after the session has ended.
    assert eventually(
        lambda: REGISTRY.get_sample_value("foremend_gate_sessions_cut_total", told) == before + 1
    )


def test_a_device_that_was_revoked_may_be_enrolled_anew(place, stack) -> None:
    old = place.enrol("printer-01")
    inside(stack, place, old)
    place.revoke("printer-01")

    inside(stack, place, place.enrol("printer-01"))

    late = Device(place.broker, login(old), old.login)
    assert not late.come_in()
    late.leave()


@pytest.mark.parametrize("program", [Kind.NATS], indirect=True, ids=lambda kind: kind.value)
def test_while_the_gate_is_away_nobody_leaves_or_comes_and_then_all_is_made_up_for(
    tmp_path, migrated_urls, program, stack
) -> None:
    with (
        open_data_dir(tmp_path / "var") as home,
        serving(EmbeddedBroker(home, program=program)) as broker,
    ):
        place = Site(broker=broker, url=migrated_urls.app)
        with gate(home, broker, migrated_urls.app):
            enrolled = place.enrol("printer-01")
            device = inside(stack, place, enrolled)
            newcomer = place.enrol("printer-02")
        place.revoke("printer-01")
        waiting = Device(broker, login(newcomer), newcomer.login)
        assert not waiting.come_in()
        waiting.leave()
        assert not device.left.is_set()

        with gate(home, broker, migrated_urls.app):
            assert device.left.wait(CUT_OFF_WITHIN_S)
            inside(stack, place, newcomer)


def test_a_broker_that_was_killed_asks_the_same_gate_again(
    tmp_path, migrated_urls, program, stack
) -> None:
    with open_data_dir(tmp_path / "var") as home:
        broker = EmbeddedBroker(home, program=program)
        place = Site(broker=broker, url=migrated_urls.app)
        first = start(broker)
        with gate(home, broker, migrated_urls.app):
            enrolled = place.enrol("printer-01")
            device = inside(stack, place, enrolled)
            first.process.kill()
            first.process.wait()
            assert device.left.wait(PATIENCE)
            with serving(broker):
                returned = inside(stack, place, enrolled)
                place.revoke("printer-01")
                assert returned.left.wait(CUT_OFF_WITHIN_S)
