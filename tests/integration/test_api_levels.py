"""Each zoom level against the frames themselves, also before they are rolled up."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row

from api import levels
from api.levels import Level
from api.telemetry import choose, read_slots
from foremend.clock import to_ms
from foremend.db import connect
from ingest.upkeep.store import RollupStore
from tests.kept_log import START, KeptLog, Reading, at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.levels import Plan
    from api.series import Slot

DAY = timedelta(days=1)
STEP_S = 20
COUNT = 3 * 86_400 // STEP_S


def reading(device: int, i: int) -> Reading:
    """A slow wave, a second channel with holes, and one spike in three days."""
    spike = 500.0 if i == COUNT // 2 else 0.0
    values = (20 + 5 * math.sin(i / 700) + spike, None if i % 5 == 0 else float(i % 11))
    return Reading(device=device, at=at(STEP_S * i), seq=i, values=values, phase=1 + i // 4000)


@pytest.fixture(scope="module")
def log(new_migrated) -> Iterator[KeptLog]:
    with connect(new_migrated().app, name="test") as link:
        yield KeptLog(connection=link)


@pytest.fixture(scope="module")
def device(log: KeptLog) -> int:
    return log.device("printer-01")


@pytest.fixture(scope="module")
def readings(log: KeptLog, device: int) -> list[Reading]:
    """Three days of frames, the last six hours of them not rolled up yet."""
    told = [reading(device, i) for i in range(COUNT)]
    rolled = COUNT - 6 * 3600 // STEP_S
    log.commit(told[:rolled])
    store = RollupStore(log.connection)
    store.roll()
    store.roll_hours()
    log.commit(told[rolled:])
    return told


@pytest.fixture(scope="module")
def rows(log: KeptLog) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    info = log.connection.info
    with psycopg.connect(info.dsn, password=info.password, row_factory=dict_row) as link:
        yield link


def window(start: datetime, end: datetime) -> dict[str, Any]:
    return {"from": start, "to": end}


def from_frames(readings: list[Reading], laid: Plan) -> dict[int, list[Reading]]:
    slots: dict[int, list[Reading]] = defaultdict(list)
    for r in readings:
        if laid.start <= to_ms(r.at) < laid.end:
            slots[(to_ms(r.at) - laid.start) // laid.slot_ms].append(r)
    return slots


def assert_same(found: list[Slot], wanted: dict[int, list[Reading]]) -> None:
    assert len(found) == len(wanted)
    for slot, group in zip(found, (wanted[k] for k in sorted(wanted)), strict=True):
        assert slot.frames == len(group)
        for place in range(2):
            known = [v for r in group if (v := r.values[place]) is not None]
            if not known:
                assert np.isnan([slot.lo[place], slot.mid[place], slot.hi[place]]).all()
            else:
                assert (slot.lo[place], slot.hi[place]) == (min(known), max(known))
                assert math.isclose(
                    slot.mid[place] or 0, math.fsum(known) / len(known), rel_tol=1e-12
                )


@pytest.mark.parametrize("level", Level, ids=lambda level: level.value)
@pytest.mark.parametrize("points", [10, 40, 1500])
@pytest.mark.parametrize(
    ("start", "span"),
    [
        (START, 3 * DAY),
        (START + timedelta(hours=7, minutes=13, seconds=5), timedelta(hours=31, seconds=1)),
        (START + 2.9 * DAY, timedelta(hours=9)),
        (START + 9 * DAY, DAY),
    ],
    ids=["all", "crooked", "newest", "nothing"],
)
def test_every_level_says_what_the_frames_say(
    rows, device: int, readings, level: Level, points: int, start: datetime, span: timedelta
) -> None:
    _, laid = choose(rows, device, window(start, start + span), points, level)

    assert_same(read_slots(rows, device, laid), from_frames(readings, laid))


def test_a_spike_of_one_frame_is_seen_from_afar(rows, device: int, readings) -> None:
    _, laid = choose(rows, device, window(START, START + 3 * DAY), 10, Level.HOUR)
    slots = read_slots(rows, device, laid)

    assert max(slot.hi[0] or 0 for slot in slots) > 500
    assert max(slot.mid[0] or 0 for slot in slots) < 30


def test_many_frames_are_read_from_rollups(rows, device: int, readings) -> None:
    choice, laid = choose(rows, device, window(START, START + 3 * DAY), 400)

    assert choice.level is Level.MINUTE
    assert laid.slot_ms % levels.MINUTE_MS == 0
    assert laid.minutes_to < laid.end
