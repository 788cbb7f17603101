"""What a birth introduces: channels of ours for the numeric metrics of one device; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foremend import wire
from foremend.errors import MalformedMessage
from foremend.values import ID_PATTERN
from ingest.sparkplug.naming import identifier
from ingest.sparkplug.payload import BD_SEQ, NUMERIC, DataType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ingest.sparkplug.payload import Metric, Raw

CONTROL: Final = ("Node Control/", "Device Control/")
"""Metrics that are there to be commanded, not measured."""
MAX_TEXT: Final = 256

UCUM: Final[dict[str, str]] = {
    "°C": "Cel",
    "degC": "Cel",
    "deg C": "Cel",
    "celsius": "Cel",
    "°F": "[degF]",
    "degF": "[degF]",
    "RPM": "{rpm}",
    "rpm": "{rpm}",
    "PSI": "[psi]",
    "psi": "[psi]",
    "sec": "s",
    "hours": "h",
    "volts": "V",
    "amps": "A",
    "watts": "W",
    "m³/h": "m3/h",
}
"""Common spellings of units and their UCUM codes; others are taken as they are told."""

_DETAILS: Final[dict[str, str]] = {
    "hardware model": "model",
    "model": "model",
    "fw": "firmware",
    "firmware": "firmware",
    "firmware version": "firmware",
    "family": "family",
}
"""The last part of a text metric's name in a birth, and what of the device it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Where a metric's value goes."""

    at: int
    datatype: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What one device said of itself in its latest birth."""

    channels: tuple[wire.Channel, ...]
    schema: str
    columns: Mapping[str, Column]
    """By the metric's name."""
    names: Mapping[int, str]
    """By alias; aliases are looked up within the device that a topic names, never across."""
    passed_over: frozenset[str]
    """Metrics that are known and hold no number."""
    details: Mapping[str, str]


def introduce(metrics: Sequence[Metric]) -> Introduction:
    """Read a birth. Channels stand in the order of their names, whatever order they were told in.

    Raises:
        MalformedMessage: a metric without a name, or two with one name or one alias.
    """
    names = [metric.name for metric in metrics]
    if None in names:
        raise MalformedMessage("no_name", "a birth must name each metric")
    _refuse_twice("duplicate_metric", names)
    _refuse_twice("duplicate_alias", [m.alias for m in metrics if m.alias is not None])
    measured = sorted((identifier(m.name or ""), m) for m in metrics if _is_measured(m))
    channels = tuple(_channel(name, metric) for name, metric in measured)
    return Introduction(
        channels=channels,
        schema=wire.schema_hash(channels),
        columns={
            m.name or "": Column(at=at, datatype=m.datatype) for at, (_, m) in enumerate(measured)
        },
        names={m.alias: m.name or "" for m in metrics if m.alias is not None},
        passed_over=frozenset(m.name or "" for m in metrics if not _is_measured(m)),
        details=dict(_details(metrics)),
    )


def _refuse_twice(reason: str, values: Sequence[object]) -> None:
    if len(set(values)) != len(values):
        raise MalformedMessage(reason, "two metrics of one birth share it")


def _is_measured(metric: Metric) -> bool:
    name = metric.name or ""
    return (
        metric.datatype in NUMERIC
        and not metric.transient
        and name != BD_SEQ
        and not name.startswith(CONTROL)
    )


def _channel(name: str, metric: Metric) -> wire.Channel:
    told = metric.properties
    component = told.get("component")
    return wire.Channel(
        name=name,
        unit=_unit(told.get("engUnit")),
        kind="state" if metric.datatype == DataType.BOOLEAN else "gauge",
        low=_bound(told.get("engLow")),
        high=_bound(told.get("engHigh")),
        component=component if isinstance(component, str) and ID_PATTERN.match(component) else None,
    )


def _unit(told: Raw) -> str:
    spelt = text(told).strip()
    return UCUM.get(spelt, spelt) or "1"


def _bound(told: Raw) -> float | None:
    number = isinstance(told, int | float) and not isinstance(told, bool)
    return float(told) if number and math.isfinite(told) else None  # type: ignore[arg-type]


def _details(metrics: Iterable[Metric]) -> Iterable[tuple[str, str]]:
    for metric in metrics:
        detail = _DETAILS.get((metric.name or "").rpartition("/")[2].lower())
        if detail is not None and isinstance(metric.raw, str):
            yield detail, text(metric.raw)


def text(told: Raw) -> str:
    """Give a text that the database and the wire can hold; empty for anything but a text."""
    return told.replace("\0", "")[:MAX_TEXT] if isinstance(told, str) else ""
