"""How soon a fleet is back after a kill -9 of its broker.

Each of the idle clients does over the wire what an agent does: a clean session, `down/#` at QoS 0,
a keepalive, and after a loss the agent's own jittered wait before each try. They are bytes on a
socket in one process: 8,000 clients of the library that the agent uses would measure the library.
"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from edge_agent import policy
from foremend.db import EVERY_TENANT, Queries, connect, transaction
from foremend.device_secrets import new_secret, secret_hash
from foremend.errors import ForemendError
from foremend.wire import Address
from ingest import packets
from stack.drill.ground import BROKER, GATE, ThrowAway
from stack.embedded.broker import FLEET_USER
from stack.embedded.mqtt_probe import Login

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stack.drill.parts import ProcessPart

_SQL: Final = Queries.load("stack.bench", "reconnect.sql")
TENANT: Final = "bench"
KEEPALIVE_S: Final = 30
TIMEOUT_S: Final = 10.0
"""As the agent's own default: a connection that is not accepted by then is given up."""
AT_ONCE: Final = 256
"""First connections under way at one moment; there is no storm before the broker's death."""
SPARE_FILES: Final = 256
BACK_WITHIN_S: Final = 60.0
PATIENCE_S: Final = 120.0
POLL_S: Final = 0.02
RESTARTED_AFTER_S: Final = 0.2
"""The supervisor's first delay."""


class TooFewFiles(ForemendError):
    """This user may not open enough files for so many clients; raise `ulimit -n` or take fewer."""


class FleetNotUp(ForemendError):
    """Not every client was let in before the broker's death, so nothing can be measured."""


@dataclass(slots=True, kw_only=True)
class Terms:
    """What the clients of a fleet share."""

    host: str
    port: int
    chance: Callable[[], float] = random.random
    tries: set[asyncio.Task[None]] = field(default_factory=set)
    """Connections that are being opened."""


@dataclass(slots=True, eq=False)
class Client(asyncio.Protocol):
    """One idle client; `since_s` says when it was last let in and heard."""

    device: str
    login: Login
    terms: Terms
    since_s: float = 0.0
    there: bool = False
    _gone: bool = False
    _failures: int = 0
    _rest: bytes = b""
    _transport: asyncio.Transport | None = None
    _timer: asyncio.TimerHandle | None = None

    def dial(self) -> None:
        """Begin to open a connection; where that fails, wait as an agent would and try again."""
        task = asyncio.ensure_future(self._dial())
        self.terms.tries.add(task)
        task.add_done_callback(self.terms.tries.discard)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a session."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's
        self._transport, self._rest = transport, b""
        user, password = self.login.user, self.login.password
        name = self.device if user == FLEET_USER else user
        hello = packets.connect(
            name, keepalive_s=KEEPALIVE_S, clean=True, user=user, password=password
        )
        transport.write(hello)
        self._after(TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Subscribe once accepted; be there once subscribed."""
        _, others, self._rest = packets.split(self._rest + data)
        for kind, body in others:
            if kind == packets.CONNACK and not body[1]:
                wanted = Address(tenant=TENANT, device=self.device).down()
                self._write(packets.subscribe(1, [wanted], qos=0))
            elif kind == packets.SUBACK and body[-1] != packets.SUBSCRIPTION_FAILED:
                self.there, self.since_s = True, time.monotonic()
                self._after(KEEPALIVE_S * (1 + self.terms.chance()) / 4, self._ping)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever the reason
        """Wait as an agent would, and try again."""
        if self.there:
            self.there, self._failures = False, 0
        self._transport = None
        if not self._gone:
            self._again()

    def leave(self) -> None:
        """Go for good."""
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await loop.create_connection(lambda: self, self.terms.host, self.terms.port)
        except (OSError, TimeoutError):
            self._again()

    def _ping(self) -> None:
        self._write(packets.PING)
        self._after(KEEPALIVE_S / 2, self._ping)

    def _again(self) -> None:
        self._failures += 1
        wait_s = policy.reconnect_after_s(self._failures, self.terms.chance())
        self._after(wait_s, self.dial)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _after(self, seconds: float, do: Callable[[], object]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, do)


def measure(devices: int, *, enrolled: bool = False) -> dict[str, Any]:
    """Let a fleet connect to a broker of its own, kill that, and see when everybody is back.

    With `enrolled` each has credentials of its own, for which the broker asks the gate, and that
    asks the database; else the broker knows their common login itself.

    Raises:
        TooFewFiles: the limit of open files does not allow it.
        FleetNotUp: not everybody was let in in the first place.
    """
    allow_files(devices + SPARE_FILES)
    names = [f"bench-{number}" for number in range(devices)]
    with (
        TemporaryDirectory(prefix="foremend-bench-") as folder,
        ThrowAway(Path(folder), devices=0) as ground,
    ):
        broker = ground.broker
        logins = dict.fromkeys(names, broker.fleet)
        if enrolled:
            logins = enrol(ground.app_url, names)
            ground.part(GATE)
        terms = Terms(host=broker.host, port=broker.device_port if enrolled else broker.port)
        clients = [Client(name, login, terms) for name, login in logins.items()]
        found = asyncio.run(_with(ground.part(BROKER), clients))
    return found | {"enrolled": enrolled}


def enrol(url: str, names: Sequence[str]) -> dict[str, Login]:
    """Give each device credentials of its own, as the gate finds them in the database."""
    passwords = [new_secret() for _ in names]
    row = {"tenant": TENANT, "devices": list(names), "hashes": list(map(secret_hash, passwords))}
    with connect(url, name="bench") as link, transaction(link, tenant=EVERY_TENANT):
        link.execute(_SQL["enrol"], row)
    return {
        name: Login(user=f"{name}@{TENANT}", password=password)
        for name, password in zip(names, passwords, strict=True)
    }


async def _with(broker: ProcessPart, clients: Sequence[Client]) -> dict[str, Any]:
    try:
        return await _measure(broker, clients)
    finally:
        for client in clients:
            client.leave()
        # Their transports are closed by the loop's next turn.
        await asyncio.sleep(0.1)


async def _measure(broker: ProcessPart, clients: Sequence[Client]) -> dict[str, Any]:
    began = time.monotonic()
    await _connect(clients)
    connect_s = time.monotonic() - began
    killed_at = time.monotonic()
    broker.kill()
    await asyncio.sleep(RESTARTED_AFTER_S)
    broker.start()
    await _until_there(clients, PATIENCE_S)
    back_s = sorted(c.since_s - killed_at for c in clients if c.there and c.since_s > killed_at)
    everybody = len(back_s) == len(clients)
    return {
        "devices": len(clients),
        "connect_s": round(connect_s, 2),
        "back_s_p50": round(statistics.median(back_s), 2) if back_s else None,
        "back_s_max": round(back_s[-1], 2) if everybody else None,
        "all_back": everybody and back_s[-1] <= BACK_WITHIN_S,
        "broker_rss_mb": round(broker.rss_mb(), 1),
        "back": len(back_s),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


async def _connect(clients: Sequence[Client]) -> None:
    for first in range(0, len(clients), AT_ONCE):
        some = clients[first : first + AT_ONCE]
        for client in some:
            client.dial()
        await _until_there(some, PATIENCE_S)
    missing = sum(not client.there for client in clients)
    if missing:
        raise FleetNotUp(f"{missing} of {len(clients)} clients were not let in by the broker")


async def _until_there(clients: Sequence[Client], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    # Looked at now and then: an event set 8,000 times would itself be in the way.
    while not all(client.there for client in clients) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)


def allow_files(count: int) -> None:
    """Raise this process's limit of open files, which its children inherit.

    Raises:
        TooFewFiles: this user may not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    enough = hard == resource.RLIM_INFINITY or hard >= count
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard if enough else count))
    except (ValueError, OSError) as error:
        raise TooFewFiles(
            f"{count} open files are needed and this user may have {hard}; raise it "
            f"(`ulimit -Hn {count}` as root) or take fewer --devices."
        ) from error
