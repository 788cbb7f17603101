"""What goes wrong on the way, as switches, and when: decisions alone, all from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

LINES: Final = 4
"""Connections over which a process's devices speak, as behind gateways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Everything that may be switched on; all of it off by default."""

    duplicates: float = 0.0
    """Share of messages that are sent twice."""
    reorder: float = 0.0
    """Share of messages that wait until the device's next one is gone."""
    skew_s: float = 0.0
    """Clocks are wrong by up to so many seconds, each device's by its own amount."""
    flap_every_s: float = 0.0
    """A connection is cut so often."""
    flap_for_s: float = 2.0
    storm_every_s: float = 0.0
    """All devices report one and the same error so often."""


class Way(Enum):
    """What becomes of a message that is due."""

    SENT = "sent"
    TWICE = "twice"
    HELD = "held"
    """Until the device has sent its next one."""


class Fate:
    """Draws what happens to messages; the same seed, the same fate."""

    def __init__(self, switches: Switches, seed: int) -> None:
        self._switches = switches
        self._dice = random.Random(seed)  # noqa: S311 - chance, not secrets

    def way(self) -> Way:
        """Decide about one message."""
        chance = self._dice.random()
        if chance < self._switches.duplicates:
            return Way.TWICE
        if chance < self._switches.duplicates + self._switches.reorder:
            return Way.HELD
        return Way.SENT

    def skew_ms(self) -> int:
        """Give how wrong one device's clock is."""
        return round(1000.0 * self._switches.skew_s * (2.0 * self._dice.random() - 1.0))


@dataclass(slots=True)
class Timetable:
    """When connections are cut and come back, and when a storm breaks; seconds since the start."""

    switches: Switches
    down: dict[int, float] = field(default_factory=dict)
    """When each line that is cut may come back."""
    flaps: int = 0
    storms: int = 0

    def cut(self, now_s: float) -> int | None:
        """Give the line that is to be cut now, if one is: one after the other."""
        every = self.switches.flap_every_s
        if not every or now_s < (self.flaps + 1) * every:
            return None
        line = self.flaps % LINES
        self.flaps += 1
        self.down[line] = now_s + self.switches.flap_for_s
        return line

    def back(self, now_s: float) -> list[int]:
        """Give the lines that come back now."""
        due = [line for line, until in self.down.items() if now_s >= until]
        for line in due:
            del self.down[line]
        return due

    def storm(self, now_s: float) -> bool:
        """Tell whether a storm breaks now."""
        every = self.switches.storm_every_s
        breaks = bool(every) and now_s >= (self.storms + 1) * every
        self.storms += breaks
        return breaks
