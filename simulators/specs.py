"""Reads what a family is made of from the TOML files in `simulators/data`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from foremend.values import Severity
from foremend.wire import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.steps import Floats

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """How a channel is read: absolute noise, noise as a share of the reading, and resolution."""

    noise: float
    relative: float
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which a part fails: how it ages, how the fault grows, what is said of it.

    Hours and shares. `defect` is the name by which the physics knows it: the component's for its
    first mode, the failure mode's for any other.
    """

    component: str
    defect: str
    failure_mode: str
    life_h: float
    shape: float
    growth_h: tuple[float, float]
    exponent: tuple[float, float]
    intermittent: float
    failure_code: str
    failure_severity: Severity
    warning_code: str
    warning_from: float
    warnings_per_h: float
    names_component: bool
    source: str
    failure_details: Mapping[str, str | int]
    warning_details: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One replaceable part; a new one is free of every fault that the old one had."""

    instance: str
    kind: str
    serial_prefix: str
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """A code that healthy devices say now and then."""

    code: str
    severity: Severity
    per_h: float
    details: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Everything that is known of a family before its units are drawn."""

    model: str
    family: str
    firmware: str
    channels: tuple[Channel, ...]
    sensors: tuple[Sensor, ...]
    parts: tuple[Part, ...]
    background: tuple[Background, ...]
    units: Mapping[str, Mapping[str, Any]]
    effects: Mapping[str, Mapping[str, Any]]
    materials: Mapping[str, Mapping[str, float]]
    habits: Mapping[str, Mapping[str, Any]]
    control: Mapping[str, Mapping[str, Any]]

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Every mode of every part, parts in order: the rows of everything that is [k, n]."""
        return tuple(mode for part in self.parts for mode in part.modes)

    def part(self, component: str) -> Part:
        """Give a part by its component instance; KeyError if there is none."""
        for part in self.parts:
            if part.instance == component:
                return part
        raise KeyError(f"{self.family} has no component {component!r}")

    def rows(self, component: str) -> tuple[int, ...]:
        """Give the places of a component's modes among all modes; none if there is no such part."""
        return tuple(at for at, mode in enumerate(self.modes) if mode.component == component)


@cache
def load(name: str) -> Family:
    """Read `data/{name}.toml`."""
    raw = tomllib.loads((files("simulators") / "data" / f"{name}.toml").read_text("utf-8"))
    return Family(
        model=raw["model"],
        family=raw["family"],
        firmware=raw["firmware"],
        channels=tuple(_channel(c) for c in raw["channels"]),
        sensors=tuple(_sensor(c) for c in raw["channels"]),
        parts=tuple(_part(p) for p in raw["parts"]),
        background=tuple(_background(b) for b in raw["background"]),
        units=raw["units"],
        effects=raw["effects"],
        materials=raw["materials"],
        habits=raw.get("habits", {}),
        control=raw.get("control", {}),
    )


def _channel(row: Mapping[str, Any]) -> Channel:
    return Channel(
        name=row["name"],
        unit=row["unit"],
        kind=row.get("kind", "gauge"),
        statistic=row.get("statistic", "sample"),
        component=row.get("component"),
        low=row.get("low"),
        high=row.get("high"),
    )


def _sensor(row: Mapping[str, Any]) -> Sensor:
    return Sensor(
        noise=row.get("noise", 0.0), relative=row.get("relative", 0.0), decimals=row["decimals"]
    )


def _part(row: Mapping[str, Any]) -> Part:
    modes = [_mode(mode, row["instance"], at) for at, mode in enumerate(row["modes"])]
    return Part(**{**row, "modes": tuple(modes)})


def _mode(row: Mapping[str, Any], component: str, at: int) -> Mode:
    defaults: dict[str, Any] = {"failure_details": {}, "warning_details": {}}
    made = {
        "component": component,
        "defect": component if at == 0 else row["failure_mode"],
        "growth_h": tuple(row["growth_h"]),
        "exponent": tuple(row["exponent"]),
        "failure_severity": Severity(row["failure_severity"]),
    }
    return Mode(**{**defaults, **row, **made})


def _background(row: Mapping[str, Any]) -> Background:
    return Background(
        code=row["code"],
        severity=Severity(row["severity"]),
        per_h=float(row["per_h"]),
        details=row.get("details", {}),
    )


def draw_units(kind: type[T], family: Family, rng: np.random.Generator, n: int) -> T:
    """Draw each unit's own constants: a dataclass of arrays [n], its fields named as in the file.

    A mean with `cv` is log-normal with that coefficient of variation; with `sd` it is normal,
    cut at 2.5 deviations so that no unit is absurd.
    """
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: _spread(family.units[name], rng, n) for name in names})


def _spread(entry: Mapping[str, Any], rng: np.random.Generator, n: int) -> Floats:
    z = np.clip(rng.standard_normal(n), -2.5, 2.5)
    if "sd" in entry:
        return np.asarray(entry["mean"] + entry["sd"] * z, dtype=np.float64)
    sigma = np.sqrt(np.log1p(entry["cv"] ** 2))
    return np.asarray(entry["mean"] * np.exp(sigma * z - sigma**2 / 2), dtype=np.float64)


def read_figures(kind: type[T], table: Mapping[str, Mapping[str, Any]]) -> T:
    """Read a dataclass of floats from a table whose rows give value, unit and source."""
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: float(table[name]["value"]) for name in names})
