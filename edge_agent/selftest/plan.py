"""What is tested, within which bounds; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from foremend.wire import Scalar


class Test(Enum):
    """One self-test; in the order in which they run, cold before warm."""

    __test__ = False
    FAN = "fan"
    BELT = "belt"
    HEATER = "heater"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which tests, and how far each goes."""

    tests: tuple[Test, ...] = tuple(Test)
    every_s: float = 0.5
    """From reading to reading."""
    rise_k: float = 40.0
    """How far the hot end is warmed."""
    ceiling_c: float = 100.0
    """It is never told to be hotter: far below where plastic cooks or gas leaves it."""
    over_k: float = 20.0
    """Above its target by more than this it is switched off at once."""
    heat_s: float = 60.0
    """At most; a healthy hot end needs some fifteen seconds for 40 K."""
    fan_s: float = 4.0
    """Small fans are at speed within a second or two."""
    patience_s: float = 10.0
    """For a first reading, at most."""
    axes: tuple[str, ...] = ("x", "y")

    def target_c(self, start_c: float) -> float:
        """Give the target of a hot end that is at `start_c` now."""
        return min(start_c + self.rise_k, self.ceiling_c)


USUAL: Final = Plan()


def chosen(told: Scalar) -> tuple[Test, ...]:
    """Read `fan,heater`; all of them where nothing is told.

    Raises:
        ValueError: one is unknown.

    >>> chosen("heater, fan")
    (<Test.FAN: 'fan'>, <Test.HEATER: 'heater'>)
    """
    if told is None:
        return tuple(Test)
    wanted = {Test(word.strip()) for word in str(told).split(",")}
    return tuple(test for test in Test if test in wanted)
