"""The fleet process: simulated devices, one real agent each, and the crew, on one clock."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import httpx
import msgspec

from edge_agent.agent import Agent
from edge_agent.config import AgentConfig, BrokerConfig
from edge_agent.outbox.group import open_outbox
from edge_agent.source import Description, Frame, Happening, PushSource
from field_service import catalogue
from foremend import ready
from foremend.errors import Unavailable
from foremend.log import get_logger
from stack.fleet import crew
from stack.fleet.desk import OrderDesk
from stack.fleet.truthfile import TruthFile
from stack.fleet.world import STEP_S, World, open_world, replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from simulators.fleets import AnyFleet
    from simulators.steps import SimEvent, Step

TICK_S: Final = 0.25
"""Wall seconds between two pushes."""
MOST_STEPS: Final = 60
"""Steps in one tick at most: a machine that cannot keep up slows the simulation's clock."""
KEEP_EVERY_S: Final = 5.0
CREW_EVERY_S: Final = 0.4
STALLED_S: Final = 3.0
"""Scoring that has not moved for so long is not waited for."""
LAST_WORDS_S: Final = 5.0
"""How long a stop waits for the last acknowledgements."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """What the fleet process is told."""

    folder: Path
    """Where the world, the outbox, the truth and the counters are kept."""
    tenant: str
    timeline: str
    broker: BrokerConfig
    passwords: Mapping[str, str]
    """Each device's own broker password."""
    api_url: str
    crew_token: str
    scale: float = 7200.0
    """Simulated seconds in a wall second."""
    seed: int = 7
    command_keys: tuple[str, ...] = ()
    """Whose commands the devices obey."""


@dataclass(slots=True)
class Fleet:
    """Everything that runs in the process."""

    config: FleetConfig
    world: World
    agents: dict[str, Agent]
    sources: dict[str, PushSource]
    desk: OrderDesk
    truth: TruthFile
    _behind_s: float = 0.0
    _waits: bool = False
    """Whether simulated time stands still until scoring has caught up."""
    _scored_ms: int | None = None
    _scored_at: float = 0.0
    _kits: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def tick(self, wall_s: float) -> None:
        """Let so much wall time pass: step, then push what every device says."""
        if self._waits:
            return
        due = (wall_s + self._behind_s) * self.config.scale / STEP_S
        steps = min(math.floor(due), MOST_STEPS)
        self._behind_s = (due - steps) * STEP_S / self.config.scale if steps < MOST_STEPS else 0.0
        said = [pair for _ in range(steps) for pair in self.world.step()]
        if steps:
            self.tell()
        for fleet in self.world.fleets:
            await self._push(fleet, [step for whose, step in said if whose is fleet])

    async def _push(self, fleet: AnyFleet, steps: list[Step]) -> None:
        for place, name in enumerate(fleet.names):
            items = [item for step in steps for item in _items(step, place)]
            if items:
                await self.sources[name].push(*items)

    async def work(self) -> None:
        """Let the crew do what is due, and time go on where it is scored in time."""
        scored_ms = await self.desk.scored_ms()
        if scored_ms != self._scored_ms:
            self._scored_ms, self._scored_at = scored_ms, time.monotonic()
        # Where nothing more is scored, because everything stands still, waiting would never end.
        moving = time.monotonic() - self._scored_at < STALLED_S
        self._waits = moving and crew.runs_ahead(self.world.now_ms, scored_ms)
        for order in await self.desk.open_orders():
            decision = crew.decide(order, self.world.now_ms)
            if decision.deed is crew.Deed.FIT:
                await self._fit(order)
            elif decision.deed is not crew.Deed.WAIT:
                await self.desk.move(order, decision.deed.value)
        for fault in self.world.standing_still():
            key = f"{fault.device}-{fault.component}-{fault.failed_ms}"
            waited_h = (self.world.now_ms - (fault.failed_ms or 0)) / 3_600_000
            if key not in self.world.reported and waited_h >= crew.NOTICED_H:
                await self.desk.report(fault.device, fault.component, fault.failure_mode, key)
                self.world.reported.add(key)

    async def _fit(self, order: crew.Standing) -> None:
        replaces = self._kits.get(order.kit or "", (order.component,))
        key = f"{order.number}-{order.reopened}"
        found = self.world.fit(key, order.device, replaces)
        self.world.keep(self.config.folder / "world.msgpack")
        await self.desk.move(order, "fit", as_found=found, component=replaces[0], replaced=True)

    def keep(self) -> None:
        """Put on disk what a later run, the console and the summary need."""
        self.world.keep(self.config.folder / "world.msgpack")
        self.tell()

    def tell(self) -> None:
        """Note the truth and the counters."""
        self.truth.note(self.world.truth())
        counters = [asdict(agent.counters) for agent in self.agents.values()]
        total = {name: sum(c[name] for c in counters) for name in counters[0]}
        boots = {name: agent.session.boot for name, agent in self.agents.items()}
        told = {"now_ms": self.world.now_ms, "boots": boots, "counters": total}
        replace(self.config.folder / "counters.json", msgspec.json.encode(told))


async def run(config: FleetConfig, stop: asyncio.Event) -> None:
    """Run the fleet until told to stop; leaves with all on disk and, if it can, delivered."""
    async with AsyncExitStack() as stack:
        fleet = await composed(config, stack)
        agents_stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name, agent in fleet.agents.items():
                group.create_task(agent.run(agents_stop), name=name)
            clock = group.create_task(_keep_time(fleet, stop), name="clock")
            people = group.create_task(_keep_order(fleet, stop), name="crew")
            ready.announce()
            await asyncio.gather(clock, people)
            await _deliver(fleet)
            agents_stop.set()
    fleet.keep()


async def _deliver(fleet: Fleet) -> None:
    """Wait a little for the last acknowledgements; what is left goes out after the next start."""
    try:
        async with asyncio.timeout(LAST_WORDS_S):
            await asyncio.gather(*(source.stored() for source in fleet.sources.values()))
            await asyncio.gather(*(agent.drained() for agent in fleet.agents.values()))
    except TimeoutError:
        _log.info("left before the last acknowledgement")


async def composed(config: FleetConfig, stack: AsyncExitStack) -> Fleet:
    """Make the fleet from what is kept of it; its agents are still to be run."""
    world = open_world(config.folder / "world.msgpack", config.seed)
    counters = config.folder / "counters.json"
    if counters.exists():
        # What a killed process had said already is lived through again in silence.
        world.skip_to(msgspec.json.decode(counters.read_bytes())["now_ms"])

    def clock() -> int:
        return world.now_ms

    outbox = await stack.enter_async_context(open_outbox(config.folder / "outbox.sqlite3", clock))
    client = await stack.enter_async_context(
        httpx.AsyncClient(
            base_url=config.api_url,
            headers={"Authorization": f"Bearer {config.crew_token}"},
            timeout=10,
        )
    )
    sources = {
        name: PushSource(_describe(fleet, place))
        for fleet in world.fleets
        for place, name in enumerate(fleet.names)
    }
    agents = {
        name: Agent(_agent_config(config, name), source, outbox.device(name), clock)
        for name, source in sources.items()
    }
    kits = {kit.code: kit.replaces for kit in catalogue.load().kits()}
    desk = OrderDesk(client, config.timeline)
    truth = TruthFile(config.folder / "truth.jsonl")
    return Fleet(config, world, agents, sources, desk, truth, _kits=kits)


async def _keep_time(fleet: Fleet, stop: asyncio.Event) -> None:
    before = kept = time.monotonic()
    while not stop.is_set():
        await asyncio.sleep(TICK_S)
        now = time.monotonic()
        await fleet.tick(now - before)
        before = now
        if now - kept > KEEP_EVERY_S:
            fleet.keep()
            kept = now


async def _keep_order(fleet: Fleet, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(CREW_EVERY_S)
        try:
            await fleet.work()
        except Unavailable as error:
            _log.info("the crew waits", error=str(error))


def _agent_config(config: FleetConfig, name: str) -> AgentConfig:
    broker = msgspec.structs.replace(config.broker, username=name, password=config.passwords[name])
    return AgentConfig(
        tenant=config.tenant,
        device=name,
        broker=broker,
        timeline=config.timeline,
        frames_per_message=30,
        max_frame_age_s=TICK_S,
        command_keys=config.command_keys,
    )


def _describe(fleet: AnyFleet, place: int) -> Description:
    return Description(
        channels=fleet.channels,
        components=fleet.components(place),
        family=fleet.family,
        model=fleet.model,
        firmware=fleet.firmware,
    )


def _items(step: Step, place: int) -> list[Frame | Happening]:
    values = tuple(None if math.isnan(v) else v for v in step.values[place].tolist())
    frame = Frame(
        ts_ms=step.ts_ms,
        values=values,
        phase=int(step.phase[place]),
        quality=int(step.quality[place]),
    )
    return [frame, *(_happening(e) for e in step.events if e.device_index == place)]


def _happening(event: SimEvent) -> Happening:
    return Happening(
        ts_ms=event.ts_ms,
        code=event.code,
        severity=event.severity.value,
        component=event.component,
        details=dict(event.details),
    )
