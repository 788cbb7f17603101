"""How fast ingest is, against a bare pipe and a naive one, over real servers in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import psutil
from pydantic import SecretStr

from foremend import ready
from foremend.db import bootstrap, connect, storage
from foremend.errors import ForemendError
from foremend.settings import Settings
from ingest.app import ALONE
from ingest.mqtt import forget_sessions
from stack.bench.load import CHANNELS, Course
from stack.bench.pipes import PIPE
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import DataDir, open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAIVE_WINDOW: Final = 1000
"""Enough to keep it busy, and few enough to be through with them in the end."""
READY_S: Final = 30.0
OURS: Final = ("-m", "stack", "ingest")


class BenchFailed(ForemendError):
    """A part of the benchmark did not do what it should; the lines above say what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, and for how long."""

    devices: int = 2000
    seconds: float = 8.0
    warmup_s: float = 2.0
    rounds: int = 2
    window: int = 8000
    """Messages on their way at once, where as many are sent as come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one pipe did with one load."""

    messages_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_s: float
    """Of the pipe's process, while measuring."""
    rss_mb: float
    """The most that the pipe's process held."""
    messages: int
    """Stored while measuring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Servers:
    home: DataDir
    postgres: EmbeddedPostgres
    broker: EmbeddedBroker
    options: Options

    def database(self, name: str) -> str:
        """Make a migrated database, and give the runtime role's URL."""
        owner, app = self.home.secret(bootstrap.OWNER), self.home.secret(bootstrap.APP)
        with connect(self.postgres.url(), name="bench") as superuser:
            bootstrap.create_roles(superuser, owner_password=owner, app_password=app)
            bootstrap.create_database(superuser, name)
        with connect(self.postgres.url(name), name="bench") as superuser:
            bootstrap.enable_timescale(superuser)
        address = self.postgres.url(name).rsplit("@", 1)[1]
        bootstrap.migrate(f"postgresql://{bootstrap.OWNER}:{owner}@{address}")
        return f"postgresql://{bootstrap.APP}:{app}@{address}"

    def measure(
        self, argv: tuple[str, ...], url: str, *, acks: bool, rate: float = 0, window: int = 0
    ) -> Measured:
        """Run one pipe under one load."""
        with self._pipe(argv, url) as pipe:
            return self._load(pipe, acks=acks, rate=rate, window=window or self.options.window)

    @contextmanager
    def _pipe(self, argv: tuple[str, ...], url: str) -> Iterator[psutil.Process]:
        sign = self.home.path / "pipe.ready"
        sign.unlink(missing_ok=True)
        env = os.environ | {
            "FOREMEND_DATABASE_URL": url,
            "FOREMEND_BROKER_HOST": self.broker.host,
            "FOREMEND_BROKER_PORT": str(self.broker.port),
            "FOREMEND_BROKER_USER": self.broker.services.user,
            "FOREMEND_BROKER_PASSWORD": self.broker.services.password,
            ready.VARIABLE: str(sign),
        }
        with (self.home.folder("log") / "pipe.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, *argv], env=env, stdout=log, stderr=log
            )
        try:
            _wait_for(lambda: ready.announced(sign) == process.pid, process)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)
            # Or else the broker would keep for it what is meant for the next pipe.
            forget_sessions(self._login(), [ALONE, PIPE])

    def _login(self) -> Settings:
        return Settings(
            broker_host=self.broker.host,
            broker_port=self.broker.port,
            broker_user=self.broker.services.user,
            broker_password=SecretStr(self.broker.services.password),
        )

    def _load(self, pipe: psutil.Process, *, acks: bool, rate: float, window: int) -> Measured:
        course = Course(
            host=self.broker.host,
            port=self.broker.port,
            user=self.broker.services.user,
            password=self.broker.services.password,
            devices=self.options.devices,
            rate=rate,
            window=window,
            warmup_s=self.options.warmup_s,
            seconds=self.options.seconds,
            acks=acks,
        )
        argv = [sys.executable, "-m", "stack.bench.load", json.dumps(asdict(course))]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as generator:  # noqa: S603
            _told(generator, "begin")
            before = _cpu_s(pipe)
            end = _told(generator, "end")
            cpu_s, rss_mb = _cpu_s(pipe) - before, _peak_mb(pipe.pid)
            drained = _told(generator, "drained")
        if not drained["drained"]:
            raise BenchFailed(f"{drained['sent']} messages sent, {drained['stored']} stored")
        return Measured(
            messages_per_s=end["messages_per_s"],
            p50_ms=drained["p50_ms"],
            p99_ms=drained["p99_ms"],
            cpu_s=cpu_s,
            rss_mb=rss_mb,
            messages=round(end["messages_per_s"] * self.options.seconds),
        )


def bench(options: Options, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure every pipe over throw-away servers, and give the figures.

    Raises:
        BenchFailed: a pipe did not come up, or did not store all that was sent.
    """
    with (
        tempfile.TemporaryDirectory(prefix="foremend-bench-") as folder,
        open_data_dir(Path(folder) / "var") as home,
        serving(EmbeddedPostgres(home)) as postgres,
        serving(EmbeddedBroker(home)) as broker,
    ):
        servers = _Servers(home=home, postgres=postgres, broker=broker, options=options)
        return _figures(servers, tell)


def _figures(servers: _Servers, tell: Callable[[str], None]) -> dict[str, Any]:
    def pipe(name: str, window: int = 0) -> Measured:
        argv, url = ("-m", "stack.bench.pipes", name), servers.database(f"{name}_{next(numbers)}")
        return servers.measure(argv, url, acks=False, window=window)

    numbers = iter(range(1000))
    naives, bares, ours = [], [], []
    for _ in range(servers.options.rounds):
        naives.append(pipe("naive", NAIVE_WINDOW))
        tell(f"naive: {_line(naives[-1])}")
        bares.append(pipe("bare"))
        tell(f"bare: {_line(bares[-1])}")
        url = servers.database(f"ours_{next(numbers)}")
        ours.append(servers.measure(OURS, url, acks=True))
        tell(f"foremend: {_line(ours[-1])}")
    rate = median(m.messages_per_s for m in ours)
    url = servers.database("half")
    half = servers.measure(OURS, url, acks=True, rate=rate / 2)
    tell(f"foremend at half load: {_line(half)}")
    return _summary(naives, bares, ours, half) | {"storage": _storage(url)}


def _summary(
    naives: list[Measured], bares: list[Measured], ours: list[Measured], half: Measured
) -> dict[str, Any]:
    rate = median(m.messages_per_s for m in ours)
    bare_rate = median(m.messages_per_s for m in bares)
    naive_rate = median(m.messages_per_s for m in naives)
    samples = sum(m.messages for m in ours) * len(CHANNELS)
    return {
        "messages_per_s": round(rate),
        "samples_per_s": round(rate * len(CHANNELS)),
        "bare_messages_per_s": round(bare_rate),
        "naive_messages_per_s": round(naive_rate),
        "ratio_bare": round(rate / bare_rate, 3),
        "ratio_naive": round(rate / naive_rate, 1),
        "ack_p50_ms": round(half.p50_ms or 0, 1),
        "ack_p99_ms": round(half.p99_ms or 0, 1),
        "rss_mb": round(max(m.rss_mb for m in (*ours, half)), 1),
        "cpu_s_per_million_samples": round(1e6 * sum(m.cpu_s for m in ours) / samples, 2),
    }


def _line(measured: Measured) -> str:
    return (
        f"{measured.messages_per_s:,.0f} messages/s, {measured.cpu_s:.1f} s CPU, "
        f"{measured.rss_mb:.0f} MiB, p50 {measured.p50_ms or 0:.0f} ms, "
        f"p99 {measured.p99_ms or 0:.0f} ms"
    )


def _storage(url: str) -> str:
    with connect(url, name="bench") as link:
        return str(storage.in_use(link))


def _told(generator: subprocess.Popen[str], event: str) -> dict[str, Any]:
    line = generator.stdout.readline() if generator.stdout else ""
    told = json.loads(line) if line else {}
    if told.get("event") != event:
        raise BenchFailed(f"the generator of load ended early: {line!r}")
    return dict(told)


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            raise BenchFailed(f"{process.args!r} did not come up")
        time.sleep(0.05)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
