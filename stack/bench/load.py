"""A process that speaks for many devices as fast as it may, and times what comes back.

It prints one JSON line where measuring begins and one where it ends. Messages are encoded as the
agent encodes them; only the network client is leaner, so that the load takes little of the machine.
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from foremend import wire
from ingest import packets

if TYPE_CHECKING:
    from collections.abc import Sequence

TENANT: Final = "bench"
BOOT: Final = "b1"
STORED_TOPIC: Final = "bench/stored"
"""Where a pipe without acknowledgements of ours says how many messages it has stored."""
PUBLISHERS: Final = 4
"""Connections over which the devices speak, as behind gateways."""
BURST: Final = 128
"""Messages that are made between two looks at the network."""
UNSENT: Final = 1 << 18
"""Bytes that one connection may hold back before nothing more is made for it."""
CONNECT_S: Final = 10.0
DRAIN_S: Final = 15.0
_ACKS_FILTER: Final = "fm/1/+/+/+/down/ack"
_TAILS: Final = 512

CHANNELS: Final = tuple(wire.Channel(name=f"channel_{n}", unit="1") for n in range(10))
SCHEMA: Final = wire.schema_hash(CHANNELS)
_ACK: Final = msgspec.json.Decoder(wire.Ack)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One run of the generator."""

    host: str
    port: int
    user: str
    password: str
    devices: int
    rate: float
    """Messages a second; 0 for as many as come back."""
    window: int
    """Messages that may be unanswered where no rate is given."""
    warmup_s: float
    seconds: float
    acks: bool
    """Whether the pipe sends acknowledgements of ours, else counts on `STORED_TOPIC`."""


class Line:
    """One connection to the broker, without blocking."""

    def __init__(self, course: Course, name: str, filters: Sequence[str] = ()) -> None:
        self.socket = socket.create_connection((course.host, course.port), CONNECT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = packets.connect(
            name, keepalive_s=0, clean=True, user=course.user, password=course.password
        )
        self.socket.sendall(hello)
        self._expect(packets.CONNACK)
        if filters:
            self.socket.sendall(packets.subscribe(1, filters, qos=0))
            self._expect(packets.SUBACK)
        self.socket.setblocking(False)
        self.unsent = b""
        self._rest = b""
        self._mid = 0

    def _expect(self, kind: int) -> None:
        _, others, rest = packets.split(self.socket.recv(4096))
        if rest or not others or others[0].kind != kind:
            raise SystemExit(f"the broker answers {others} instead of {kind:#x}")

    def next_mid(self) -> int:
        """Give the next packet id, 1 to 65,535 and round again."""
        self._mid = self._mid % 65_535 + 1
        return self._mid

    def send(self, more: bytes) -> None:
        """Hand on what the kernel takes, and keep the rest."""
        self.unsent += more
        if not self.unsent:
            return
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return

    def received(self) -> list[packets.Publish]:
        """Read what is there."""
        try:
            fresh = self.socket.recv(1 << 18)
        except BlockingIOError:
            return []
        if not fresh:
            raise SystemExit("the broker hung up")
        messages, _, self._rest = packets.split(self._rest + fresh)
        return messages


class Fleet:
    """What each device has said, and what of it has come back."""

    def __init__(self, course: Course) -> None:
        self._course = course
        names = [f"device-{n:05d}" for n in range(course.devices)]
        self._addresses = [wire.Address(tenant=TENANT, device=name) for name in names]
        self._topics = [a.up(wire.Up.DATA).encode() for a in self._addresses]
        self._numbers = {a.down(wire.Down.ACK).encode(): n for n, a in enumerate(self._addresses)}
        self._unanswered: list[deque[float]] = [deque() for _ in names]
        self._seqs = [0] * course.devices
        self._answered = [0] * course.devices
        self._turn = 0
        self._tails = _tails(random.Random(7))  # noqa: S311 - values, not secrets
        self.sent = 0
        self.stored = 0
        self.born = 0
        self.delays: list[float] = []

    def births(self, now_ms: int) -> list[tuple[bytes, bytes]]:
        """Give every device's introduction: topic and payload."""
        birth = wire.Birth(
            boot=BOOT, boot_ms=now_ms, schema=SCHEMA, channels=CHANNELS, family="bench", model="b"
        )
        payload = wire.encode(birth)
        return [(a.up(wire.Up.BIRTH).encode(), payload) for a in self._addresses]

    def next(self, due: float, now_ms: int) -> tuple[int, bytes, bytes]:
        """Let the next device speak: its number, topic and payload."""
        n = self._turn
        self._turn = (n + 1) % self._course.devices
        seq = self._seqs[n]
        self._seqs[n] = seq + 1
        self._unanswered[n].append(due)
        self.sent += 1
        tail = self._tails[(seq * 31 + n) % _TAILS]
        payload = b'{"boot":"%b","seq":%d,"schema":"%b","frames":{"t0_ms":%d,%b' % (
            BOOT.encode(),
            seq,
            SCHEMA.encode(),
            now_ms,
            tail,
        )
        return n, self._topics[n], payload

    def hear(self, message: packets.Publish, now: float, since: float) -> None:
        """Take an acknowledgement, or a count of what is stored."""
        if not self._course.acks:
            self.stored = max(self.stored, int(message.payload))
            return
        ack = _ACK.decode(message.payload)
        if ack.refused:
            raise SystemExit(f"ingest does not take what it is sent: {ack}")
        n = self._numbers[message.topic]
        self.born += ack.upto < 0
        times = self._unanswered[n]
        fresh = ack.upto + 1 - self._answered[n]
        for _ in range(fresh):
            due = times.popleft()
            if due >= since:
                self.delays.append(now - due)
        self._answered[n] += max(fresh, 0)
        self.stored += max(fresh, 0)


def _tails(rng: random.Random) -> list[bytes]:
    def one() -> bytes:
        values = [[round(rng.uniform(0, 250), 3)] for _ in CHANNELS]
        text = json.dumps(values, separators=(",", ":"))
        return f'"offset_ms":[0],"phase":[3],"quality":[0],"values":{text}}}}}'.encode()

    return [one() for _ in range(_TAILS)]


class Generator:
    """The loop: make what is due, send it, hear what comes back."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._fleet = Fleet(course)
        self._lines = [Line(course, f"bench-load-{n}") for n in range(PUBLISHERS)]
        topic = _ACKS_FILTER if course.acks else STORED_TOPIC
        self._ear = Line(course, "bench-ear", [topic])
        self._since = float("inf")

    def run(self) -> None:
        """Introduce the devices, warm up, measure, and wait for what is on its way."""
        if self._course.acks:
            self._introduce()
        begin = time.perf_counter()
        self._speak(begin, self._course.warmup_s)
        stored, self._since = self._fleet.stored, time.perf_counter()
        _say(event="begin")
        self._speak(self._since, self._course.seconds, at=self._fleet.sent)
        elapsed = time.perf_counter() - self._since
        measured = self._fleet.stored - stored
        _say(event="end", messages_per_s=measured / elapsed)
        drained = self._drain()
        delays = sorted(self._fleet.delays)
        _say(
            event="drained",
            sent=self._fleet.sent,
            stored=self._fleet.stored,
            drained=drained,
            p50_ms=_percentile(delays, 0.5),
            p99_ms=_percentile(delays, 0.99),
        )

    def _introduce(self) -> None:
        for n, (topic, payload) in enumerate(self._fleet.births(_now_ms())):
            line = self._lines[n % PUBLISHERS]
            line.send(packets.publish(topic, payload, line.next_mid()))
        until = time.perf_counter() + 6 * CONNECT_S
        while self._fleet.born < self._course.devices:
            self._listen(0.05)
            if time.perf_counter() > until:
                raise SystemExit(f"only {self._fleet.born} devices were made known")

    def _speak(self, start: float, seconds: float, at: int = 0) -> None:
        fleet, course = self._fleet, self._course
        while (now := time.perf_counter()) < start + seconds:
            if course.rate:
                allowed = int((now - start) * course.rate) - (fleet.sent - at)
            else:
                allowed = course.window - (fleet.sent - fleet.stored)
            count = min(allowed, BURST)
            if any(len(line.unsent) > UNSENT for line in self._lines):
                count = 0
            self._say_next(count, start, at, now)
            self._listen(0.0 if count == BURST else 0.001)

    def _say_next(self, count: int, start: float, at: int, now: float) -> None:
        fleet, rate, now_ms = self._fleet, self._course.rate, _now_ms()
        parts: list[list[bytes]] = [[] for _ in self._lines]
        for _ in range(count):
            # Timed from when it was due: a generator that lags hides no delay.
            due = start + (fleet.sent - at) / rate if rate else now
            n, topic, payload = fleet.next(due, now_ms)
            line = n % PUBLISHERS
            parts[line].append(packets.publish(topic, payload, self._lines[line].next_mid()))
        for one, fresh in zip(self._lines, parts, strict=True):
            one.send(b"".join(fresh))

    def _listen(self, patience: float) -> None:
        readable, _, _ = select.select(
            [self._ear.socket, *(line.socket for line in self._lines)], [], [], patience
        )
        now = time.perf_counter()
        for line in self._lines:
            if line.socket in readable:
                line.received()
        if self._ear.socket in readable:
            for message in self._ear.received():
                self._fleet.hear(message, now, self._since)

    def _drain(self) -> bool:
        until = time.perf_counter() + DRAIN_S
        while self._fleet.stored < self._fleet.sent and time.perf_counter() < until:
            for line in self._lines:
                line.send(b"")
            self._listen(0.02)
        return self._fleet.stored == self._fleet.sent


def _percentile(ordered: list[float], share: float) -> float | None:
    return 1000 * ordered[int(share * (len(ordered) - 1))] if ordered else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the course from the first argument, a JSON object, and run it."""
    Generator(Course(**json.loads(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
