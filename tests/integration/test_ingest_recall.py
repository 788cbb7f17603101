"""A session that the broker has lost: what it swallowed is asked for at once."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from foremend import wire
from foremend.settings import Settings
from ingest import packets
from ingest.acks import Told
from ingest.inbox import Inbox
from ingest.line import dial
from ingest.mqtt import Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.line import Line

ADDRESS = wire.Address(tenant="recall", device="unit-1")


@pytest.fixture
def settings(broker) -> Settings:
    return Settings(
        broker_host=broker.host,
        broker_port=broker.port,
        broker_user=broker.user,
        broker_password=broker.password,
    )


@pytest.fixture
def ear(settings) -> Iterator[Line]:
    """The device, which hears what it is told."""
    line = dial(settings, "unit-1-of-recall", keepalive_s=20, clean=True)
    line.send(packets.subscribe(1, [ADDRESS.down()], qos=0))
    while not line.turn(0.1, reading=True)[1]:
        pass
    yield line
    line.close()


@contextmanager
def subscribed(settings: Settings) -> Iterator[Subscriber]:
    ready = threading.Event()
    subscriber = Subscriber(
        settings, Inbox(), "recall-ingest", filters=["fm/1/+/recall/+/up/+"], welcome=ready.set
    )
    subscriber.start()
    assert ready.wait(10)
    yield subscriber
    subscriber.stop()


def asked(subscriber: Subscriber, ear: Line, boot: str) -> bool:
    """Acknowledge something, and tell whether that asked for what came before it."""
    subscriber.tell([Told(address=ADDRESS, ack=wire.Ack(boot=boot, upto=3))])
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for message in ear.turn(0.1, reading=True)[0]:
            return wire.decode_ack(message.payload).birth_wanted
    pytest.fail("nothing was heard")


def test_after_a_lost_session_each_boot_is_asked_once(settings, ear) -> None:
    with subscribed(settings) as anew:
        assert [asked(anew, ear, boot) for boot in ("b1", "b1", "b2", "b1")] == [1, 0, 1, 0]
    with subscribed(settings) as resumed:
        assert not asked(resumed, ear, "b1"), "the broker has kept what came meanwhile"
