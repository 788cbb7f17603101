"""What a device says while nobody takes it in: the newest is kept, and how much went is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.live.happened import MOST, NOT_TAKEN_IN, Happened
from edge_agent.source import Happening
from foremend.values import GAP
from tests.peers.scripted import ScriptedStage

if TYPE_CHECKING:
    from pathlib import Path


def happening(number: int) -> Happening:
    return Happening(ts_ms=1000 + number, code="E1", details={"number": number})


async def test_a_source_whose_intake_stands_still_tells_how_much_it_let_go(tmp_path: Path) -> None:
    stage = ScriptedStage(tmp_path)
    for number in range(MOST + 5):
        stage.peer.say(happening(number))

    told: list[Happening] = []
    async with asyncio.timeout(stage.patience_s):
        async for item in stage.source.read():
            if isinstance(item, Happening):
                told.append(item)
            if told and told[-1] == happening(MOST + 4):
                await stage.source.close()

    assert (told[0].code, told[0].severity, told[0].ts_ms) == (GAP, "warning", 1004)
    assert told[0].details == {"reason": NOT_TAKEN_IN, "events": 5}
    assert told[1:] == [happening(number) for number in range(5, MOST + 5)]


@given(st.lists(st.integers(0, 9), max_size=6))
def test_what_is_taken_and_what_is_told_to_be_gone_is_all_that_happened(bursts: list[int]) -> None:
    happened, numbers = Happened(most=3), iter(range(100))
    for burst in bursts:
        for _ in range(burst):
            happened.add(happening(next(numbers)))
        taken = happened.take()
        gone = sum(item.details["events"] for item in taken if item.code == GAP)
        assert gone == max(0, burst - 3)
        assert len(taken) - (gone > 0) + gone == burst
    assert happened.take() == []
