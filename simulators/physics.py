"""What a fleet asks of the physics of a family, and what it hands over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from foremend.values import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from foremend.values import Phase
    from simulators.specs import Family
    from simulators.steps import Bools, Floats, Shorts

U = TypeVar("U")
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Around:
    """What acts on the devices from outside in one frame.

    Wear of each mode [k, n] and which of them have failed [k, n], which devices are down [n], room
    temperature in degC [n], share of the mains that is missing [n].
    """

    wear: Floats
    spent: Bools
    down: Bools
    room_c: Floats
    dip: Floats
    dt_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that a device has to say about its own doings."""

    device: int
    code: str
    severity: Severity = Severity.INFO
    details: Mapping[str, str | int | float] = field(default_factory=dict)


def notes(
    says: Bools, code: str, details: Callable[[int], Mapping[str, str | int | float]] | None = None
) -> tuple[Note, ...]:
    """Give the same note of each device that says it [n]."""
    return tuple(
        Note(device=i, code=code, details=details(i) if details else {})
        for i in np.flatnonzero(says).tolist()
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """One frame as it truly was: phase [n], quantities [c, n] in the order of the channels."""

    phase: Shorts
    truth: Floats
    notes: tuple[Note, ...]


class Physics(Protocol[U, S]):
    """The physics of a family: `U` are a fleet's constants, `S` its state; both hold arrays."""

    family: Family
    active: tuple[Phase, ...]
    """Phases in which a part that is due really fails."""

    def draw(self, rng: np.random.Generator, n: int) -> U:
        """Draw the constants of n units."""
        ...

    def begin(self, units: U, room_c: Floats, rng: np.random.Generator) -> S:
        """Give the state that the units start in."""
        ...

    def advance(
        self, units: U, state: S, around: Around, rng: np.random.Generator
    ) -> tuple[S, Outcome]:
        """Move all units on by one frame; draws the same number of variates whatever happens."""
        ...

    def noise(self, units: U) -> Floats:
        """Give each unit's own level of sensor noise [n]."""
        ...
