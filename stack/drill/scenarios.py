"""What a drill may break, one entry a scenario: a fault begins, lasts a while, and ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from stack.drill.ground import API, BROKER, INGEST, POSTGRES, SCORING, NotHere
from stack.drill.relay import Mode
from stack.drill.trial import Habits

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from stack.drill.ground import Ground
    from stack.drill.parts import Part
    from stack.drill.small_disk import SmallDisk
    from stack.drill.trial import Trial

DEVICES: Final = "devices"
OUTBOX, DATABASE = "outbox", "database"
BACK_IN_ORDER: Final = (POSTGRES, BROKER, INGEST, SCORING, API, DEVICES)
CLOCK_STEPS_MS: Final = (120_000, -120_000, 900_000, -3 * 86_400_000, 3 * 86_400_000)
"""Some within what ingest takes for live data, some beyond it: those must become gaps."""
FLAP_S: Final = 0.1
HASTY: Final = Habits(keepalive_s=2, timeout_s=2.0)
"""A dead link is noticed within seconds, so that a drill need not wait for minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault may touch."""

    ground: Ground
    trial: Trial
    chance: random.Random
    loop: int
    disk: SmallDisk | None = None
    """The small one of a scenario that needs it."""

    def part(self, name: str) -> Part:
        """Give a part of the ground, or the devices."""
        return self.trial.devices if name == DEVICES else self.ground.part(name)


Fault = Callable[[Scene], AbstractContextManager[None]]
Check = Callable[[Scene], str]
"""Gives a complaint, empty where there is none."""


def no_complaint(_scene: Scene) -> str:
    """Complain of nothing."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way to go wrong."""

    name: str
    sentence: str
    fault: Fault
    hold_s: tuple[float, float] = (0.5, 2.0)
    """How long the fault lasts: between these."""
    habits: Habits = field(default_factory=Habits)
    kills_devices: bool = False
    """What an agent had read and not yet on its disk may then be missing, and is counted."""
    check: Check = no_complaint
    """Asked after each recovery."""
    waits_for: tuple[str, ...] = ()
    """Parts that must serve again before it counts as a recovery."""
    small: str = ""
    """What lies on a small disk: OUTBOX or DATABASE."""


@contextmanager
def killed(scene: Scene, *names: str) -> Iterator[None]:
    """Kill parts at once, and start them again at the end."""
    order = list(names)
    scene.chance.shuffle(order)
    for name in order:
        scene.part(name).kill()
    yield
    for name in names:
        scene.part(name).start()


@contextmanager
def paused(scene: Scene, name: str) -> Iterator[None]:
    """Stop a part where it stands, and let it go on at the end."""
    part = scene.part(name)
    part.pause()
    try:
        yield
    finally:
        part.resume()


@contextmanager
def broker_wiped(scene: Scene) -> Iterator[None]:
    """Let the broker collect what nobody stores, then take all of it away."""
    with killed(scene, INGEST):
        yield
        with killed(scene, BROKER):
            scene.ground.wipe_broker()


@contextmanager
def relayed(scene: Scene, *modes: Mode) -> Iterator[None]:
    """Let the link misbehave, in one way after the other from loop to loop."""
    scene.ground.relay.set(modes[scene.loop % len(modes)])
    try:
        yield
    finally:
        scene.ground.relay.set(Mode.CLEAR)


@contextmanager
def flapping(scene: Scene) -> Iterator[None]:
    """Cut the link every 100 ms."""
    relay = scene.ground.relay
    relay.forget_sessions()
    until = time.monotonic() + scene.chance.uniform(2.0, 4.0)
    while time.monotonic() < until:
        for mode in (Mode.CUT, Mode.CLEAR):
            relay.set(mode)
            time.sleep(FLAP_S / 2)
    yield


@contextmanager
def outbox_full(scene: Scene) -> Iterator[None]:
    """Fill the agents' disk and cut their link; it is still full when the link is back."""
    _small(scene).fill()
    with relayed(scene, Mode.CUT):
        yield


@contextmanager
def database_full(scene: Scene) -> Iterator[None]:
    """Fill the database's disk, and leave room again at the end."""
    _small(scene).fill()
    try:
        yield
    finally:
        _small(scene).free()


def freed(scene: Scene) -> str:
    """Leave room on the disk for the next loop; complain of nothing."""
    _small(scene).free()
    return ""


def _small(scene: Scene) -> SmallDisk:
    if scene.disk is None:
        raise NotHere("there is no small disk here to be filled")
    return scene.disk


def one_session(scene: Scene) -> str:
    """Complain where an agent had two sessions at once, or has not exactly one now."""
    relay = scene.ground.relay
    if relay.most_sessions > 1:
        return f"an agent had {relay.most_sessions} sessions at once"
    now = relay.sessions()
    expected = dict.fromkeys(scene.ground.passwords, 1)
    return "" if now == expected else f"sessions after the flapping: {now}"


@contextmanager
def clock_stepped(scene: Scene) -> Iterator[None]:
    """Let the devices' clock jump away, and back at the end."""
    steps = CLOCK_STEPS_MS
    scene.trial.set_clock(steps[scene.loop % len(steps)])
    yield
    scene.trial.set_clock(0)


def _kill(name: str, sentence: str, *parts: str) -> Scenario:
    return Scenario(
        name=name,
        sentence=sentence,
        fault=partial(_killed_in, names=parts),
        kills_devices=DEVICES in parts,
        waits_for=tuple(part for part in parts if part != DEVICES),
    )


def _killed_in(scene: Scene, names: tuple[str, ...]) -> AbstractContextManager[None]:
    return killed(scene, *names)


SCENARIOS: Final = (
    _kill("kill-agent", "kill -9 of the agents", DEVICES),
    _kill("kill-broker", "kill -9 of the broker", BROKER),
    _kill("kill-ingest", "kill -9 of ingest", INGEST),
    _kill("kill-database", "kill -9 of PostgreSQL and all its backends", POSTGRES),
    _kill("kill-scoring", "kill -9 of scoring", SCORING),
    _kill("kill-api", "kill -9 of the API", API),
    _kill("kill-all", "kill -9 of everything, in any order", *BACK_IN_ORDER),
    Scenario(
        name="broker-wiped",
        sentence="the broker dies with messages that nobody stored, and its state is deleted",
        fault=broker_wiped,
        waits_for=(BROKER, INGEST),
    ),
    Scenario(
        name="link-down",
        sentence="the link is cut, swallows everything without a FIN, or crawls",
        fault=lambda scene: relayed(scene, Mode.CUT, Mode.BLACK_HOLE, Mode.SLOW),
        hold_s=(1.0, 4.0),
        habits=HASTY,
    ),
    Scenario(
        name="acks-dropped",
        sentence="only our acknowledgements get lost",
        fault=lambda scene: relayed(scene, Mode.NO_ACKS),
        hold_s=(1.0, 3.0),
        habits=Habits(first_resend_s=0.5),
    ),
    Scenario(
        name="database-hung",
        sentence="PostgreSQL and its backends are stopped in mid-work",
        fault=lambda scene: paused(scene, POSTGRES),
        hold_s=(1.0, 3.0),
    ),
    Scenario(
        name="outbox-full",
        sentence="the agents' disk is full while the link is down, and still when it is back",
        fault=outbox_full,
        hold_s=(2.0, 4.0),
        habits=Habits(rate_hz=40.0, channels=48),
        check=freed,
        small=OUTBOX,
    ),
    Scenario(
        name="database-full",
        sentence="the database's disk is full, and has room again later",
        fault=database_full,
        hold_s=(2.0, 4.0),
        habits=Habits(rate_hz=40.0, channels=48),
        small=DATABASE,
    ),
    Scenario(
        name="shuffled",
        sentence="every message arrives five times and out of order",
        fault=lambda scene: relayed(scene, Mode.SHUFFLED),
        hold_s=(1.0, 3.0),
    ),
    Scenario(
        name="clock-jumps",
        sentence="the devices' clock jumps minutes and days, forward and back",
        fault=clock_stepped,
        habits=Habits(wrong_clock=True),
    ),
    Scenario(
        name="ingest-stopped",
        sentence="ingest is stopped in mid-work and goes on later",
        fault=lambda scene: paused(scene, INGEST),
        hold_s=(1.0, 3.0),
    ),
    Scenario(
        name="flapping",
        sentence="the link is cut every 100 ms",
        fault=flapping,
        hold_s=(0.0, 0.0),
        habits=HASTY,
        check=one_session,
    ),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
