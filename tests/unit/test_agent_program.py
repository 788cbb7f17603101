"""A program that prints readings, ends, stalls, prints rubbish, and is started again."""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random
from typing import TYPE_CHECKING

from edge_agent.site import Site
from edge_agent.source import Frame, Happening
from edge_agent.sources.program import ProgramConfig, ProgramSource
from foremend.values import SOURCE_BACK as BACK
from foremend.values import SOURCE_LOST as LOST
from foremend.values import Quality
from foremend.wire import Channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.source import Item

ONCE = """
import json, os, sys
print(json.dumps({"ts_ms": 1000, "values": {"a": 1}}), flush=True)
print("no reading", flush=True)
print("x" * 100_000, flush=True)
print(json.dumps({"ts_ms": 2000, "values": {"a": 2}}), flush=True)
sys.stdout.write('{"ts_ms": 3000, "values": {"a"')
"""
STALLS = """
import json, os, time
print(json.dumps({"ts_ms": os.getpid() * 1000, "values": {"a": 1}}), flush=True)
time.sleep(600)
"""


class Soon(Random):
    def random(self) -> float:
        return 0.0


async def items_of(
    folder: Path, script: str, enough: Callable[[list[Item]], bool], silence_s: float = 30.0
) -> list[Item]:
    config = ProgramConfig(
        argv=(sys.executable, "-c", script),
        silence_s=silence_s,
        family="f",
        model="m",
        channels=(Channel(name="a", unit="1"),),
    )
    source = ProgramSource(config, Site(device="d", folder=folder, chance=Soon()))
    heard: list[Item] = []
    async with asyncio.timeout(20):
        async for item in source.read():
            heard.append(item)
            if enough(heard):
                await source.close()
    return heard


def codes(items: list[Item]) -> list[str]:
    return [item.code for item in items if isinstance(item, Happening)]


async def test_lines_are_read_bad_ones_left_out_and_a_program_that_ended_is_started_again(
    tmp_path: Path,
) -> None:
    items = await items_of(tmp_path, ONCE, lambda heard: BACK in codes(heard))

    good = [i for i in items if isinstance(i, Frame) and i.quality == Quality.GOOD]
    stale = [i for i in items if isinstance(i, Frame) and i.quality == Quality.STALE]
    lost = next(i for i in items if isinstance(i, Happening) and i.code == LOST)
    assert [(f.ts_ms, f.values) for f in good[:2]] == [(1000, (1.0,)), (2000, (2.0,))]
    assert {f.values for f in good} == {(1.0,), (2.0,)}
    assert lost.details["reason"] == "it ended with status 0"
    assert [f.values for f in stale] == [(None,)]


async def test_a_program_that_falls_silent_is_ended_with_all_that_it_started(
    tmp_path: Path,
) -> None:
    items = await items_of(tmp_path, STALLS, lambda heard: BACK in codes(heard), silence_s=0.3)

    lost = next(i for i in items if isinstance(i, Happening) and i.code == LOST)
    first = next(i for i in items if isinstance(i, Frame))
    assert lost.details["reason"] == "it fell silent"
    assert not _runs(first.ts_ms // 1000)


async def test_a_program_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    config = ProgramConfig(
        argv=("/nowhere/at/all",), family="f", model="m", channels=(Channel(name="a", unit="1"),)
    )
    source = ProgramSource(config, Site(device="d", folder=tmp_path, chance=Soon()))
    async for item in source.read():
        assert isinstance(item, Happening)
        assert item.details["reason"] == "/nowhere/at/all: No such file or directory"
        await source.close()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
