"""Readings written as JSON lines."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from edge_agent.source import Description, Frame, Happening
from edge_agent.sources.lines import LinesConfig, LinesSource, parse_line
from foremend.errors import ConfigurationError, InputError
from foremend.wire import Channel

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = (Channel(name="a", unit="1"), Channel(name="b", unit="1"))
DESCRIPTION = Description(channels=CHANNELS, family="f", model="m")


def test_a_frame_names_what_was_read() -> None:
    item = parse_line(b'{"ts_ms": 5, "values": {"b": 2}, "phase": 3}\n', DESCRIPTION, "-", 1)

    assert item == Frame(ts_ms=5, values=(None, 2.0), phase=3)


def test_an_event_names_its_code() -> None:
    line = b'{"ts_ms": 5, "code": "part_replaced", "component": "nozzle", "details": {"n": 1}}'

    item = parse_line(line, DESCRIPTION, "-", 1)

    assert item == Happening(ts_ms=5, code="part_replaced", component="nozzle", details={"n": 1})


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "in:7: Input data was truncated"),
        (b"\xff", "in:7: "),
        (b'{"ts_ms": 5}', "values"),
        (b'{"ts_ms": 5, "values": {"c": 1}}', "in:7: 'c': the device has no such channel"),
        (b'{"ts_ms": 5, "values": {"a": "hot"}}', "Expected `float | null`"),
        (b'{"ts_ms": 5, "values": {}, "phase": -1}', "phase"),
        (b'{"ts_ms": 5, "code": "E", "severity": "grave"}', "severity"),
    ],
)
def test_a_bad_line_is_named_with_its_fault(line: bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=re.escape(complaint)):
        parse_line(line, DESCRIPTION, "in", 7)


async def test_a_pipe_is_read_on_past_bad_lines_until_closed(tmp_path: Path) -> None:
    pipe = tmp_path / "readings"
    os.mkfifo(pipe)
    source = LinesSource(LinesConfig(path=str(pipe), family="f", model="m", channels=CHANNELS))
    items = source.read()
    writer = os.open(pipe, os.O_RDWR)

    os.write(writer, b'not json\n{"ts_ms": 1, "values": {"a": 1}}\n')
    first = await anext(items)
    os.write(writer, b"x" * 1000 + b'\n{"ts_ms": 2, "values": {"a": 1}}\n')
    second = await anext(items)
    await source.close()

    assert [item.ts_ms for item in (first, second) if isinstance(item, Frame)] == [1, 2]
    assert [item async for item in items] == []
    os.close(writer)


async def test_a_path_that_is_no_pipe_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    source = LinesSource(LinesConfig(path=str(file), family="f", model="m", channels=CHANNELS))

    with pytest.raises(ConfigurationError, match="mkfifo"):
        await anext(source.read())
