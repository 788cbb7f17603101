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
from foremend.db import Queries
from foremend.errors import NotFound
from foremend.values import PART_REPLACED
from models.features import FeatureSpec, Rows
from models.history import Frames, Marks
from models.rows import RowMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from foremend.db import Connection

    Ints = NDArray[np.int64]
    Progress = Callable[[str, int, int], None]
    FrameRow = tuple[int, int, int, int, list[float | None]]

DEVICES_AT_ONCE: Final = 64
FRAMES_AT_ONCE: Final = 20_000
MOST_CODES: Final = 64
"""Error codes that are told apart; rarer ones count as one."""
_SQL: Final = Queries.load("models", "stored.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which history: of one family on one timeline, in (since, until]."""

    timeline: str
    family: str
    since: datetime
    until: datetime
    live: bool
    """The timeline follows the wall's clock, so that arrival times can be held against `until`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The devices of a window and what they tell; `ids[n]` and `names[n]` in order of names."""

    window: Window
    ids: tuple[int, ...]
    names: tuple[str, ...]
    spec: FeatureSpec
    columns: dict[int, Ints]
    """Per list of channels, the place of each of the spec's channels; past its end where absent."""
    gauges: dict[int, tuple[str, ...]]
    """Per list of channels, those that measure health, in its order."""
    channels: dict[int, tuple[str, ...]]
    """Per list of channels, all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a cohort's devices said: feature rows, and when they said that a part was replaced."""

    rows: Rows
    replacements: Marks
    frames: int


def families(connection: Connection, timeline: str) -> list[str]:
    """Name the families that have devices on a timeline."""
    return [name for (name,) in connection.execute(_SQL["families"], {"timeline": timeline})]


def clock_of(connection: Connection, timeline: str) -> tuple[datetime, bool]:
    """Give a timeline's present, and whether it is the wall's.

    Raises:
        NotFound: there is no such timeline, or nothing ever happened on it.
    """
    row = connection.execute(_SQL["now"], {"timeline": timeline}).fetchone()
    if row is None or row[0] is None:
        raise NotFound(f"nothing is known of a timeline {timeline!r}")
    return row[0], row[1] == "live"


def read_cohort(connection: Connection, window: Window) -> Cohort:
    """Read which devices a window has, and what they tell.

    Raises:
        NotFound: there is no such device.
    """
    asked = {"timeline": window.timeline, "family": window.family}
    found = connection.execute(_SQL["devices"], asked).fetchall()
    if not found:
        raise NotFound(f"there is no device of family {window.family!r} on {window.timeline!r}")
    ids, names = zip(*found, strict=True)
    schemas: dict[int, list[dict[str, Any]]] = dict(
        connection.execute(_SQL["schemas"], {"devices": list(ids)}).fetchall()
    )
    parts = tuple(p for (p,) in connection.execute(_SQL["components"], {"devices": list(ids)}))
    codes = connection.execute(_SQL["codes"], _terms(window, ids) | {"most": MOST_CODES})
    spec = _spec(window.family, schemas, parts, sorted(code for (code,) in codes))
    return Cohort(
        window=window,
        ids=ids,
        names=names,
        spec=spec,
        columns={number: _places(spec, told) for number, told in schemas.items()},
        gauges={number: _gauges(told) for number, told in schemas.items()},
        channels={number: tuple(c["name"] for c in told) for number, told in schemas.items()},
    )


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


def read_frames(
    connection: Connection, cohort: Cohort, some: Sequence[int]
) -> Iterator[tuple[int, Frames]]:
    """Give the frames of some devices as told, by list of channels; devices by their place."""
    place = {cohort.ids[i]: i for i in some}
    for batch in _batches(connection, cohort, list(place)):
        for schema in sorted({row[2] for row in batch}):
            mine = [row for row in batch if row[2] == schema]
            yield schema, _frames(mine, place, np.array([row[4] for row in mine], np.float64))


def _read_some(
    connection: Connection, cohort: Cohort, some: Sequence[int]
) -> tuple[Rows, Marks, int]:
    place = {cohort.ids[i]: i - some[0] for i in some}
    asked = _terms(cohort.window, list(place))
    events, replaced = _events(cohort, place, connection.execute(_SQL["events"], asked).fetchall())
    installs = _parts(cohort, place, connection.execute(_SQL["installs"], asked).fetchall())
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
        row = connection.execute(_SQL["last_batch"], {"wall": window.until}).fetchone()
        last = row[0] if row is not None and row[0] is not None else -1
    with connection.cursor(name="training_frames", binary=True) as cursor:
        cursor.execute(_SQL["frames"], _terms(window, devices) | {"last_batch": last})
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


def _spec(
    family: str, schemas: dict[int, list[dict[str, Any]]], parts: tuple[str, ...], codes: list[str]
) -> FeatureSpec:
    """Lay out the features: every channel that any device tells, the newest word on each."""
    told = {c["name"]: c.get("component") for _, listed in sorted(schemas.items()) for c in listed}
    places = {name: i for i, name in enumerate(parts)}
    return FeatureSpec(
        family=family,
        channels=tuple(told),
        components=parts,
        codes=tuple(codes),
        channel_component=tuple(places.get(part or "", -1) for part in told.values()),
    )


def _places(spec: FeatureSpec, told: list[dict[str, Any]]) -> Ints:
    places = {c["name"]: i for i, c in enumerate(told)}
    return np.array([places.get(name, len(told)) for name in spec.channels], dtype=np.int64)


def _gauges(told: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(c["name"] for c in told if c.get("kind", "gauge") == "gauge")


def _terms(window: Window, devices: Sequence[int]) -> dict[str, Any]:
    return {
        "devices": list(devices),
        "since": window.since,
        "until": window.until,
        "wall": window.until if window.live else None,
        "part_replaced": PART_REPLACED,
    }
