"""`foremend simulate fleet`: one or two load processes, against servers of their own or yours."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg.rows import dict_row

from foremend.db import EVERY_TENANT, Queries, connect, transaction
from foremend.errors import ForemendError
from stack.drill.ground import ThrowAway
from stack.load.speech import Course
from stack.load.troubles import Switches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SQL: Final = Queries.load("stack.load", "load.sql")
TENANT: Final = "load"
_SUMS: Final = (
    "messages", "sent", "duplicates", "reordered", "resent", "flaps", "storms",
    "acknowledged", "unacknowledged", "refused", "cpu_s",
)  # fmt: skip
_WORST: Final = ("seconds", "ack_p50_ms", "ack_p99_ms")


class LoadFailed(ForemendError):
    """A process of the load ended early; its lines above say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is said, for how long, and what goes wrong with it."""

    devices: int = 10_000
    per_s: float = 1.0
    """Messages a second of each device."""
    seconds: float = 20.0
    processes: int = 1
    seed: int = 11
    tenant: str = TENANT
    switches: Switches = field(default_factory=Switches)

    def courses(self) -> list[Course]:
        """Share the devices out over the processes."""
        starts = [self.devices * p // self.processes for p in range(self.processes + 1)]
        return [
            Course(
                tenant=self.tenant,
                first=first,
                devices=end - first,
                period_s=1.0 / self.per_s,
                seconds=self.seconds,
                seed=self.seed,
                switches=self.switches,
            )
            for first, end in itertools.pairwise(starts)
        ]


def throw_away(load: Load) -> dict[str, Any]:
    """Run a load against a database, broker and ingest of its own, and look at what is stored.

    Raises:
        LoadFailed: a process ended early.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="foremend-load-"))
        ground = stack.enter_context(ThrowAway(Path(folder), devices=0))
        broker = ground.broker
        where = {
            "FOREMEND_BROKER_HOST": broker.host,
            "FOREMEND_BROKER_PORT": str(broker.port),
            "FOREMEND_BROKER_USER": broker.services.user,
            "FOREMEND_BROKER_PASSWORD": broker.services.password,
        }
        return spoken(load, where) | stored(ground.app_url, load.tenant)


def spoken(load: Load, where: Mapping[str, str]) -> dict[str, Any]:
    """Run a load's processes against the broker that `where` names, and add their figures up.

    Raises:
        LoadFailed: a process ended early.
    """
    courses = load.courses()
    running = [
        subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "stack.load.process", msgspec.json.encode(course).decode()],
            env=os.environ | dict(where),
            stdout=subprocess.PIPE,
            text=True,
        )
        for course in courses
    ]
    told = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise LoadFailed
    return {"devices": load.devices, "processes": load.processes} | added(
        [json.loads(lines.splitlines()[-1]) for lines in told]
    )


def added(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add the figures of several processes up; of times the worst one counts."""
    sums = {name: sum(each[name] for each in figures) for name in _SUMS}
    worst = {name: max((each[name] or 0.0) for each in figures) for name in _WORST}
    rate = round(sums["messages"] / worst["seconds"]) if worst["seconds"] else 0
    return {**sums, **worst, "messages_per_s": rate}


def stored(url: str, tenant: str) -> dict[str, int]:
    """Count what of a load lies in the database, and what lies there twice."""
    with connect(url, name="load") as connection, transaction(connection, tenant=EVERY_TENANT):
        cursor = connection.cursor(row_factory=dict_row)
        row = cursor.execute(SQL["stored"], {"tenant": tenant}).fetchone() or {}
    return {f"stored_{name}": int(count) for name, count in row.items()}
