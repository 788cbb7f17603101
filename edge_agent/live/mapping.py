"""Which of a peer's words is which channel: a file a device model, shipped as data."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from edge_agent import units
from edge_agent.complaints import complaint
from foremend import wire
from foremend.errors import ConfigurationError

Job = Literal["unknown", "idle", "running", "paused", "error", "stopped"]
"""What a device says that it does, in the few words that phases are derived from."""


class Mapped(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel, and the word that it is read from."""

    name: wire.Id
    path: str
    """Of the value, as the peer's source module spells it: `extruder.temperature`."""
    unit: wire.Text
    kind: Literal["gauge", "counter", "state", "context"] = "gauge"
    component: wire.Id | None = None
    low: float | None = None
    high: float | None = None
    """The range that is physically possible, in `unit`; outside it the frame is suspect."""
    scale: float = 1.0
    offset: float = 0.0
    """`unit` = what is told x scale + offset."""
    words: dict[str, float] = {}
    """For states that are told as text."""
    stale_after_s: Annotated[float, Meta(gt=0)] | None = None
    """Instead of the source's own; where the peer tells this one seldom."""

    def __post_init__(self) -> None:
        units.check(self.name, self.unit)

    def channel(self) -> wire.Channel:
        """Give what a birth says of it."""
        return wire.Channel(
            name=self.name,
            unit=self.unit,
            kind=self.kind,
            low=self.low,
            high=self.high,
            component=self.component,
        )

    def read(self, told: object) -> float | None:
        """Turn a value that was told into one in `unit`; None where it is none.

        >>> Mapped(name="fan", path="fan", unit="1", scale=1 / 15).read("15")
        1.0
        """
        if isinstance(told, str) and told in self.words:
            return self.words[told]
        try:
            number = float(told)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
        value = number * self.scale + self.offset
        return value if math.isfinite(value) else None

    def is_possible(self, value: float) -> bool:
        """Whether a value lies in the range that is physically possible."""
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)


class JobWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the peer says what the device does, and what its words mean."""

    path: str
    words: dict[str, Job]

    def read(self, told: object) -> Job:
        """Give what a word means; `unknown` for one that is not listed."""
        return self.words.get(str(told), "unknown")


class Mapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model of device says, and what of it is kept."""

    family: wire.Id
    model: wire.Text
    source: wire.Text
    """Where the meaning of the words is documented."""
    channels: Annotated[tuple[Mapped, ...], Meta(min_length=1, max_length=wire.MAX_CHANNELS - 8)]
    components: tuple[wire.Component, ...] = ()
    job: JobWords | None = None
    delta: bool = False
    """Whether the peer tells only what has changed, so that what it does not tell still holds."""

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"channels named twice: {', '.join(twice)}")

    def fitted(
        self,
        *,
        more: tuple[Mapped, ...],
        without: tuple[str, ...],
        model: str | None,
        parts: tuple[wire.Component, ...] = (),
    ) -> Mapping:
        """Give the mapping of one device, which has channels or parts that its model has not.

        Raises:
            ConfigurationError: a channel to leave out is not there, or one is named twice.
        """
        names = {channel.name for channel in self.channels}
        if unknown := sorted(set(without) - names):
            there = ", ".join(sorted(names))
            raise ConfigurationError(
                f"source.without: there is no channel {', '.join(unknown)}; there are {there}"
            )
        replaced = {channel.name for channel in more} | set(without)
        kept = tuple(channel for channel in self.channels if channel.name not in replaced)
        named = {part.instance for part in parts}
        components = tuple(part for part in self.components if part.instance not in named)
        try:
            return msgspec.structs.replace(
                self,
                channels=kept + more,
                components=components + parts,
                model=self.model if model is None else model,
            )
        except ValueError as error:
            raise ConfigurationError(f"source.channels: {error}") from error


_SHIPPED: Final = resources.files("edge_agent") / "mappings"


def shipped() -> list[str]:
    """Give the names of the mappings that come with the agent."""
    return sorted(
        file.name.removesuffix(".toml")
        for file in _SHIPPED.iterdir()
        if file.name.endswith(".toml")
    )


def load(name: str) -> Mapping:
    """Read a shipped mapping by its name, or any by its path.

    Raises:
        ConfigurationError: there is none, or it is wrong; says which file and field.
    """
    file = Path(name) if name.endswith(".toml") else _SHIPPED / f"{name}.toml"
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Mapping)
    except FileNotFoundError as error:
        known = ", ".join(shipped())
        told = f"source.mapping: there is no {name!r}; shipped are {known}, or name a .toml file"
        raise ConfigurationError(told) from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{file}: {complaint(error, Mapping)}") from error
