"""Mosquitto forgets a signal that comes while it reads; its gate must be heard all the same."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from foremend.device_secrets import mosquitto_hash
from foremend.errors import Unavailable
from foremend.settings import Settings
from ingest.gate import mosquitto
from ingest.gate.mosquitto import MosquittoGate
from ingest.gate.store import Entry
from ingest.line import greet
from stack.embedded.broker import EmbeddedBroker, Kind, NoBroker, program_on_path
from stack.embedded.datadir import open_data_dir
from stack.embedded.mqtt_probe import Login
from stack.embedded.ports import free_port
from stack.embedded.server import serving
from tests import deaf_broker
from tests.gate_world import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 10.0
SECRET = "a secret"


def entry(device: str) -> Entry:
    return Entry(
        login=f"{device}@demo",
        tenant="demo",
        device=device,
        mosquitto_hash=mosquitto_hash(SECRET, bytes(12)),
    )


OLD, NEW = entry("printer-01"), entry("printer-02")


class DeafBroker:
    """A process that is in the midst of reading for as long as the test wants."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self.folder = process, folder
        self.settings = Settings(data_dir=folder, broker_port=int(self.hears()))
        self._reading = False

    def begin_reading(self) -> str:
        """Signal it, as whoever rotates its log does; gives what it reads."""
        self._process.send_signal(signal.SIGHUP)
        return self.reads()

    def reads(self) -> str:
        self._reading = True
        return self.hears()

    def end_reading(self) -> None:
        if self._reading:
            self._reading = False
            print(file=self._process.stdin, flush=True)

    def hears(self) -> str:
        told, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert told, "the broker has read nothing"
        return self._process.stdout.readline().strip()


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[DeafBroker]:
    """Give a broker whose files name one device."""
    for name, text in mosquitto.files([OLD]).items():
        (tmp_path / name).write_text(text)
    command = (sys.executable, deaf_broker.__file__, str(tmp_path))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield DeafBroker(process, tmp_path)
        process.kill()


def test_a_change_made_while_the_broker_reads_is_read_afterwards(deaf) -> None:
    def answer() -> None:
        deaf.end_reading()
        greet(deaf.settings, "gate")

    assert deaf.begin_reading() == OLD.login

    MosquittoGate(deaf.folder, answer).admit([OLD, NEW])
    deaf.end_reading()

    assert deaf.reads() == f"{OLD.login},{NEW.login}"


def test_a_signal_lost_to_a_reading_that_began_after_the_change_has_nothing_to_tell(deaf) -> None:
    heard = []

    def answer() -> None:
        greet(deaf.settings, "gate")
        heard.append(deaf.begin_reading())

    MosquittoGate(deaf.folder, answer).admit([NEW])

    assert heard == [NEW.login]


def test_a_broker_that_does_not_answer_is_signalled_once_it_does(deaf) -> None:
    answers = iter([Unavailable("it is starting"), None])

    def answer() -> None:
        if (refusal := next(answers)) is not None:
            raise refusal

    gate = MosquittoGate(deaf.folder, answer)

    # One that is starting would die of a signal.
    gate.admit([NEW])
    # Had it been signalled, it would be reading instead of answering twice.
    for _ in range(2):
        greet(deaf.settings, "anybody")
    gate.admit([NEW])
    assert deaf.reads() == NEW.login


def test_what_mosquitto_is_told_is_counted_and_what_it_has_yet_to_be_told(deaf) -> None:
    def answer() -> None:
        if away:
            raise Unavailable

    def counted(name: str) -> float:
        return REGISTRY.get_sample_value(f"foremend_gate_mosquitto_{name}") or 0.0

    gate, told, away = MosquittoGate(deaf.folder, answer), counted("signals_total"), True

    gate.admit([OLD, NEW])
    assert (counted("devices"), counted("untold"), counted("signals_total")) == (2, 1, told)
    away = False
    gate.admit([OLD, NEW])
    assert (counted("devices"), counted("untold"), counted("signals_total")) == (2, 0, told + 1)


def test_what_a_gate_wrote_and_did_not_live_to_tell_the_next_one_tells(deaf) -> None:
    MosquittoGate(deaf.folder, partial(greet, deaf.settings, "gate")).admit([OLD])

    assert deaf.reads() == OLD.login


class HeldBroker(EmbeddedBroker):
    """A mosquitto that can be kept in the midst of reading, by pipes in place of two files.

    At SIGHUP it reads the password files of all listeners, then their access files, and opens its
    log anew. When the last access file can be written to, those of devices have been read; it goes
    on once somebody reads the log.
    """

    def prepare(self) -> None:
        super().prepare()
        self._access, self._log = self.store / "last-access", self.store / "last-log"
        self._access.touch(mode=0o600)
        more = ("listener", free_port(), "127.0.0.1\nacl_file", self._access)
        with (self.store / "broker.conf").open("a", encoding="utf-8") as file:
            print(*more, "\nlog_dest file", self._log, file=file)

    @contextmanager
    def reading(self) -> Iterator[Callable[[], None]]:
        """Have it read; it is not done before what is given was called, or at the end of this."""
        pid = int((self.store / mosquitto.PID).read_text(encoding="ascii"))
        access, log = map(_piped, (self._access, self._log))
        os.kill(pid, signal.SIGHUP)
        os.close(_writable(access))
        self._access.unlink()
        self._access.touch(mode=0o600)

        def go_on() -> None:
            # Without a name, so that the next reading opens a file.
            self._log.unlink(missing_ok=True)
            ends.append(os.open(log, os.O_RDONLY | os.O_NONBLOCK))

        ends: list[int] = []
        try:
            yield go_on
        finally:
            go_on()
            for end in ends:
                os.close(end)


def _piped(file: Path) -> Path:
    """Put a pipe in a file's place; gives the other name that it goes by."""
    pipe = file.with_suffix(".pipe")
    os.mkfifo(pipe, 0o600)
    file.unlink(missing_ok=True)
    file.hardlink_to(pipe)
    return pipe


def _writable(pipe: Path) -> int:
    """Open it as soon as somebody is there to read it."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < until, "mosquitto does not read its access files"
            time.sleep(0.01)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HeldBroker]:
    try:
        program = program_on_path(f"{os.environ['PATH']}:/usr/sbin", [Kind.MOSQUITTO])
    except NoBroker:
        pytest.skip("mosquitto is not installed")
    with (
        open_data_dir(tmp_path / "var") as home,
        serving(HeldBroker(home, program=program)) as broker,
    ):
        yield broker


def comes_in(broker: EmbeddedBroker, device: Entry) -> bool:
    guest = Device(broker, Login(user=device.login, password=SECRET), device.login)
    try:
        return guest.come_in()
    finally:
        guest.leave()


def comes_in_eventually(broker: EmbeddedBroker, device: Entry) -> bool:
    until = time.monotonic() + PATIENCE
    while not (inside := comes_in(broker, device)) and time.monotonic() < until:
        pass
    return inside


def test_a_device_enrolled_while_mosquitto_reads_comes_in(held) -> None:
    settings = Settings(
        data_dir=held.store,
        broker_port=held.port,
        broker_user=held.services.user,
        broker_password=held.services.password,
    )
    with held.reading() as go_on:

        def answer() -> None:
            go_on()
            greet(settings, "gate")

        MosquittoGate(held.store, answer).admit([NEW])

    assert comes_in_eventually(held, NEW)
