"""What a model's metadata says, as headline figures and as a tree of facts; pure.

Metadata is written by whoever trains: what is known by name is shown in words and units, and
anything else as it stands, so that nothing is hidden.
"""

# ruff: noqa: RUF001 - typographic signs are what people read

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from api import wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.model_versions import ModelTrial, Worth

HEADLINES: Final = (
    ("precision", "Precision"),
    ("event_recall", "Failures foreseen"),
    ("recall", "Failures foreseen"),
    ("median_lead_h", "Median lead"),
    ("false_per_100_machine_weeks", "False orders per 100 machine-weeks"),
)
"""The first four of these that the metrics hold are shown large."""
_SHARE: Final = frozenset({"value", "low", "high"})
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One entry: a value in words, or facts below it."""

    name: str
    value: str = ""
    below: tuple[Fact, ...] = ()
    moment: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One large figure with what stands behind it."""

    label: str
    value: str
    note: str = ""


def headline(meta: Mapping[str, Any]) -> list[Figure]:
    """Give the figures by which a model is judged, wherever in its metrics they stand."""
    found: dict[str, Figure] = {}
    for key, label in HEADLINES:
        value = _find(meta.get("metrics"), key)
        if value is not None and label not in found:
            shown, _, note = _value(key, value).partition(" · ")
            found[label] = Figure(label=label, value=shown, note=note)
    return list(found.values())[:_SHOWN]


def trial_rows(trial: ModelTrial) -> list[tuple[str, str, str]]:
    """Lay what was in force beside a challenger: what is told, of the one, of the other."""
    told: list[tuple[str, Callable[[Worth], str]]] = [
        ("would-be orders", lambda w: f"{w.orders} (+{w.undecided} open)"),
        ("right", lambda w: str(w.true_orders)),
        ("false per 100 device-weeks", lambda w: wording.number(w.false_per_100_device_weeks, 3)),
        ("failures foreseen", lambda w: f"{w.foreseen} of {w.findings}"),
        (
            "median lead",
            lambda w: (
                wording.UNKNOWN if w.median_lead_h is None else wording.hours(w.median_lead_h)
            ),
        ),
    ]
    return [(label, say(trial.in_force), say(trial.shadow)) for label, say in told]


def _lead(hours: float | None) -> str:
    return wording.UNKNOWN if hours is None else wording.hours(hours)


def facts(meta: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Give all entries, plain ones first.

    >>> [f.value for f in facts({"median_lead_h": 13.8, "units": 400})]
    ['14 h', '400']
    """
    made = [_fact(str(key), value) for key, value in meta.items()]
    return tuple(sorted(made, key=lambda fact: bool(fact.below)))


def _fact(key: str, value: object) -> Fact:
    name = wording.words(key)
    if isinstance(value, Mapping) and not _is_share(value):
        return Fact(name=name, below=facts(value))
    if key.endswith("_ms") and isinstance(value, int | float) and not isinstance(value, bool):
        bare = wording.words(key.removesuffix("_ms"))
        return Fact(name=bare, moment=datetime.fromtimestamp(value / 1000, UTC))
    return Fact(name=wording.words(key.removesuffix("_h")), value=_value(key, value))


def _value(key: str, value: object) -> str:
    match value:
        case Mapping():
            return _share(value)
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return _number(key, value)
        case None:
            return wording.UNKNOWN
        case Sequence() if not isinstance(value, str):
            return ", ".join(_value(key, item) for item in value)
    return str(value)


def _number(key: str, value: float) -> str:
    if key.endswith("_h"):
        return wording.hours(value).replace(wording.THIN, " ")
    if key in {"precision", "recall", "event_recall"}:
        return wording.percent(value)
    return wording.number(value, 4)


def _share(share: Mapping[str, Any]) -> str:
    """Say a share with its counts and its interval."""
    counts = f"{share['hits']} of {share['total']}, " if {"hits", "total"} <= share.keys() else ""
    between = f"{wording.percent(share['low'])}–{wording.percent(share['high'])}"
    return f"{wording.percent(share['value'])} · {counts}95% interval {between}"


def _is_share(value: Mapping[str, Any]) -> bool:
    return value.keys() >= _SHARE


def _find(tree: object, key: str) -> object:
    """Give the value of a key, the one nearest to the root; None where there is none."""
    level = [tree]
    while level:
        maps = [node for node in level if isinstance(node, Mapping)]
        for node in maps:
            if key in node:
                return node[key]
        level = [child for node in maps for child in node.values()]
    return None
