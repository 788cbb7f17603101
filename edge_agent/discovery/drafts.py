"""A first mapping of a machine whose nodes could be looked at: for its owner to trim; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edge_agent.live.mapping import Job

MOST_NAME: Final = 64
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A value that a machine offers, and what it says of it."""

    path: str
    """As its source spells it."""
    names: tuple[str, ...]
    """Its own name, and those of what it belongs to, the nearest first."""
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    kind: Literal["gauge", "counter", "state"] = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What can be told of a machine without its owner."""

    model: str
    source: str
    """Where all this was read."""
    seen: tuple[Seen, ...]
    job: tuple[str, Mapping[str, Job]] | None = None
    """The path of what it does, and what its words mean."""

    def toml(self) -> str:
        """Give the file: a mapping that can be read, each channel under a name of its own."""
        head = [
            "# A draft, made of what the machine says of itself. Throw out what nobody needs, name",
            "# the part that a channel speaks of (component), correct units (docs/devices).",
            'family = "machine"',
            f"model = {_spelt(self.model)}",
            f"source = {_spelt(self.source)}",
            "delta = true",
        ]
        job = [] if self.job is None else _job(*self.job)
        channels = zip(_named(self.seen), self.seen, strict=True)
        return "\n".join([*head, *job, *(line for one in channels for line in _channel(*one)), ""])


def _job(path: str, words: Mapping[str, Job]) -> list[str]:
    spelt = ", ".join(f"{_spelt(word)} = {_spelt(means)}" for word, means in words.items())
    return ["", "[job]", f"path = {_spelt(path)}", f"words = {{ {spelt} }}"]


def _channel(name: str, seen: Seen) -> Iterator[str]:
    yield from ("", "[[channels]]", f"name = {_spelt(name)}", f"path = {_spelt(seen.path)}")
    yield f"unit = {_spelt(seen.unit)}"
    if seen.kind != "gauge":
        yield f"kind = {_spelt(seen.kind)}"
    if seen.low is not None and seen.high is not None and seen.low < seen.high:
        yield f"low = {float(seen.low)}"
        yield f"high = {float(seen.high)}"


def _named(seen: Iterable[Seen]) -> list[str]:
    """Name each by its own name, and by what it belongs to where that is taken.

    >>> _named([Seen(path="a", names=("Temp", "Motor")), Seen(path="b", names=("Temp", "Oil"))])
    ['temp', 'oil_temp']
    """
    taken: dict[str, None] = {}
    for one in seen:
        words = [_NOT_IN_NAMES.sub("_", _HUMP.sub("_", n).lower()).strip("_") for n in one.names]
        longer = ["_".join(reversed(words[:count])) for count in range(1, len(words) + 1)]
        plain = longer[-1].strip("_")[: MOST_NAME - 6] or "channel"
        numbered = (f"{plain}_{number}" for number in range(2, 100_000))
        fits = (name.strip("_")[:MOST_NAME] for name in chain(longer, numbered))
        taken[next(name for name in fits if name and name not in taken)] = None
    return list(taken)


def _spelt(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


UCUM: Final = {
    "°C": "Cel", "C": "Cel", "degC": "Cel", "K": "K", "°F": "[degF]",
    "r/min": "/min", "rpm": "/min", "1/min": "/min", "min⁻¹": "/min", "Hz": "Hz",
    "A": "A", "mA": "mA", "V": "V", "mV": "mV", "W": "W", "kW": "kW", "kW·h": "kW.h", "kWh": "kW.h",
    "bar": "bar", "mbar": "mbar", "Pa": "Pa", "kPa": "kPa", "MPa": "MPa",
    "mm": "mm", "m": "m", "µm": "um", "mm/s": "mm/s", "m/s": "m/s", "m/s²": "m/s2",
    "mm/min": "mm/min",
    "N": "N", "kN": "kN", "N·m": "N.m", "Nm": "N.m", "kg": "kg", "t": "t",
    "l/min": "L/min", "l/h": "L/h", "m³/h": "m3/h", "l": "L", "m³": "m3",
    "s": "s", "ms": "ms", "min": "min", "h": "h", "%": "%", "°": "deg", "": "1",
}  # fmt: skip
"""Symbols as machines show them -> UCUM; one that is not here goes as it is shown."""
