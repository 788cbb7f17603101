"""A first mapping of a machine whose nodes could be looked at: for its owner to trim; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from edge_agent.discovery.toml import spelt
from edge_agent.units import code_of

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
    """As it shows it."""
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
            f"model = {spelt(self.model)}",
            f"source = {spelt(self.source)}",
            "delta = true",
        ]
        job = [] if self.job is None else _job(*self.job)
        channels = zip(_named(self.seen), self.seen, strict=True)
        return "\n".join([*head, *job, *(line for one in channels for line in _channel(*one)), ""])


def _job(path: str, words: Mapping[str, Job]) -> list[str]:
    table = ", ".join(f"{spelt(word)} = {spelt(means)}" for word, means in words.items())
    return ["", "[job]", f"path = {spelt(path)}", f"words = {{ {table} }}"]


def _channel(name: str, seen: Seen) -> Iterator[str]:
    yield from ("", "[[channels]]", f"name = {spelt(name)}", f"path = {spelt(seen.path)}")
    code = code_of(seen.unit)[:MOST_NAME]
    told = f"   # told as {spelt(seen.unit)}" if code != seen.unit else ""
    yield f"unit = {spelt(code)}{told}"
    if seen.kind != "gauge":
        yield f"kind = {spelt(seen.kind)}"
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
