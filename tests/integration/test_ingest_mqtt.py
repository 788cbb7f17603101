"""The reader of our own against real brokers: NATS, and Mosquitto where it is installed."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from foremend import wire
from foremend.settings import Settings
from ingest import inbox as inboxes
from ingest import packets
from ingest.inbox import Inbox
from ingest.line import Line, dial
from ingest.mqtt import Subscriber, forget_sessions
from stack.embedded.broker import EmbeddedBroker, Kind, NoBroker, find_program, program_on_path
from stack.embedded.datadir import open_data_dir
from stack.embedded.server import Running, start
from stack.emulators.certificates import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.intake import Outcome

ADDRESS = wire.Address(tenant="mqtt", device="unit-1")
NAME = "mqtt-test"


@pytest.fixture(scope="module", params=list(Kind), ids=lambda kind: kind.value)
def own_broker(request, tmp_path_factory) -> Iterator[tuple[EmbeddedBroker, Running]]:
    """A broker that this module may stop."""
    program = find_program()
    if request.param is Kind.MOSQUITTO:
        path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin"
        try:
            program = program_on_path(path, [Kind.MOSQUITTO])
        except NoBroker:
            pytest.skip("no mosquitto is installed here")
    with open_data_dir(tmp_path_factory.mktemp("mqtt") / "var") as home:
        broker = EmbeddedBroker(home, program=program)
        running = start(broker)
        yield broker, running
        running.stop()


@pytest.fixture
def settings(own_broker) -> Settings:
    broker = own_broker[0]
    return Settings(
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.services.user,
        broker_password=broker.services.password,
    )


@pytest.fixture
def sender(settings) -> Iterator[Line]:
    line = dial(settings, "mqtt-sender", keepalive_s=60, clean=True)
    yield line
    line.close()


def listening(settings: Settings, inbox: Inbox) -> Subscriber:
    subscribed = threading.Event()
    subscriber = Subscriber(
        settings, inbox, NAME, filters=["fm/1/+/mqtt/+/up/+"], welcome=subscribed.set
    )
    subscriber.start()
    assert subscribed.wait(10)
    return subscriber


@pytest.fixture
def inbox(settings) -> Iterator[Inbox]:
    forget_sessions(settings, [NAME])
    yield Inbox()
    forget_sessions(settings, [NAME])


def say(sender: Line, *numbers: int, size: int = 10) -> None:
    for number in numbers:
        payload = str(number).encode().ljust(size)
        sender.send(packets.publish(ADDRESS.up(wire.Up.DATA).encode(), payload, number + 1))
    sender.turn(0, reading=True)


def heard(inbox: Inbox, count: int, within_s: float = 20.0) -> list[Outcome]:
    found: list[Outcome] = []
    until = time.monotonic() + within_s
    while len(found) < count and time.monotonic() < until:
        found += inbox.take(0.1, 0)
    return found


def numbers(outcomes: list[Outcome]) -> list[int]:
    return [int(o.arrival.payload) for o in outcomes]


def test_what_is_said_is_heard_in_order(settings, sender, inbox) -> None:
    subscriber = listening(settings, inbox)
    say(sender, *range(500))
    assert numbers(heard(inbox, 500)) == list(range(500))
    subscriber.stop()


def test_what_was_acknowledged_is_not_delivered_again_and_the_rest_is(
    settings, sender, inbox
) -> None:
    subscriber = listening(settings, inbox)
    say(sender, *range(6))
    first = heard(inbox, 6)
    subscriber.puback([o.arrival for o in first[:4]])
    subscriber.stop()
    again = listening(settings, inbox)
    assert sorted(numbers(heard(inbox, 2))) == [4, 5]
    assert inbox.take(0.2, 0) == []
    again.stop()


def test_what_is_said_while_nobody_listens_waits(settings, sender, inbox) -> None:
    listening(settings, inbox).stop()
    say(sender, 1, 2)
    subscriber = listening(settings, inbox)
    assert numbers(heard(inbox, 2)) == [1, 2]
    subscriber.stop()


def test_nothing_more_is_read_while_the_inbox_is_full(settings, sender, inbox) -> None:
    subscriber = listening(settings, inbox)
    for first in range(0, 200, 10):
        say(sender, *range(first, first + 10), size=200_000)
    until = time.monotonic() + 3
    while inbox.has_room() and time.monotonic() < until:
        sender.turn(0.05, reading=True)
    for _ in range(10):
        sender.turn(0.05, reading=True)
    assert inbox.size < inboxes.MOST_BYTES + (1 << 20)
    seen: set[int] = set()
    until = time.monotonic() + 40
    while len(seen) < 200 and time.monotonic() < until:
        some = inbox.take(0.1, 0)
        seen |= set(numbers(some))
        subscriber.puback([o.arrival for o in some])
        inbox.settled(some)
        sender.turn(0, reading=True)
    assert seen == set(range(200))
    subscriber.stop()


def test_a_line_reads_a_whole_burst_through_tls(tmp_path: Path) -> None:
    """What TLS has decrypted already is not seen by `select`."""
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = self_signed(tmp_path, "localhost")
    context.load_cert_chain(certificate, key)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(certificate)
    burst = b"".join(packets.publish(b"t", str(n).encode() * 50) for n in range(5000))

    def serve() -> None:
        with context.wrap_socket(theirs, server_side=True) as link:
            link.sendall(burst)
            link.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    link = trusting.wrap_socket(ours, server_hostname="localhost")
    link.setblocking(False)
    line = Line(link, session_present=False)
    got, until = 0, time.monotonic() + 10
    while got < 5000 and time.monotonic() < until:
        got += len(line.turn(0.5, reading=True)[0])
    line.send(packets.DISCONNECT)
    line.turn(0.1, reading=False)
    line.close()
    thread.join()
    assert got == 5000
