"""The embedded broker comes up from a crash, and lets each user say and hear only what is theirs.

The same tests run on nats-server, which ships with us, and on mosquitto where it is installed.
"""

from __future__ import annotations

import os
import queue
import socket
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from stack.embedded import residents
from stack.embedded.broker import (
    FILTERS,
    EmbeddedBroker,
    Kind,
    NoBroker,
    Program,
    find_program,
    program_on_path,
)
from stack.embedded.datadir import DataDir, open_data_dir
from stack.embedded.mqtt_probe import Answer, Login, probe
from stack.embedded.ports import LOOPBACK, PortTaken, free_port, is_free
from stack.embedded.server import ServerFailed, serving, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
"""Seconds: bounds a wait for a message that never comes."""
DEVICES = {"printer-01": "secret-1", "printer-02": "secret-2"}
UP, DOWN = "fm/1/7/demo/{}/up/data", "fm/1/7/demo/{}/down/ack"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DataDir]:
    with open_data_dir(tmp_path / "var") as home:
        yield home


@pytest.fixture(params=list(Kind), ids=lambda kind: kind.value)
def program(request: pytest.FixtureRequest) -> Program:
    if request.param is Kind.NATS:
        return find_program()
    try:
        return program_on_path(f"{os.environ['PATH']}:/usr/sbin", [Kind.MOSQUITTO])
    except NoBroker:
        pytest.skip("mosquitto is not installed")


@pytest.fixture
def server(home: DataDir, program: Program) -> Iterator[EmbeddedBroker]:
    with serving(EmbeddedBroker(home, program=program, devices=DEVICES)) as server:
        yield server


class Client:
    """An MQTT client whose every answer is waited for."""

    def __init__(
        self, server: EmbeddedBroker, login: Login, name: str, *, clean: bool = True
    ) -> None:
        self.inbox: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._granted: queue.Queue[list[int]] = queue.Queue()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, name, clean_session=clean)
        self._mqtt.username_pw_set(login.user, login.password)
        self._mqtt.on_message = lambda _c, _u, m: self.inbox.put((m.topic, m.payload))
        self._mqtt.on_subscribe = lambda _c, _u, _m, codes, _p: self._granted.put(
            [code.value for code in codes]
        )
        self._mqtt.connect(server.host, server.port)
        self._mqtt.loop_start()

    def subscribe(self, *filters: str) -> list[int]:
        self._mqtt.subscribe([(f, 1) for f in filters])
        return self._granted.get(timeout=PATIENCE)

    def publish(self, topic: str, payload: bytes) -> None:
        self._mqtt.publish(topic, payload, qos=1).wait_for_publish(PATIENCE)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


def login(device: str) -> Login:
    return Login(user=device, password=DEVICES[device])


def test_nobody_comes_in_without_a_password(server: EmbeddedBroker) -> None:
    assert probe(server.host, server.port, server.services) is Answer.ACCEPTED
    for stranger in (Login(user="", password=""), Login(user="printer-01", password="secret-2")):
        answer = probe(server.host, server.port, stranger)
        assert answer in (Answer.NOT_ALLOWED, Answer.BAD_LOGIN, Answer.SILENCE)


def test_a_device_is_heard_on_its_own_topics_only(server: EmbeddedBroker) -> None:
    ears = Client(server, server.services, "ears")
    ears.subscribe("fm/1/+/+/+/up/+")
    thief = Client(server, login("printer-01"), "printer-01")

    thief.publish(UP.format("printer-02"), b"forged")
    thief.publish(UP.format("printer-01"), b"own")

    # Messages of one publisher arrive in order, so the forged one would have come first.
    assert ears.inbox.get(timeout=PATIENCE) == (UP.format("printer-01"), b"own")
    for client in (ears, thief):
        client.close()


def test_a_device_hears_its_own_topics_only(server: EmbeddedBroker) -> None:
    device = Client(server, login("printer-01"), "printer-01")
    device.subscribe("fm/1/+/+/printer-02/down/#")
    assert device.subscribe("fm/1/7/demo/printer-01/down/#") == [1]
    mouth = Client(server, server.services, "mouth")

    mouth.publish(DOWN.format("printer-02"), b"not yours")
    mouth.publish(DOWN.format("printer-01"), b"yours")

    assert device.inbox.get(timeout=PATIENCE) == (DOWN.format("printer-01"), b"yours")
    for client in (device, mouth):
        client.close()


def test_the_fleets_login_speaks_for_any_device_but_not_for_us(server: EmbeddedBroker) -> None:
    ears = Client(server, server.services, "ears")
    ears.subscribe("fm/#")
    fleet = Client(server, server.fleet, "fleet")

    fleet.publish(DOWN.format("printer-02"), b"forged")
    fleet.publish(UP.format("printer-02"), b"simulated")

    assert ears.inbox.get(timeout=PATIENCE) == (UP.format("printer-02"), b"simulated")
    for client in (ears, fleet):
        client.close()


def test_all_the_filters_that_a_session_may_have_are_granted(server: EmbeddedBroker) -> None:
    worker = Client(server, server.services, "worker", clean=False)

    granted = worker.subscribe(*(f"fm/1/{n}/+/+/up/+" for n in range(FILTERS)))

    assert granted == [1] * FILTERS
    worker.close()


def test_a_killed_broker_comes_back_on_the_same_port(home: DataDir, program: Program) -> None:
    server = EmbeddedBroker(home, program=program)
    first = start(server)
    first.process.kill()
    first.process.wait()
    assert probe(server.host, server.port, server.services) is Answer.SILENCE

    with serving(server):
        assert server.ready()
        assert len(residents.residents(server.store, program.path.name)) == 1
    assert residents.residents(server.store, program.path.name) == ()


def test_a_taken_port_is_one_sentence(home: DataDir, program: Program) -> None:
    # Mosquitto takes the port above it as well.
    port = next(port for port in iter(free_port, None) if is_free(port + 1))
    server = EmbeddedBroker(home, program=program, port=port)
    # Bound but not listening: taken, and no probe is kept waiting for an answer.
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, port))
        with pytest.raises(PortTaken, match=f"Port {port} for the MQTT broker is taken by"):
            EmbeddedBroker(home, program=program, port=port)
        with pytest.raises(ServerFailed, match="its port was taken meanwhile; start again"):
            start(server)


def test_secrets_stay_in_files_of_their_owner(server: EmbeddedBroker) -> None:
    modes = {file.name: file.stat().st_mode & 0o077 for file in server.store.iterdir()}

    assert modes["broker.conf"] == 0
    assert server.services.password not in server.log.read_text()


def test_without_any_broker_the_sentence_says_what_to_install(
    tmp_path: Path,
) -> None:
    with pytest.raises(NoBroker, match="put nats-server or mosquitto on PATH"):
        program_on_path(str(tmp_path))

    (tmp_path / "mosquitto").touch(mode=0o755)
    assert program_on_path(str(tmp_path)).kind is Kind.MOSQUITTO
