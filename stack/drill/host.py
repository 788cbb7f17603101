"""The devices of a drill: real agents in a process of their own, with a ledger beside them.

    python -m stack.drill.host PLAN LIFE

SIGTERM lets the devices fall silent, and ends the process once everything is acknowledged.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from edge_agent import logs
from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.mqtt_link import MqttConnector
from edge_agent.outbox.ballast import Ballast
from edge_agent.outbox.eviction import Bounds
from edge_agent.outbox.group import serving
from edge_agent.outbox.sqlite_store import SqliteStore
from edge_agent.source import Description, Frame, Happening
from foremend import ready, wire
from foremend.clock import wall_ms
from stack.drill.ledger import Acked, Formed, Generated, Kept, LedgerWriter, Undone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from edge_agent.link import Connector
    from edge_agent.messages import Change, Draft, Settlement
    from edge_agent.outbox.group import OutboxFile
    from edge_agent.outbox.store import Append
    from edge_agent.source import Item
    from foremend.clock import NowMs

LIFE: Final = 1_000_000
"""Numbers that one life of the process may give out; a later life takes the next million."""
BALLAST_BYTES: Final = 512 * 1024
EVENT_EVERY: Final = 10
EVENT_CODE: Final = "drill"
NUMBER: Final = "number"
"""The first channel, and the detail of each event: which reading this is."""


class Plan(Struct, frozen=True, kw_only=True):
    """What the process is told; a JSON file."""

    tenant: str
    broker: BrokerConfig
    passwords: dict[str, str]
    """Each device's own."""
    ledger: str
    outbox: str
    clock: str = ""
    """A file that holds how many milliseconds the devices' clock is wrong by; empty for none."""
    rate_hz: float = 20.0
    """Readings a second of each device."""
    channels: int = 4
    frames_per_message: int = 5
    max_frame_age_s: float = 0.2
    first_resend_s: float = 30.0
    outbox_bytes: int = 64 * 1024**2


class LedgerSource:
    """Readings that are in the ledger before the agent sees them."""

    def __init__(self, plan: Plan, device: str, ledger: LedgerWriter, clock: NowMs) -> None:
        self._plan, self._device, self._ledger, self._clock = plan, device, ledger, clock
        self._chance = random.Random(device)  # noqa: S311 - readings, not secrets
        self._numbers = iter(range(0))
        self._quiet = asyncio.Event()

    def begin_life(self, life: int) -> None:
        """Number what follows so that it differs from every earlier life's."""
        self._numbers = iter(range(life * LIFE + 1, (life + 1) * LIFE))

    def describe(self) -> Description:
        """Say what the device is."""
        names = (NUMBER, *(f"c{n}" for n in range(1, self._plan.channels)))
        return Description(
            channels=tuple(wire.Channel(name=name, unit="1") for name in names),
            family="drill",
            model="drill",
        )

    async def read(self) -> AsyncIterator[Item]:
        """Give a reading at each beat, and a happening now and then, until quiet."""
        for number in self._numbers:
            yield self._item(number)
            try:
                async with asyncio.timeout(1 / self._plan.rate_hz):
                    await self._quiet.wait()
            except TimeoutError:
                continue
            return

    async def close(self) -> None:
        """Generate nothing more."""
        self._quiet.set()

    def _item(self, number: int) -> Frame | Happening:
        if number % EVENT_EVERY == 0:
            self._note(number, "")
            details = {NUMBER: number}
            return Happening(ts_ms=self._clock(), code=EVENT_CODE, details=details)
        rest = (self._chance.random() for _ in range(self._plan.channels - 1))
        values = (float(number), *rest)
        self._note(number, hash_of(values))
        return Frame(ts_ms=self._clock(), values=values)

    def _note(self, number: int, name: str) -> None:
        self._ledger.write(Generated(device=self._device, number=number, hash=name))


def hash_of(values: Sequence[float | None]) -> str:
    """Give the hash by which a reading's values are compared with what was stored."""
    return wire.digest(msgspec.json.encode(list(values)))


class RecordedStore(SqliteStore):
    """The agent's own store, with every message's identity, keeping and end in the ledger."""

    ledger: LedgerWriter

    def commit(self, appends: Sequence[Append]) -> dict[str, Change]:
        """Note what is formed before it is on the disk, and what is kept after."""
        formed: dict[int, Formed] = {}
        noted = [
            replace(one, drafts=tuple(self._noted(one.device, d, formed) for d in one.drafts))
            for one in appends
        ]
        try:
            changes = super().commit(noted)
        except BaseException:
            for one in formed.values():
                self._undo(one)
            raise
        for one in formed.values():
            self.ledger.write(Kept(device=one.device, boot=one.boot, seqs=(one.seq,)))
        return changes

    def settle(self, device: str, settlement: Settlement) -> Change:
        """Note what was acknowledged, then let it be deleted."""
        if settlement.spans:
            acked = Acked(device=device, boot=settlement.boot, spans=settlement.spans)
            self.ledger.write(acked)
        return super().settle(device, settlement)

    def _noted(self, device: str, draft: Draft, formed: dict[int, Formed]) -> Draft:
        def encode(boot: str, seq: int) -> bytes:
            payload = draft.encode(boot, seq)
            # A draft is also encoded to be weighed, without a boot, and again after a full disk.
            if boot:
                if id(draft) in formed:
                    self._undo(formed[id(draft)])
                line = formed[id(draft)] = _formed(device, boot, seq, draft, payload)
                self.ledger.write(line)
            return payload

        return replace(draft, encode=encode)

    def _undo(self, one: Formed) -> None:
        line = Undone(device=one.device, boot=one.boot, seq=one.seq, hash=one.hash)
        self.ledger.write(line)


def _formed(device: str, boot: str, seq: int, draft: Draft, payload: bytes) -> Formed:
    numbers = numbers_in(wire.decode_up(draft.kind, payload))
    return Formed(device=device, boot=boot, seq=seq, hash=wire.digest(payload), numbers=numbers)


def numbers_in(message: wire.UpMessage) -> tuple[int, ...]:
    """Give the numbers of the readings that a message carries."""
    match message:
        case wire.Data():
            return tuple(int(value) for value in message.frames.values[0] if value is not None)
        case wire.Event(code=code) if code == EVENT_CODE:
            number = message.details[NUMBER]
            return (number,) if isinstance(number, int) else ()
        case _:
            return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongClock:
    """The machine's clock, wrong by what a file says now."""

    file: Path

    def __call__(self) -> int:
        """Give the milliseconds that the devices believe in."""
        return wall_ms() + int(self.file.read_text(encoding="ascii") or "0")


@dataclass(slots=True)
class Host:
    """The agents of one process."""

    plan: Plan
    connect: Callable[[BrokerConfig, str], Connector] = MqttConnector
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, life: int) -> None:
        """Generate until told to fall silent, then until everything is acknowledged."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._quiet.set)
        clock = WrongClock(file=Path(self.plan.clock)) if self.plan.clock else wall_ms
        ledger = LedgerWriter(Path(self.plan.ledger))
        async with open_recorded(Path(self.plan.outbox), clock, ledger) as file:
            sources = {
                name: LedgerSource(self.plan, name, ledger, clock) for name in self.plan.passwords
            }
            agents = [self._agent(name, sources[name], file, clock) for name in sources]
            await self._work(life, sources, agents)

    async def _work(self, life: int, sources: dict[str, LedgerSource], agents: list[Agent]) -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for source in sources.values():
                source.begin_life(life)
            for agent in agents:
                group.create_task(agent.run(stop), name=agent.session.address.device)
            ready.announce()
            await self._quiet.wait()
            await asyncio.gather(*(source.close() for source in sources.values()))
            await asyncio.gather(*(agent.drained() for agent in agents))
            stop.set()

    def _agent(self, name: str, source: LedgerSource, file: OutboxFile, clock: NowMs) -> Agent:
        plan = self.plan
        password = plan.passwords[name]
        broker = msgspec.structs.replace(plan.broker, username=name, password=password)
        config = AgentConfig(
            tenant=plan.tenant,
            device=name,
            broker=broker,
            frames_per_message=plan.frames_per_message,
            max_frame_age_s=plan.max_frame_age_s,
            first_resend_s=plan.first_resend_s,
        )
        outbox = file.device(name, Bounds(max_bytes=plan.outbox_bytes))
        return Agent(config, source, outbox, clock, connector=self.connect(broker, name))


def ballast_of(outbox: Path) -> Path:
    """Name the file that is let go when the outbox's disk is full."""
    return outbox.with_name(f"{outbox.name}.ballast")


@asynccontextmanager
async def open_recorded(
    path: Path, clock: NowMs, ledger: LedgerWriter
) -> AsyncIterator[OutboxFile]:
    """Open an outbox whose every step goes into the ledger."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox") as executor:
        loop = asyncio.get_running_loop()
        ballast = Ballast(ballast_of(path), BALLAST_BYTES)
        store = await loop.run_in_executor(
            executor, partial(RecordedStore.open, path, clock, ballast)
        )
        assert isinstance(store, RecordedStore)  # noqa: S101 - opened as such
        store.ledger = ledger
        try:
            async with serving(store, executor=executor) as file:
                yield file
        finally:
            await loop.run_in_executor(executor, store.close)


def main(connect: Callable[[BrokerConfig, str], Connector] = MqttConnector) -> None:
    """Run the devices of the plan named on the command line."""
    file, life = sys.argv[-2:]
    logs.configure("INFO")
    plan = msgspec.json.decode(Path(file).read_bytes(), type=Plan)
    asyncio.run(Host(plan, connect).run(int(life)))


if __name__ == "__main__":
    main()
