"""Reads a recorded fleet in the layout of the Azure predictive-maintenance sample.

A folder holds `machines.csv` (machineID, ...), `telemetry_hourly.csv` (datetime, machineID, one
column per channel), `errors.csv` (datetime, machineID, errorID), `maintenance.csv` (datetime,
machineID, comp) and `failures.csv` (datetime, machineID, failure). Columns may stand in any order;
times are taken as UTC and must not go back within a machine. A failure is a replacement at the same
instant. Every fault of a file is an `InputError` naming file and line.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from foremend.errors import InputError
from models.features import FeatureSpec
from models.history import Findings, Frames, History, Marks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FAMILY = "azure_pdm"
_TIME, _MACHINE = "datetime", "machineID"


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    ts_ms: int
    machine: str
    cells: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    path: Path
    columns: tuple[str, ...]
    lines: list[_Line]


def read_history(folder: Path) -> History:
    """Return the fleet of a folder; machines without telemetry are left out.

    Raises `InputError` (file, line, field) for missing files or columns, times that go back, bad
    numbers and machines that `machines.csv` does not know.
    """
    known = _machines(folder / "machines.csv")
    telemetry = _table(folder / "telemetry_hourly.csv", known, wanted=())
    if not telemetry.lines:
        raise InputError(telemetry.path, None, None, "holds no telemetry")
    tables = {
        "errorID": _table(folder / "errors.csv", known, wanted=("errorID",)),
        "comp": _table(folder / "maintenance.csv", known, wanted=("comp",)),
        "failure": _table(folder / "failures.csv", known, wanted=("failure",)),
    }
    return _assemble(telemetry, tables)


def _assemble(telemetry: _Table, tables: Mapping[str, _Table]) -> History:
    seen = {line.machine for line in telemetry.lines}
    devices = tuple(sorted(seen, key=_natural))
    codes = _names(tables["errorID"])
    components = tuple(sorted({*_names(tables["comp"]), *_names(tables["failure"])}))
    channels = tuple(sorted(telemetry.columns))
    frames = _frames(telemetry, devices, channels)
    failures = _marks(tables["failure"], devices, components)
    swaps = _both(_marks(tables["comp"], devices, components), failures)
    early = swaps.ts_ms < _begin(frames, len(devices))[swaps.device]
    history = History(
        spec=FeatureSpec(family=FAMILY, channels=channels, components=components, codes=codes),
        devices=devices,
        frames=frames,
        events=_marks(tables["errorID"], devices, codes),
        replacements=swaps.where(~early),
        installs=swaps.where(early),
        findings=Findings.failures(failures),
        until_ms=int(frames.ts_ms[-1]),
    )
    return history.known_at(history.until_ms)


def _machines(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for number, row in _rows(path, (_MACHINE,)):
        if not row[_MACHINE]:
            raise InputError(path, number, _MACHINE, "a machine without a name")
        names.add(row[_MACHINE])
    return frozenset(names)


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        stream = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise InputError(path, None, None, f"cannot be read ({error.strerror})") from error
    with stream:
        reader = csv.reader(stream)
        header = [name.strip() for name in next(reader, [])]
        for name in wanted:
            if name not in header:
                raise InputError(path, 1, name, f"no such column; there are {', '.join(header)}")
        for cells in reader:
            if len(cells) != len(header):
                told = f"{len(cells)} cells where the header names {len(header)}"
                raise InputError(path, reader.line_num, None, told)
            yield reader.line_num, dict(zip(header, cells, strict=True))


def _table(path: Path, known: frozenset[str], *, wanted: Sequence[str]) -> _Table:
    lines: list[_Line] = []
    last: dict[str, int] = {}
    columns: tuple[str, ...] = tuple(wanted)
    for number, row in _rows(path, (_TIME, _MACHINE, *wanted)):
        ts, machine = _time(path, number, row.pop(_TIME)), row.pop(_MACHINE)
        if machine not in known:
            raise InputError(path, number, _MACHINE, f"{machine!r} is not in machines.csv")
        if ts < last.get(machine, ts):
            raise InputError(path, number, _TIME, "goes back in time; sort the file by time")
        last[machine] = ts
        columns = columns if wanted else tuple(row)
        lines.append(_Line(number, ts, machine, [row[name] for name in columns]))
    return _Table(path=path, columns=columns, lines=lines)


def _time(path: Path, number: int, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(path, number, _TIME, f"{text!r} is not a time") from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _frames(table: _Table, devices: Sequence[str], channels: Sequence[str]) -> Frames:
    place = [table.columns.index(name) for name in channels]
    of = {name: i for i, name in enumerate(devices)}
    ts = np.array([line.ts_ms for line in table.lines], dtype=np.int64)
    order = np.argsort(ts, kind="stable")
    values = np.array([_numbers(table, line, place) for line in table.lines])
    device = np.array([of[line.machine] for line in table.lines], dtype=np.int64)
    return Frames(
        device=device[order],
        ts_ms=ts[order],
        phase=np.zeros(len(ts), dtype=np.int16),
        values=values[order],
    )


def _numbers(table: _Table, line: _Line, place: Sequence[int]) -> list[float]:
    return [_number(table, line, i) for i in place]


def _number(table: _Table, line: _Line, i: int) -> float:
    text = line.cells[i]
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value) or (math.isnan(value) and text.strip()):
        name = table.columns[i]
        raise InputError(table.path, line.number, name, f"{text!r} is not a finite number")
    return value


def _names(table: _Table) -> tuple[str, ...]:
    for line in table.lines:
        if not line.cells[0]:
            raise InputError(table.path, line.number, table.columns[0], "is empty")
    return tuple(sorted({line.cells[0] for line in table.lines}))


def _marks(table: _Table, devices: Sequence[str], names: Sequence[str]) -> Marks:
    of = {name: i for i, name in enumerate(devices)}
    what = {name: i for i, name in enumerate(names)}
    kept = [line for line in table.lines if line.machine in of]
    return Marks.of(
        [of[line.machine] for line in kept],
        [line.ts_ms for line in kept],
        [what[line.cells[0]] for line in kept],
    )


def _both(a: Marks, b: Marks) -> Marks:
    """Return the union; what stands in both at one instant is taken once."""
    rows = np.unique(
        np.stack([np.r_[a.ts_ms, b.ts_ms], np.r_[a.device, b.device], np.r_[a.what, b.what]]),
        axis=1,
    )
    return Marks.of(rows[1], rows[0], rows[2])


def _begin(frames: Frames, devices: int) -> NDArray[np.int64]:
    begin = np.full(devices, np.iinfo(np.int64).max)
    np.minimum.at(begin, frames.device, frames.ts_ms)
    return begin


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (10**18, name)
