"""What a drill may break, one entry a scenario."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from stack.drill.faults import (
    DEVICES,
    Scene,
    at_once,
    broker_wiped,
    clock_stepped,
    database_full,
    flapping,
    freed,
    killed,
    no_complaint,
    one_session,
    outbox_full,
    paused,
    relayed,
    scored,
    worker_lost,
    workers_back,
)
from stack.drill.ground import API, BROKER, INGEST, POSTGRES, SCORING, Kind
from stack.drill.relay import Mode
from stack.drill.trial import Habits

BACK_IN_ORDER: Final = (POSTGRES, BROKER, INGEST, SCORING, API, DEVICES)
HASTY: Final = Habits(keepalive_s=2, timeout_s=2.0, relayed=True)
"""A dead link is noticed within seconds, so that a drill need not wait for minutes."""

Readiness = Callable[[Scene], bool]
Fault = Callable[[Scene], AbstractContextManager[None]]
Check = Callable[[Scene], str]
"""Gives a complaint, empty where there is none."""


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
    caught_up: Readiness = at_once
    """Asked once these serve, and must say yes before it counts as a recovery."""
    flows_within_s: float = math.inf
    """New readings of every device must be acknowledged by then."""
    small_outbox: bool = False
    """The agents' outbox lies on a small disk."""
    ground: Kind = Kind.PLAIN


def _kill(name: str, sentence: str, *parts: str) -> Scenario:
    return Scenario(
        name=name,
        sentence=sentence,
        fault=partial(killed, names=parts),
        kills_devices=DEVICES in parts,
        waits_for=tuple(part for part in parts if part != DEVICES),
        caught_up=scored if SCORING in parts else at_once,
    )


# In this order few servers are started, and scoring has little to catch up with.
SCENARIOS: Final = (
    _kill("kill-scoring", "kill -9 of scoring", SCORING),
    _kill("kill-api", "kill -9 of the API", API),
    _kill("kill-all", "kill -9 of everything, in any order", *BACK_IN_ORDER),
    _kill("kill-agent", "kill -9 of the agents", DEVICES),
    _kill("kill-broker", "kill -9 of the broker", BROKER),
    _kill("kill-ingest", "kill -9 of ingest", INGEST),
    _kill("kill-database", "kill -9 of PostgreSQL and all its backends", POSTGRES),
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
        name="flapping",
        sentence="the link is cut every 100 ms",
        fault=flapping,
        hold_s=(2.0, 4.0),
        habits=HASTY,
        check=one_session,
    ),
    Scenario(
        name="acks-dropped",
        sentence="only our acknowledgements get lost",
        fault=lambda scene: relayed(scene, Mode.NO_ACKS),
        hold_s=(1.0, 3.0),
        habits=Habits(first_resend_s=0.5, relayed=True),
    ),
    Scenario(
        name="shuffled",
        sentence="every message arrives five times and out of order",
        fault=lambda scene: relayed(scene, Mode.SHUFFLED),
        hold_s=(1.0, 3.0),
        habits=Habits(relayed=True),
    ),
    Scenario(
        name="clock-jumps",
        sentence="the devices' clock jumps minutes and days, forward and back",
        fault=clock_stepped,
        habits=Habits(wrong_clock=True),
    ),
    Scenario(
        name="outbox-full",
        sentence="the agents fill their disk while the link is down; it stays full when it is back",
        fault=outbox_full,
        hold_s=(1.0, 2.0),
        habits=Habits(rate_hz=40.0, channels=48, relayed=True),
        check=freed,
        small_outbox=True,
    ),
    Scenario(
        name="ingest-stopped",
        sentence="ingest is stopped in mid-work and goes on later",
        fault=lambda scene: paused(scene, INGEST),
        hold_s=(1.0, 3.0),
    ),
    Scenario(
        name="database-hung",
        sentence="PostgreSQL and its backends are stopped in mid-work",
        fault=lambda scene: paused(scene, POSTGRES),
        hold_s=(1.0, 3.0),
    ),
    Scenario(
        name="database-full",
        sentence="the database's disk is full, and has room again later",
        fault=database_full,
        hold_s=(2.0, 4.0),
        habits=Habits(rate_hz=40.0, channels=48),
        ground=Kind.SMALL_DATABASE,
    ),
    Scenario(
        name="kill-worker",
        sentence="kill -9 of one of two ingest workers, who does not come back",
        fault=worker_lost,
        hold_s=(0.0, 0.0),
        check=workers_back,
        flows_within_s=10.0,
        ground=Kind.TWO_WORKERS,
    ),
)
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
