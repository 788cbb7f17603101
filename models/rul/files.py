"""Reads lives from files: C-MAPSS text (no header, spaces) or CSV `device,cycle,<channels>`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from foremend.errors import InputError
from models.rul.lives import Lives
from models.tables.names import CYCLE, DEVICE, Column
from models.tables.reading import Table, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RUL = Column(name="rul", kin=("remaining", "remaining_useful_life", "true_rul"))


def read_lives(path: Path, usage: str | None = None) -> Lives:
    """Return the lives of a file, devices in the order in which they first stand there.

    Cycles of a device may stand in any order, but no cycle twice. With `usage`, the column of that
    name (running hours, metres, axis travel, heat cycles) takes the place of cycles: what is left
    is told in its unit. It may stand still from row to row, but not fall.
    Raises `InputError` (file, line, field).
    """
    table = _plain(path, ("device", "cycle")) if _headless(path) else read_table(path)
    device_at = table.place(DEVICE)
    cycle_at = _beside(table, CYCLE, device_at)
    if not len(table):
        raise InputError(path, None, None, "holds no rows")
    names = table.names(device_at)
    devices = tuple(dict.fromkeys(names))
    index = {name: i for i, name in enumerate(devices)}
    device = np.array([index[name] for name in names], dtype=np.int64)
    cycle = table.numbers(cycle_at)
    _each_once(table, device, cycle, cycle_at)
    used_at = cycle_at if usage is None else _beside(table, Column(name=usage, kin=()), device_at)
    used = cycle if used_at == cycle_at else _all_known(table, table.numbers(used_at), used_at)
    rest = [j for j in range(len(table.header)) if j not in (device_at, cycle_at, used_at)]
    rest.sort(key=lambda j: table.header[j])
    if not rest:
        raise InputError(path, 1, None, "has no channel beside device and cycle")
    order = np.lexsort((cycle, device))
    _never_falls(table, device, used, used_at, order)
    return Lives(
        devices=devices,
        channels=tuple(table.header[j] for j in rest),
        device=device[order],
        cycle=used[order],
        values=np.stack([table.numbers(j) for j in rest], axis=1)[order],
    )


def read_truth(path: Path, devices: Sequence[str]) -> Floats:
    """Return the true cycles left of each device: one number a line, or CSV `device,rul`.

    Raises `InputError`.
    """
    if not _headless(path):
        return _truth_by_name(read_table(path), devices)
    table = _plain(path, ("rul",))
    if len(table) != len(devices):
        told = f"holds {len(table)} lines where the test file holds {len(devices)} devices"
        raise InputError(path, None, None, told)
    return _all_known(table, table.numbers(0), 0)


def _truth_by_name(table: Table, devices: Sequence[str]) -> Floats:
    at = table.place(RUL)
    told = _all_known(table, table.numbers(at), at)
    if DEVICE.found_in(table.header) is None and len(table) == len(devices):
        return told
    of = dict(zip(table.names(table.place(DEVICE)), told.tolist(), strict=True))
    missing = [name for name in devices if name not in of]
    if missing:
        raise InputError(table.path, None, "rul", f"says nothing of device {missing[0]!r}")
    return np.array([of[name] for name in devices])


def _headless(path: Path) -> bool:
    """Tell whether a file begins with a number: then it has no header."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            words = re.split(r"[\s,;]+", stream.readline().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, None, None, f"cannot be read ({error})") from error
    return re.fullmatch(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", words[0]) is not None


def _plain(path: Path, first: Sequence[str]) -> Table:
    """Return a table without a header; columns after the `first` are told by their place."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        cells = re.split(r"[\s,;]+", line.strip().strip(",;"))
        if cells == [""]:
            continue
        if rows and len(cells) != len(rows[0]):
            told = f"{len(cells)} numbers where the first line holds {len(rows[0])}"
            raise InputError(path, number, None, told)
        rows.append(cells)
        lines.append(number)
    width = len(rows[0]) if rows else len(first)
    header = (*first, *(f"channel_{j:03}" for j in range(1, width - len(first) + 1)))
    if len(header) > width:
        raise InputError(path, 1, None, f"holds {width} columns, not even {' and '.join(first)}")
    return Table(
        path=path,
        header=header,
        cells=tuple(zip(*rows, strict=True)),
        lines=lines,
        decimal_comma=False,
    )


def _beside(table: Table, column: Column, other: int) -> int:
    at = table.place(column)
    if at == other:
        raise InputError(table.path, 1, column.name, "is the column of devices too")
    return at


def _each_once(table: Table, device: NDArray[np.int64], cycle: Floats, at: int) -> None:
    _all_known(table, cycle, at)
    seen: set[tuple[int, float]] = set()
    for i, key in enumerate(zip(device.tolist(), cycle.tolist(), strict=True)):
        if key in seen:
            raise table.fault(i, at, f"cycle {key[1]:g} stands twice for this device")
        seen.add(key)


def _never_falls(
    table: Table,
    device: NDArray[np.int64],
    used: Floats,
    at: int,
    order: NDArray[np.int64],
) -> None:
    same = device[order][1:] == device[order][:-1]
    falls = np.flatnonzero(same & (used[order][1:] < used[order][:-1]))
    if len(falls):
        raise table.fault(int(order[falls[0] + 1]), at, "falls: it is no measure of use")


def _all_known(table: Table, numbers: Floats, at: int) -> Floats:
    gaps = np.flatnonzero(~np.isfinite(numbers))
    if len(gaps):
        raise table.fault(int(gaps[0]), at, "is missing")
    return numbers
