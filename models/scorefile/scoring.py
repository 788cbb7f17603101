"""Scores a recording row by row, and writes one row for each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from models.scorefile.recording import FileRefused, opened
from models.scorefile.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from models.scorefile.recording import Recording, Row
    from models.scorefile.watch import Verdicts

HEADER: Final = ("ts", "score", "anomalous", "alarm", "top_channel")
BLOCK: Final = 512
"""Rows read at a time; what is written does not depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to score, and how."""

    path: Path
    time: str
    channels: tuple[str, ...] | None = None
    """None: every column of numbers."""
    warm_up: int = 0
    """So many first rows are known to be healthy: they raise nothing and are all learnt from."""
    alarms_per_week: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a file."""

    channels: tuple[str, ...]
    left_out: tuple[str, ...]
    rows: int
    anomalous: int
    alarms: int


def score_file(request: Request, out: Path) -> Told:
    """Score a file, and write `HEADER` with one row per row of it to `out`, whole or not at all.

    Raises FileRefused.
    """
    part = out.with_name(f"{out.name}.part")
    try:
        with (
            opened(request.path, request.time, request.channels) as recording,
            part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as sink,
        ):
            told = _scored(request, recording, sink)
        part.replace(out)
    except OSError as error:
        raise FileRefused(f"{out}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return told


def _scored(request: Request, recording: Recording, sink: TextIO) -> Told:
    watch = Watch(recording.channels, request.alarms_per_week)
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(HEADER)
    rows = anomalous = alarms = 0
    for block in _blocks(recording.rows()):
        healthy = np.arange(rows, rows + len(block)) < request.warm_up
        found = watch.judge(
            np.array([row.ts_ms for row in block], np.int64),
            np.array([row.values for row in block], np.float64),
            healthy,
        )
        writer.writerows(_lines(block, found, recording.channels))
        rows += len(block)
        anomalous += int(found.anomalous.sum())
        alarms += int(found.alarm.sum())
    return Told(
        channels=recording.channels,
        left_out=recording.left_out,
        rows=rows,
        anomalous=anomalous,
        alarms=alarms,
    )


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while block := list(islice(rows, BLOCK)):
        yield block


def _lines(block: Sequence[Row], found: Verdicts, channels: Sequence[str]) -> Iterator[list[str]]:
    columns = (found.score, found.anomalous, found.alarm, found.top_channel)
    for row, score, anomalous, alarm, top in zip(
        block, *(column.tolist() for column in columns), strict=True
    ):
        name = channels[top] if top >= 0 else ""
        yield [row.text, f"{score:.4f}", str(int(anomalous)), str(int(alarm)), name]
