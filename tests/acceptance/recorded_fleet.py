"""A small recorded fleet in the layout of the Azure sample, whose failures announce themselves."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2015, 1, 1, 6)  # noqa: DTZ001 - the sample's times name no zone
HOURS = 36 * 24
MACHINES = 4
CHANNELS = {"volt": 170.0, "rotate": 450.0, "pressure": 100.0, "vibration": 40.0}
SIGNS = {"comp1": ("volt", "error1"), "comp2": ("rotate", "error2")}
"""Per component, the channel that leaves its course before a failure, and the code that is said."""
BUILD_UP_H = 30
EVERY_H = 150
"""Hours from one failure of a machine to its next."""


@dataclass(frozen=True, slots=True)
class Failure:
    machine: int
    hour: int
    component: str


def failures() -> list[Failure]:
    """Give failures of alternating components, machine after machine at other hours."""
    return [
        Failure(machine, hour, ("comp1", "comp2")[(machine + turn) % 2])
        for machine in range(1, MACHINES + 1)
        for turn, hour in enumerate(range(100 + 31 * machine, HOURS - 30, EVERY_H))
    ]


def write(folder: Path) -> None:
    """Write all five files."""
    known = failures()
    _table(folder / "machines.csv", ("machineID", "model", "age"), _machines())
    _table(folder / "telemetry_hourly.csv", ("datetime", "machineID", *CHANNELS), _telemetry(known))
    errors = sorted(
        (_time(f.hour - ahead), f.machine, SIGNS[f.component][1])
        for f in known
        for ahead in (20, 8)
    )
    _table(folder / "errors.csv", ("datetime", "machineID", "errorID"), errors)
    failed = sorted((_time(f.hour), f.machine, f.component) for f in known)
    _table(folder / "failures.csv", ("datetime", "machineID", "failure"), failed)
    _table(folder / "maintenance.csv", ("datetime", "machineID", "comp"), failed)


def _machines() -> list[tuple[int, str, int]]:
    return [(machine, "model1", 5) for machine in range(1, MACHINES + 1)]


def _telemetry(known: list[Failure]) -> list[tuple[object, ...]]:
    rng = np.random.default_rng(17)
    level = np.array(list(CHANNELS.values()))
    values = rng.normal(1.0, 0.03, (MACHINES, HOURS, len(CHANNELS))) * level
    for failure in known:
        channel = list(CHANNELS).index(SIGNS[failure.component][0])
        grown = np.linspace(0.0, 0.4, BUILD_UP_H) * level[channel]
        values[failure.machine - 1, failure.hour - BUILD_UP_H : failure.hour, channel] += grown
    return [
        (_time(hour), machine, *(f"{v:.6f}" for v in values[machine - 1, hour].tolist()))
        for machine in range(1, MACHINES + 1)
        for hour in range(HOURS)
    ]


def _time(hour: int) -> str:
    return (START + timedelta(hours=hour)).isoformat(sep=" ")


def _table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(header)
        out.writerows(rows)
