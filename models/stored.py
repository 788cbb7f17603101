"""A cohort's history out of the database, as training reads it: streamed, never held whole.

Frames pass through the online features of a few devices at a time; what stays is one row a device
and hour. What was not known by the end of the window is not read: on a live timeline what arrived
later, on the others, whose clock is their own, what is dated later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foremend.clock import to_ms
from foremend.values import PART_REPLACED
from models.cohort import SQL, Cohort, Window, clock_of, families, read_cohort, terms
from models.features import Rows
from models.history import Frames, Marks
from models.rows import RowMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from foremend.db import Connection

    Ints = NDArray[np.int64]
    Progress = Callable[[str, int, int], None]
    FrameRow = tuple[int, int, int, int, list[float | None]]

DEVICES_AT_ONCE: Final = 64
FRAMES_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a cohort's devices said: feature rows, and when they said that a part was replaced."""

    rows: Rows
    replacements: Marks
    frames: int


def read_rows(
    connection: Connection,
    cohort: Cohort,
    *,
    devices_at_once: int = DEVICES_AT_ONCE,
    progress: Progress,
) -> Told:
    """Read everything as feature rows, in order of time and then of devices.

    Memory holds the rows, and of frames one fetch; how many devices are read at once changes
    nothing in what is read.
    """
    parts: list[Rows] = []
    replaced: list[Marks] = []
    frames, total = 0, len(cohort.ids)
    for first in range(0, total, devices_at_once):
        some = range(first, min(first + devices_at_once, total))
        progress("reading", first, total)
        made, marks, seen = _read_some(connection, cohort, some)
        parts.append(made)
        replaced.append(marks)
        frames += seen
    progress("reading", total, total)
    rows = Rows.joined(parts, cohort.spec.width)
    order = np.lexsort((rows.device, rows.ts_ms))
    return Told(
        rows=Rows(device=rows.device[order], ts_ms=rows.ts_ms[order], values=rows.values[order]),
        replacements=Marks.of(
            *(np.concatenate([getattr(m, n) for m in replaced]) for n in Marks.__slots__)
        ),
        frames=frames,
    )


def read_recent(
    connection: Connection, cohort: Cohort, device: int, most: int
) -> dict[int, Frames]:
    """Give a device's last frames as it told them, by list of channels; it is named by place."""
    asked = terms(cohort.window, [cohort.ids[device]]) | {"most": most}
    rows: list[FrameRow] = connection.execute(SQL["recent"], asked, binary=True).fetchall()
    return {
        schema: _frames(
            mine, {cohort.ids[device]: device}, np.array([row[4] for row in mine], np.float64)
        )
        for schema in sorted({row[2] for row in rows})
        if (mine := [row for row in rows if row[2] == schema])
    }


def _read_some(
    connection: Connection, cohort: Cohort, some: Sequence[int]
) -> tuple[Rows, Marks, int]:
    place = {cohort.ids[i]: i - some[0] for i in some}
    asked = terms(cohort.window, list(place))
    events, replaced = _events(cohort, place, connection.execute(SQL["events"], asked).fetchall())
    installs = _parts(cohort, place, connection.execute(SQL["installs"], asked).fetchall())
    maker = RowMaker(cohort.spec, len(place), installs)
    made: list[Rows] = []
    seen, before = 0, -(2**62)
    for batch in _whole_instants(_batches(connection, cohort, list(place))):
        frames = _frames(batch, place, _by_spec(cohort, batch))
        seen, upto = seen + len(batch), int(frames.ts_ms[-1])
        made.append(
            maker.take(frames, _between(events, before, upto), _between(replaced, before, upto))
        )
        before = upto
    nothing = _frames([], place, np.empty((0, len(cohort.spec.channels))))
    made.append(
        maker.take(nothing, _between(events, before, 2**62), _between(replaced, before, 2**62))
    )
    made.append(maker.finish(to_ms(cohort.window.until)))
    rows = Rows.joined([m for m in made if len(m)], cohort.spec.width)
    return (
        Rows(device=rows.device + some[0], ts_ms=rows.ts_ms, values=rows.values),
        Marks(device=replaced.device + some[0], ts_ms=replaced.ts_ms, what=replaced.what),
        seen,
    )


def _batches(
    connection: Connection, cohort: Cohort, devices: list[int]
) -> Iterator[list[FrameRow]]:
    """Fetch frames in order of time, some at once, through a cursor that the server keeps."""
    window = cohort.window
    last = None
    if window.live:
        row = connection.execute(SQL["last_batch"], {"wall": window.until}).fetchone()
        last = row[0] if row is not None and row[0] is not None else -1
    with connection.cursor(name="training_frames", binary=True) as cursor:
        cursor.execute(SQL["frames"], terms(window, devices) | {"last_batch": last})
        while batch := cursor.fetchmany(FRAMES_AT_ONCE):
            yield batch


def _whole_instants(batches: Iterator[list[FrameRow]]) -> Iterator[list[FrameRow]]:
    """Cut batches anew, so that no instant lies in two of them."""
    held: list[FrameRow] = []
    for batch in batches:
        last = batch[-1][1]
        end = next(i for i in range(len(batch), 0, -1) if i == 1 or batch[i - 2][1] != last) - 1
        if end:
            yield held + batch[:end]
            held = []
        held += batch[end:]
    if held:
        yield held


def _frames(
    rows: Sequence[FrameRow], place: dict[int, int], values: NDArray[np.floating]
) -> Frames:
    return Frames(
        device=np.array([place[row[0]] for row in rows], dtype=np.int64),
        ts_ms=np.array([row[1] for row in rows], dtype=np.int64),
        phase=np.array([row[3] for row in rows], dtype=np.int16),
        values=values,
    )


def _by_spec(cohort: Cohort, rows: Sequence[FrameRow]) -> NDArray[np.float64]:
    """Put every row's values into the spec's order; what a device does not tell is missing."""
    told = np.full((len(rows), len(cohort.spec.channels)), np.nan)
    for number in sorted({row[2] for row in rows}):
        mine = [i for i, row in enumerate(rows) if row[2] == number]
        values = np.array([rows[i][4] for i in mine], dtype=np.float64)
        padded = np.column_stack([values, np.full(len(mine), np.nan)])
        told[mine] = padded[:, cohort.columns[number]]
    return told


def _events(
    cohort: Cohort, place: dict[int, int], rows: Sequence[tuple[Any, ...]]
) -> tuple[Marks, Marks]:
    """Tell error codes and replacements apart."""
    spec = cohort.spec
    parts = {name: i for i, name in enumerate(spec.components)}
    codes = [(place[d], ts, spec.code_index(c)) for d, ts, c, _ in rows if c != PART_REPLACED]
    swaps = [
        (place[d], ts, parts[part])
        for d, ts, code, part in rows
        if code == PART_REPLACED and part in parts
    ]
    return marks(codes), marks(swaps)


def _parts(cohort: Cohort, place: dict[int, int], rows: Sequence[tuple[Any, ...]]) -> Marks:
    parts = {name: i for i, name in enumerate(cohort.spec.components)}
    return marks([(place[d], ts, parts[part]) for d, part, ts in rows if part in parts])


def marks(rows: Sequence[tuple[int, int, int]]) -> Marks:
    """Give marks of (device, ts_ms, what), in order of time."""
    device, ts_ms, what = zip(*rows, strict=True) if rows else ((), (), ())
    return Marks.of(device, ts_ms, what)


def _between(told: Marks, after_ms: int, upto_ms: int) -> Marks:
    return told.where((told.ts_ms > after_ms) & (told.ts_ms <= upto_ms))


__all__ = [
    "Cohort",
    "Told",
    "Window",
    "clock_of",
    "families",
    "marks",
    "read_cohort",
    "read_recent",
    "read_rows",
]
