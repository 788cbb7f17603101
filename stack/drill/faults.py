"""The faults themselves: each begins, lasts as long as its `with` block, and ends."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foremend.errors import Unavailable
from stack.drill import host, small_disk
from stack.drill.ground import BROKER, INGEST, WORKERS, NotHere
from stack.drill.parts import PartFailed, wait
from stack.drill.relay import Mode
from stack.drill.stored import scoring_lag
from stack.drill.trial import OUTBOX

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from stack.drill.ground import Ground
    from stack.drill.parts import Part
    from stack.drill.small_disk import SmallDisk
    from stack.drill.trial import Trial

DEVICES: Final = "devices"
CLOCK_STEPS_MS: Final = (120_000, -120_000, 900_000, -3 * 86_400_000, 3 * 86_400_000)
"""Some within what ingest takes for live data, some beyond it: those must become gaps."""
FULL_WITHIN_S: Final = 60.0
WORKERS_WITHIN_S: Final = 30.0
FLAP_S: Final = 0.1


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


def at_once(_scene: Scene) -> bool:
    """Wait for nothing more."""
    return True


def no_complaint(_scene: Scene) -> str:
    """Complain of nothing."""
    return ""


@contextmanager
def killed(scene: Scene, names: tuple[str, ...]) -> Iterator[None]:
    """Kill parts at once, and start them again at the end."""
    order = list(names)
    scene.chance.shuffle(order)
    for name in order:
        scene.part(name).kill()
    yield
    for name in names:
        scene.part(name).start()


@contextmanager
def worker_lost(scene: Scene) -> Iterator[None]:
    """Kill one of the workers of ingest, and do not start it again."""
    scene.part(scene.chance.choice(WORKERS)).kill()
    yield


def workers_back(scene: Scene) -> str:
    """Start whichever worker is dead, for the next loop; complain where one does not serve."""
    parts = [scene.part(name) for name in WORKERS]
    for part in parts:
        part.start()
    if wait(lambda: all(part.serves() for part in parts), WORKERS_WITHIN_S):
        return ""
    return "a worker that was started again does not serve"


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
    with killed(scene, (INGEST,)):
        yield
        with killed(scene, (BROKER,)):
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
    relay, over = scene.ground.relay, threading.Event()
    relay.forget_sessions()

    def flap() -> None:
        while not over.is_set():
            for mode in (Mode.CUT, Mode.CLEAR):
                relay.set(mode)
                over.wait(FLAP_S / 2)

    hand = threading.Thread(target=flap, name="flapping")
    hand.start()
    try:
        yield
    finally:
        over.set()
        hand.join()
        relay.set(Mode.CLEAR)


@contextmanager
def outbox_full(scene: Scene) -> Iterator[None]:
    """Cut the link until the agents have filled their disk; it is still full when it is back.

    Raises:
        PartFailed: they do not fill it.
    """
    disk = _small(scene)
    small_disk.fill(disk)
    ballast = host.ballast_of(disk.place() / OUTBOX)
    with relayed(scene, Mode.CUT):
        if not wait(lambda: not ballast.exists(), FULL_WITHIN_S):
            raise PartFailed(f"the agents did not fill their disk within {FULL_WITHIN_S:.0f} s")
        yield


@contextmanager
def database_full(scene: Scene) -> Iterator[None]:
    """Fill the database's disk, and leave room again at the end."""
    small_disk.fill(_small(scene))
    try:
        yield
    finally:
        small_disk.free(_small(scene))


def freed(scene: Scene) -> str:
    """Leave room on the disk for the next loop; complain of nothing."""
    small_disk.free(_small(scene))
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


def scored(scene: Scene) -> bool:
    """Whether scoring has told of all that is stored, but for what came in just now."""
    try:
        lag = scoring_lag(scene.ground.app_url)
    except Unavailable:
        return False
    return lag is not None and lag <= len(scene.ground.passwords)
