"""A recorded fleet from five tables: telemetry, error codes, maintenance, failures, machines.

`ts` is the instant at which a row became known. A telemetry column named `date` that holds bare
days tells of whole days: such a row counts as known 30 hours after its day began, for a day's means
may run until 06:00 of the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.errors import InputError
from models.features import FeatureSpec
from models.features.spec import HOUR_MS
from models.history import Findings, Frames, History, Marks
from models.tables import times
from models.tables.names import CODE, COMPONENT, DEVICE, TIME
from models.tables.reading import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.tables.names import Column
    from models.tables.reading import Table

    Ints = NDArray[np.int64]

DAY_KNOWN_AFTER_MS: Final = 30 * HOUR_MS
FAMILY: Final = "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFiles:
    """Where the tables lie. Only `machines` may be left out: then nobody is unknown."""

    telemetry: Path
    errors: Path
    maintenance: Path
    failures: Path
    machines: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A recorded fleet, with the `attributes` of each device as written.

    The history's clock runs `shift_ms` behind, so that its steps end when telemetry becomes known.
    """

    history: History
    shift_ms: int
    cadence_ms: int
    attributes: Mapping[str, Mapping[str, str]]
    time_form: str
    """A time as the telemetry writes it."""

    def clock(self, instant_ms: int) -> int:
        """Return what the history's clock shows at an instant."""
        return instant_ms - self.shift_ms

    def instant(self, clock_ms: int) -> int:
        """Return the instant at which the history's clock shows so much."""
        return clock_ms + self.shift_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dated:
    """A table with its times and devices read; `rest` are the other columns."""

    table: Table
    ts_ms: Ints
    device: list[str]
    time_at: int
    rest: tuple[int, ...]


def read_fleet(
    files: FleetFiles,
    *,
    longest_step_ms: int,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Fleet:
    """Return the fleet of some files; devices without telemetry are left out.

    Steps are as long as telemetry is apart, at least an hour and at most `longest_step_ms`. Lines
    may stand in any order. Raises `InputError` (file, line, field).
    """
    attributes = {} if files.machines is None else _attributes(read_table(files.machines))
    paths = (files.telemetry, files.errors, files.maintenance, files.failures)
    dated = []
    for done, path in enumerate(paths):
        progress("read", done, len(paths))
        dated.append(_dated(path, attributes if files.machines else None))
    progress("read", len(paths), len(paths))
    return _assembled(*dated, attributes=attributes, longest_step_ms=longest_step_ms)


def read_devices(path: Path) -> frozenset[str]:
    """Return the devices that a file names: a column `device`, or one name a line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, None, None, f"cannot be read ({error})") from error
    if any("," in line for line in lines[:1]) or DEVICE.found_in(lines[:1]) is not None:
        table = read_table(path)
        return frozenset(table.names(table.place(DEVICE)))
    return frozenset(line.strip() for line in lines if line.strip())


def _attributes(table: Table) -> dict[str, dict[str, str]]:
    at = table.place(DEVICE)
    names = table.names(at)
    rest = [j for j in range(len(table.header)) if j != at]
    return {
        name: {table.header[j]: table.cells[j][i] for j in rest} for i, name in enumerate(names)
    }


def _dated(path: Path, known: Mapping[str, object] | None) -> _Dated:
    table = read_table(path)
    time_at, device_at = table.place(TIME), table.place(DEVICE)
    device = table.names(device_at)
    strangers = set(device) - set(known) if known is not None else set()
    if strangers:
        name = next(d for d in device if d in strangers)
        told = f"{name!r} is not among the machines"
        raise table.fault(device.index(name), device_at, told)
    return _Dated(
        table=table,
        ts_ms=table.instants_ms(time_at),
        device=device,
        time_at=time_at,
        rest=tuple(j for j in range(len(table.header)) if j not in (time_at, device_at)),
    )


def _assembled(
    telemetry: _Dated,
    errors: _Dated,
    maintenance: _Dated,
    failures: _Dated,
    *,
    attributes: Mapping[str, Mapping[str, str]],
    longest_step_ms: int,
) -> Fleet:
    if not len(telemetry.table):
        raise InputError(telemetry.table.path, None, None, "holds no telemetry")
    names = tuple(sorted(set(telemetry.device), key=_natural))
    ts = telemetry.ts_ms + _known_after_ms(telemetry)
    device = _indices(telemetry.device, names)
    cadence = cadence_ms(device, ts)
    step = min(max(HOUR_MS, round(cadence / HOUR_MS) * HOUR_MS), longest_step_ms)
    shift = _commonest(ts % step)
    begin = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(begin, device, ts - shift)
    codes, components = _names((errors,), CODE), _names((maintenance, failures), COMPONENT)
    failed = _marks(failures, COMPONENT, names, components, shift)
    swaps = _both(_marks(maintenance, COMPONENT, names, components, shift), failed)
    early = swaps.ts_ms < begin[swaps.device]
    channels = tuple(sorted(telemetry.rest, key=lambda j: telemetry.table.header[j]))
    history = History(
        spec=FeatureSpec(
            family=FAMILY,
            channels=tuple(telemetry.table.header[j] for j in channels),
            components=components,
            codes=codes,
            step_ms=step,
        ),
        devices=names,
        frames=_frames(telemetry.table, channels, device, ts - shift),
        events=_marks(errors, CODE, names, codes, shift),
        replacements=swaps.where(~early),
        installs=swaps.where(early),
        findings=Findings.failures(failed),
        until_ms=int(ts.max()) - shift,
    )
    return Fleet(
        history=history.known_at(history.until_ms),
        shift_ms=shift,
        cadence_ms=cadence,
        attributes=attributes,
        time_form=telemetry.table.cells[telemetry.time_at][0],
    )


def cadence_ms(device: Ints, ts_ms: Ints) -> int:
    """Return the median time between a device's rows; an hour where no device has two."""
    order = np.lexsort((ts_ms, device))
    gap = np.diff(ts_ms[order])
    gap = gap[(np.diff(device[order]) == 0) & (gap > 0)]
    return int(np.median(gap)) if len(gap) else HOUR_MS


def _known_after_ms(telemetry: _Dated) -> int:
    table = telemetry.table
    named = table.header[telemetry.time_at].lower() == "date"
    bare = named and all(times.is_bare_day(cell) for cell in table.cells[telemetry.time_at][:100])
    return DAY_KNOWN_AFTER_MS if bare else 0


def _frames(table: Table, channels: Sequence[int], device: Ints, ts: Ints) -> Frames:
    values = [table.numbers(j) for j in channels]
    if not values:
        raise InputError(table.path, 1, None, "has no channel beside time and device")
    order = np.argsort(ts, kind="stable")
    return Frames(
        device=device[order],
        ts_ms=ts[order],
        phase=np.zeros(len(ts), dtype=np.int16),
        values=np.stack(values, axis=1)[order],
    )


def _told(dated: _Dated, column: Column) -> list[str]:
    beside = [j for j in range(len(dated.table.header)) if j not in dated.rest]
    return dated.table.names(dated.table.place_of_last(column, beside=beside))


def _names(tables: Sequence[_Dated], column: Column) -> tuple[str, ...]:
    return tuple(sorted({name for dated in tables for name in _told(dated, column)}))


def _marks(
    dated: _Dated, column: Column, devices: Sequence[str], names: Sequence[str], shift: int
) -> Marks:
    of, what = ({name: i for i, name in enumerate(each)} for each in (devices, names))
    told = _told(dated, column)
    kept = np.array([i for i, name in enumerate(dated.device) if name in of], dtype=np.int64)
    return Marks.of(
        [of[dated.device[i]] for i in kept],
        dated.ts_ms[kept] - shift,
        [what[told[i]] for i in kept],
    )


def _indices(values: Sequence[str], names: Sequence[str]) -> Ints:
    of = {name: i for i, name in enumerate(names)}
    return np.array([of[value] for value in values], dtype=np.int64)


def _commonest(values: Ints) -> int:
    each, times_seen = np.unique(values, return_counts=True)
    return int(each[np.argmax(times_seen)])


def _both(a: Marks, b: Marks) -> Marks:
    """Return the union; what stands in both at one instant is taken once."""
    rows = np.unique(
        np.stack([np.r_[a.ts_ms, b.ts_ms], np.r_[a.device, b.device], np.r_[a.what, b.what]]),
        axis=1,
    )
    return Marks.of(rows[1], rows[0], rows[2])


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (10**18, name)
