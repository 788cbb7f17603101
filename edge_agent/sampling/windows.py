"""Minimum, maximum, mean and standard deviation of what was read in a window of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from edge_agent.sampling.config import Statistic


@dataclass(slots=True)
class Moments:
    """Running figures of one channel: Welford's method, which loses no digits to a large mean.

    >>> moments = Moments()
    >>> for value in (1.0, 2.0, 3.0):
    ...     moments.add(value)
    >>> moments.give("mean")
    2.0
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared differences from the mean."""
    low: float = math.inf
    high: float = -math.inf

    def add(self, value: float) -> None:
        """Take a value in."""
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)
        self.low, self.high = min(self.low, value), max(self.high, value)

    def give(self, statistic: Statistic) -> float | None:
        """Give a figure; None where nothing was read. The deviation is that of the population."""
        if not self.count:
            return None
        match statistic:
            case "min":
                return self.low
            case "max":
                return self.high
            case "mean":
                return self.mean
            case "std":
                return math.sqrt(self.squares / self.count)
            case _:
                assert_never(statistic)


@dataclass(slots=True)
class Recent:
    """A channel's own recent mean and deviation, which an outlier moves by little.

    Exponentially weighted; a deviation counts for three standard deviations at most.
    """

    WEIGHT = 0.02
    WARM = 50
    """Values before any of them can be told to be unusual."""
    CLIP = 3.0

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def is_unusual(self, value: float, sigma: float) -> bool:
        """Judge a value by those before it, then take it in."""
        deviation = math.sqrt(self.variance)
        delta = value - self.mean
        unusual = self.count >= self.WARM and abs(delta) > sigma * deviation > 0
        self._take(delta, deviation)
        return unusual

    def _take(self, delta: float, deviation: float) -> None:
        self.count += 1
        if self.count > self.WARM:
            delta = max(-self.CLIP * deviation, min(self.CLIP * deviation, delta))
        weight = max(self.WEIGHT, 1 / self.count)
        self.mean += weight * delta
        self.variance = (1 - weight) * (self.variance + weight * delta * delta)
