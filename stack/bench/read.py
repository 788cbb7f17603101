"""How fast a chart is read at each zoom level, beside reading the same window from frames alone."""

from __future__ import annotations

import random
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row

from api.levels import Level
from api.scopes import LIVE, Scope
from api.telemetry import choose, read_frames, read_slots
from foremend.db import EVERY_TENANT, Queries, connect, storage, transaction
from ingest.upkeep.store import RollupStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    DictConnection = psycopg.Connection[dict[str, Any]]

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
CHANNELS: Final = 10
DEVICE: Final = "bench"
SPANS: Final = {
    "30 d": 30 * 86_400,
    "10 d": 10 * 86_400,
    "7 d": 7 * 86_400,
    "2 d": 2 * 86_400,
    "12 h": 12 * 3600,
    "3 h": 3 * 3600,
    "30 min": 1800,
    "1 min": 60,
}
_SQL: Final = Queries.load("stack.bench", "read.sql")
_AT_ONCE: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is measured."""

    days: int = 30
    points: int = 1500
    reads: int = 20
    """Of each zoom level, at random places."""
    raw_reads: int = 2
    seed: int = 7


def measure(urls: tuple[str, str], course: Course, tell: Callable[[str], None]) -> dict[str, Any]:
    """Fill a fresh, migrated database (owner's URL, runtime role's URL) and read it.

    Gives per zoom level `p50_ms` and `p95_ms` from the question to the finished JSON, `points` at
    most, the `level` chosen, and `ratio_raw`: how many times longer the frames themselves take.
    """
    owner_url, app_url = urls
    with connect(app_url, name="bench") as link:
        frames, rolled_s = _fill(link, course, tell)
    with connect(owner_url, name="bench") as owner:
        owner.execute(_SQL["analyze"])
    levels = {}
    with _asking(app_url) as link:
        for name, seconds in SPANS.items():
            if seconds <= course.days * 86_400:
                tell(f"reading {name}")
                levels[name] = _level(link, seconds, course)
    return {
        "frames": frames,
        "channels": CHANNELS,
        "rollup_frames_per_s": round(frames / rolled_s),
        "levels": levels,
        "worst_p95_ms": max(level["p95_ms"] for level in levels.values()),
        "storage": _storage_of(app_url),
    }


def _fill(
    link: psycopg.Connection[Any], course: Course, tell: Callable[[str], None]
) -> tuple[int, float]:
    frames = course.days * 86_400
    end = START + timedelta(days=course.days)
    storage.ensure_room(link, START, end)
    with transaction(link, tenant=EVERY_TENANT):
        link.execute(_SQL["timeline"])
        (schema,) = _row(link, "schema", channels=CHANNELS)
        (device,) = _row(link, "device")
        told = {"device": device, "schema": schema, "start": START, "channels": CHANNELS}
        for first in range(0, frames, _AT_ONCE):
            tell(f"frames: {first:,} of {frames:,}")
            last = min(first + _AT_ONCE, frames) - 1
            link.execute(_SQL["frames"], {**told, "first": first, "last": last})
        batches = {"batches": 1 + (frames - 1) // 10_000}
        link.execute(_SQL["log"], batches)
        link.execute(_SQL["head"], batches)
    tell("rollups")
    began = time.perf_counter()
    store = RollupStore(link)
    while store.roll().more:
        pass
    store.roll_hours()
    return frames, time.perf_counter() - began


def _row(link: psycopg.Connection[Any], block: str, **told: object) -> Any:  # noqa: ANN401 - a row
    return link.execute(_SQL[block], told).fetchone()


@contextmanager
def _asking(url: str) -> Iterator[DictConnection]:
    with (
        psycopg.connect(url, autocommit=True, row_factory=dict_row) as link,
        transaction(link, tenant="demo"),
    ):
        yield link


def _level(link: DictConnection, seconds: int, course: Course) -> dict[str, Any]:
    rng = random.Random(course.seed)  # noqa: S311 - places to read, no secrets
    scope = Scope(timeline=LIVE, region=None, now=START + timedelta(days=course.days))
    windows = [_window(rng, seconds, course) for _ in range(course.reads)]
    read_frames(link, scope, DEVICE, windows[0], course.points)
    times, found = [], None
    for window in windows:
        began = time.perf_counter()
        found = read_frames(link, scope, DEVICE, window, course.points)
        found.model_dump_json()
        times.append(1000 * (time.perf_counter() - began))
    assert found is not None  # noqa: S101 - there is at least one window
    raw = _raw_ms(link, windows[: course.raw_reads], course)
    return {
        "level": found.level,
        "points": len(found.t_ms),
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
        "raw_ms": round(raw, 1),
        "ratio_raw": round(raw / statistics.median(times), 1),
    }


def _raw_ms(link: DictConnection, windows: list[dict[str, Any]], course: Course) -> float:
    """Read the same windows from frames alone, in the same way but for the level."""
    times = []
    for window in windows:
        began = time.perf_counter()
        _, plan = choose(link, 1, window, course.points, Level.RAW)
        read_slots(link, 1, plan)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def _window(rng: random.Random, seconds: int, course: Course) -> dict[str, Any]:
    start = START + timedelta(seconds=rng.randint(0, course.days * 86_400 - seconds))
    return {"from": start, "to": start + timedelta(seconds=seconds)}


def _storage_of(url: str) -> str:
    with connect(url, name="bench") as link:
        return str(storage.in_use(link))
