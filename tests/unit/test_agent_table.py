"""A recorded file, played as a device would have told it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge_agent.site import Site
from edge_agent.source import Frame, Mark
from edge_agent.sources.table import TableConfig, TableSource
from foremend.clock import ManualClock
from foremend.errors import ConfigurationError, InputError
from foremend.wire import Channel

if TYPE_CHECKING:
    from pathlib import Path

CSV = """when,volt,rotate,phase
2026-01-01T00:00:00Z,170.5,440,3
2026-01-01T01:00:00Z,,441.5,3
2026-01-01 02:00:00,171.25,nan,1
"""
START = 1_767_225_600_000
HOUR = 3_600_000
CHANNELS = (Channel(name="v", unit="V"), Channel(name="rotate", unit="/min"))


def config(file: Path, **more: object) -> TableConfig:
    return TableConfig(
        path=str(file),
        time="when",
        columns={"v": "volt"},
        phase="phase",
        family="f",
        model="m",
        channels=CHANNELS,
        **more,
    )


async def played(told: TableConfig, folder: Path) -> list[Frame]:
    """Play to the end; every mark is reached at once."""
    clock = ManualClock(START + 100 * HOUR)
    source = TableSource(told, Site(device="d", folder=folder, now_ms=clock, steady_ms=clock))
    frames: list[Frame] = []
    async with asyncio.timeout(10):
        async for item in source.read():
            if isinstance(item, Mark):
                item.reached()
                await source.close()
            elif isinstance(item, Frame):
                frames.append(item)
    return frames


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.csv"
    path.write_text(CSV)
    return path


async def test_each_row_is_a_frame_at_its_own_instant(file: Path, tmp_path: Path) -> None:
    frames = await played(config(file), tmp_path)

    assert [(f.ts_ms, f.values, f.phase) for f in frames] == [
        (START, (170.5, 440.0), 3),
        (START + HOUR, (None, 441.5), 3),
        (START + 2 * HOUR, (171.25, None), 1),
    ]


async def test_parquet_says_the_same(file: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "when": pa.array([START, START + HOUR, START + 2 * HOUR], pa.timestamp("ms", tz="UTC")),
            "volt": [170.5, None, 171.25],
            "rotate": [440.0, 441.5, float("nan")],
            "phase": [3, 3, 1],
            "unused": ["a", "b", "c"],
        }
    )
    pq.write_table(table, tmp_path / "run.parquet")

    (tmp_path / "other").mkdir()

    told = await played(config(tmp_path / "run.parquet"), tmp_path / "other")

    assert told == await played(config(file), tmp_path)


async def test_a_recording_can_begin_now(file: Path, tmp_path: Path) -> None:
    frames = await played(config(file, from_now=True), tmp_path)

    assert [f.ts_ms for f in frames] == [START + (100 + n) * HOUR for n in range(3)]


async def test_what_was_played_is_not_played_again(file: Path, tmp_path: Path) -> None:
    assert len(await played(config(file), tmp_path)) == 3
    assert await played(config(file), tmp_path) == []


@pytest.mark.parametrize(
    ("text", "error", "complaint"),
    [
        (CSV.replace("volt", "amps"), ConfigurationError, "no column volt; it has when, amps"),
        (CSV.replace("170.5", "full"), InputError, "run.csv:2: volt: 'full' is not a number"),
        (CSV.replace("2026-01-01T01", "2025-01-01T01"), InputError, "run.csv:3: when: is not aft"),
        (CSV.replace("2026-01-01T01:00:00Z", "noon"), InputError, "run.csv:3: when: 'noon' is no"),
    ],
)
async def test_a_fault_names_file_line_and_column(
    tmp_path: Path, text: str, error: type[Exception], complaint: str
) -> None:
    (tmp_path / "run.csv").write_text(text)
    with pytest.raises(error, match=complaint):
        await played(config(tmp_path / "run.csv"), tmp_path)


async def test_a_file_that_is_not_there_or_of_no_known_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone.csv cannot be read: No such file"):
        await played(config(tmp_path / "gone.csv"), tmp_path)
    with pytest.raises(ConfigurationError, match=r"neither .csv nor .parquet"):
        await played(config(tmp_path / "run.xls"), tmp_path)
