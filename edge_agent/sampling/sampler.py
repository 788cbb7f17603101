"""From every reading of a source to the frames and happenings that are sent."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge_agent.sampling.bursts import Bursts
from edge_agent.sampling.config import ChannelSampling, SamplingConfig
from edge_agent.sampling.decide import Action, Snapshot, decide
from edge_agent.sampling.windows import Moments
from edge_agent.source import Frame, Happening
from foremend.errors import ConfigurationError, NotFound
from foremend.values import ID_PATTERN, Quality
from foremend.wire import MAX_CHANNELS

if TYPE_CHECKING:
    from edge_agent.source import Description
    from foremend.clock import Millis
    from foremend.wire import Channel

STALE, FRESH, BURST = "channel_stale", "channel_fresh", "burst"
"""Codes of the events that tell of a channel; each an information, no error of the device."""
_AS_IT_COMES: Final = ChannelSampling()


class Sampler:
    """Takes every frame of one device; gives what of it is to be sent.

    >>> sampler = Sampler(SamplingConfig(), source.describe())
    >>> sampler.take(frame) == [frame]  # unless told otherwise, everything is sent
    True

    Raises:
        ConfigurationError: a table names a channel that the device has not, or there are too many.
    """

    def __init__(self, config: SamplingConfig, source: Description) -> None:
        self._config = config
        self._names = tuple(channel.name for channel in source.channels)
        if unknown := config.channels.keys() - set(self._names):
            raise ConfigurationError(f"sampling.channels.{min(unknown)}: there is no such channel")
        self._rules = tuple(config.channels.get(name, config.default) for name in self._names)
        self._derived = tuple(
            (number, statistic)
            for number, rule in enumerate(self._rules)
            for statistic in rule.statistics
        )
        self.description: Final = _with_statistics(source, self._rules)
        """What the device is, with a channel for each statistic."""
        self._plain = all(rule == _AS_IT_COMES for rule in self._rules)
        self._bursts = Bursts(config, self._rules)
        self._asked: list[tuple[int | None, float]] = []
        self._moments = [Moments() for _ in self._names]
        self._window: int | None = None
        self._newest = Snapshot(ts_ms=0, values=(), phase=0, quality=0)
        self._sent: Snapshot | None = None
        self._read: list[tuple[Millis, float] | None] = [None] * len(self._names)
        self._stale: frozenset[int] = frozenset()

    def take(self, frame: Frame) -> list[Frame | Happening]:
        """Take a frame in; give what is to be sent, in this order."""
        if self._plain:
            return [frame]
        finite = tuple(v if v is not None and math.isfinite(v) else None for v in frame.values)
        said: list[Frame | Happening] = [*self._turn_window(frame.ts_ms)]
        if self._derived:
            self._collect(finite)
        filled, stale = self._fill(frame.ts_ms, finite)
        said += self._tell_staleness(frame.ts_ms, stale)
        said += self._begin_bursts(frame.ts_ms, finite)
        whole = replace(frame, values=filled, quality=_quality(frame, filled, stale))
        return said + self._send_or_hold_back(whole)

    def burst(self, channel: str | None, seconds: float) -> None:
        """Send everything that is read of a channel, or of all, for so long from the next frame on.

        Raises:
            NotFound: the device has no such channel.
        """
        if channel is not None and channel not in self._names:
            raise NotFound(f"the device has no channel {channel!r}")
        self._asked.append((None if channel is None else self._names.index(channel), seconds))

    def flush(self) -> list[Frame]:
        """Give what an open window holds: the readings end, or the clock is another from here."""
        return self._close_window()

    def restart(self) -> list[Frame]:
        """Flush, and forget every instant: from here on they count by another clock."""
        last = self.flush()
        self._sent, self._window = None, None
        self._read = [None] * len(self._names)
        self._bursts.forget()
        return last

    def _turn_window(self, ts_ms: Millis) -> list[Frame]:
        number = math.floor(ts_ms / (1000 * self._config.window_s))
        closed = self._close_window() if self._window not in {None, number} else []
        self._window = number
        return closed

    def _close_window(self) -> list[Frame]:
        read = any(moments.count for moments in self._moments)
        if self._window is None or not self._derived or not read:
            return []
        ends_ms = round(1000 * self._config.window_s * (self._window + 1)) - 1
        values = tuple(self._moments[number].give(name) for number, name in self._derived)
        self._moments = [Moments() for _ in self._names]
        newest = self._newest
        nothing = (None,) * len(self._names)
        return [Frame(ts_ms=ends_ms, values=nothing + values, phase=newest.phase)]

    def _collect(self, values: tuple[float | None, ...]) -> None:
        for moments, value in zip(self._moments, values, strict=True):
            if value is not None:
                moments.add(value)

    def _fill(
        self, ts_ms: Millis, values: tuple[float | None, ...]
    ) -> tuple[tuple[float | None, ...], frozenset[int]]:
        """Let last values stand in for what was not read, and name what is too old for that."""
        filled, stale = list(values), set()
        for number, (rule, value) in enumerate(zip(self._rules, values, strict=True)):
            if value is not None:
                self._read[number] = (ts_ms, value)
            elif rule.stale_after_s is not None:
                read_ms, last = self._read[number] or (-math.inf, None)
                filled[number] = last if ts_ms - read_ms <= 1000 * rule.stale_after_s else None
                if filled[number] is None:
                    stale.add(number)
        return tuple(filled), frozenset(stale)

    def _tell_staleness(self, ts_ms: Millis, stale: frozenset[int]) -> list[Happening]:
        before, self._stale = self._stale, stale
        changes = [(STALE, stale - before), (FRESH, before - stale)]
        return [
            Happening(ts_ms=ts_ms, code=code, details={"channel": self._names[number]})
            for code, numbers in changes
            for number in sorted(numbers)
        ]

    def _begin_bursts(
        self, ts_ms: Millis, values: tuple[float | None, ...]
    ) -> list[Frame | Happening]:
        going = self._bursts.going(ts_ms)
        causes: list[dict[str, str]] = []
        for channel, seconds in self._asked:
            self._burst(channel, ts_ms + round(1000 * seconds))
            causes.append({"cause": "asked"} | self._name(channel))
        self._asked.clear()
        unusual = self._bursts.unusual(values)
        if unusual is not None:
            self._burst(None, ts_ms + round(1000 * self._config.after_s))
            causes.append({"cause": "unusual"} | self._name(unusual))
        if going or not causes:
            return []
        told = [Happening(ts_ms=ts_ms, code=BURST, details=causes[0])]
        return [*told, *(self._widen(frame) for frame in self._bursts.release(ts_ms))]

    def _burst(self, channel: int | None, until_ms: Millis) -> None:
        for number in range(len(self._names)) if channel is None else (channel,):
            self._bursts.begin(number, until_ms)

    def _name(self, channel: int | None) -> dict[str, str]:
        return {} if channel is None else {"channel": self._names[channel]}

    def _send_or_hold_back(self, frame: Frame) -> list[Frame]:
        going = self._bursts.going(frame.ts_ms)
        now = self._newest = Snapshot(
            ts_ms=frame.ts_ms, values=frame.values, phase=frame.phase, quality=frame.quality
        )
        decision = decide(self._rules, self._sent, now, bursting=bool(going))
        if decision.action is Action.HOLD_BACK:
            self._bursts.hold_back(frame)
            return []
        self._sent = now
        masked = tuple(
            None if rule.report == "never" and number not in going else value
            for number, (rule, value) in enumerate(zip(self._rules, frame.values, strict=True))
        )
        return [self._widen(replace(frame, values=masked))]

    def _widen(self, frame: Frame) -> Frame:
        return replace(frame, values=frame.values + (None,) * len(self._derived))


def _quality(frame: Frame, filled: tuple[float | None, ...], stale: frozenset[int]) -> int:
    """Call a frame stale where nothing in it is fresh; one silent channel spoils no other."""
    if stale and frame.quality == Quality.GOOD and all(value is None for value in filled):
        return Quality.STALE
    return frame.quality


def _with_statistics(source: Description, rules: tuple[ChannelSampling, ...]) -> Description:
    derived = tuple(
        _statistic_of(channel, statistic)
        for channel, rule in zip(source.channels, rules, strict=True)
        for statistic in rule.statistics
    )
    channels = source.channels + derived
    if len(channels) > MAX_CHANNELS or len({c.name for c in channels}) < len(channels):
        raise ConfigurationError(
            f"sampling: at most {MAX_CHANNELS} channels, statistics included, no two of one name"
        )
    return replace(source, channels=channels)


def _statistic_of(channel: Channel, statistic: str) -> Channel:
    name = f"{channel.name}_{statistic}"
    if not ID_PATTERN.match(name):
        raise ConfigurationError(f"sampling.channels.{channel.name}: {name} is too long a name")
    return msgspec.structs.replace(channel, name=name, statistic=statistic)
