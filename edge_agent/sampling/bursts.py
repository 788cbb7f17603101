"""Bursts: for a while everything is sent, and what had been held back before comes first."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from edge_agent.sampling.windows import Recent

if TYPE_CHECKING:
    from edge_agent.sampling.config import ChannelSampling, SamplingConfig
    from edge_agent.source import Frame
    from foremend.clock import Millis


class Bursts:
    """Which channels are in a burst, and what would come before one."""

    def __init__(self, config: SamplingConfig, rules: tuple[ChannelSampling, ...]) -> None:
        self._config = config
        self._rules = rules
        self._recent = tuple(Recent() for _ in rules)
        self._before: deque[Frame] = deque(maxlen=config.most_before)
        self._until_ms: dict[int, Millis] = {}

    def hold_back(self, frame: Frame) -> None:
        """Keep a frame that is not sent, as long as a burst could begin with it."""
        if self._config.before_s:
            self._before.append(frame)

    def release(self, now_ms: Millis) -> list[Frame]:
        """Give what was held back shortly before, and forget it."""
        first_ms = now_ms - 1000 * self._config.before_s
        found = [frame for frame in self._before if first_ms <= frame.ts_ms < now_ms]
        self._before.clear()
        return found

    def begin(self, channel: int, until_ms: Millis) -> None:
        """Let a channel be in a burst until then."""
        self._until_ms[channel] = max(until_ms, self._until_ms.get(channel, until_ms))

    def going(self, now_ms: Millis) -> frozenset[int]:
        """Give the channels in a burst."""
        return frozenset(n for n, until_ms in self._until_ms.items() if now_ms <= until_ms)

    def unusual(self, values: tuple[float | None, ...]) -> int | None:
        """Give the first channel whose value is a cause for a burst; each learns from its own."""
        found = [
            number
            for number, value in enumerate(values)
            if value is not None and self._is_cause(number, value)
        ]
        return found[0] if found else None

    def forget(self) -> None:
        """Forget what was held back, and end every burst: the clock means something else now."""
        self._before.clear()
        self._until_ms.clear()

    def _is_cause(self, number: int, value: float) -> bool:
        rule = self._rules[number]
        if rule.burst_low is not None and value < rule.burst_low:
            return True
        if rule.burst_high is not None and value > rule.burst_high:
            return True
        sigma = rule.burst_sigma
        return sigma is not None and self._recent[number].is_unusual(value, sigma)
