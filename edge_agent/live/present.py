"""What a device's channels hold now, by what its peer has told; pure.

All instants here are of a clock that is never set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge_agent.source import Frame
from foremend.values import Phase, Quality

if TYPE_CHECKING:
    from edge_agent.live.mapping import Job, Mapped, Mapping
    from edge_agent.live.words import Told
    from foremend.clock import Millis

NEVER: Final = -(2**44)
"""An instant before any."""


@dataclass(slots=True)
class _Held:
    value: float | None = None
    at_ms: Millis = NEVER
    doubtful: bool = False


@dataclass(slots=True, kw_only=True)
class Present:
    """Keeps each channel's last value for as long as it may be believed.

    A peer that tells only changes vouches for all it has told as long as it says anything; another
    vouches for what it tells, each time anew.
    """

    mapping: Mapping
    stale_after_ms: Millis
    job: Job = "unknown"
    heard_ms: Millis = NEVER
    """When anything was last heard."""
    _held: list[_Held] = field(init=False)
    _places: dict[str, list[int]] = field(init=False)
    _framed_ms: Millis = NEVER
    _stale: bool = False

    def __post_init__(self) -> None:
        self._held = [_Held() for _ in self.mapping.channels]
        self._places = {}
        for at, channel in enumerate(self.mapping.channels):
            self._places.setdefault(channel.path, []).append(at)

    def take(self, told: Told, now_ms: Millis) -> None:
        """Take what was told."""
        at_ms = now_ms - max(told.age_ms, 0)
        self.heard_ms = max(self.heard_ms, at_ms)
        words = self.mapping.job
        if words is not None and words.path in told.values:
            self.job = words.read(told.values[words.path])
        for path, value in told.values.items():
            for place in self._places.get(path, ()):
                value_now = self.mapping.channels[place].read(value)
                self._hold(place, _Held(value_now, at_ms, told.doubtful))

    def _hold(self, place: int, held: _Held) -> None:
        if held.at_ms >= self._held[place].at_ms:
            self._held[place] = held

    def lost(self) -> None:
        """Know nothing any more: the connection ended."""
        self._held = [_Held() for _ in self._held]
        self.job, self.heard_ms = "unknown", NEVER

    def values(self, now_ms: Millis) -> tuple[float | None, ...]:
        """Give each channel's value, None where it is not known or no longer."""
        pairs = zip(self.mapping.channels, self._held, strict=True)
        return tuple(self._believed(channel, held, now_ms) for channel, held in pairs)

    def _believed(self, channel: Mapped, held: _Held, now_ms: Millis) -> float | None:
        heard_ms = self.heard_ms if self.mapping.delta else held.at_ms
        limit_s = channel.stale_after_s
        limit_ms = self.stale_after_ms if limit_s is None else round(1000 * limit_s)
        return held.value if now_ms - heard_ms <= limit_ms else None

    def channel(self, name: str, now_ms: Millis) -> tuple[float, Millis] | None:
        """Give a channel's value and how old it is; None where it is not known or no longer."""
        for channel, held in zip(self.mapping.channels, self._held, strict=True):
            if channel.name == name:
                value = self._believed(channel, held, now_ms)
                at_ms = self.heard_ms if self.mapping.delta else held.at_ms
                return None if value is None else (value, now_ms - at_ms)
        return None

    def frame(self, now_ms: Millis) -> Frame | None:
        """Give a frame where something was heard since the last; its phase is still to be told.

        Once nothing is believed any more, one frame says so, and then none until more is heard.
        """
        values = self.values(now_ms)
        if all(value is None for value in values):
            was, self._stale = self._stale, True
            if was or self._framed_ms == NEVER:
                return None
            self._framed_ms = max(now_ms, self._framed_ms + 1)
            return Frame(ts_ms=self._framed_ms, values=values, quality=int(Quality.STALE))
        self._stale = False
        if self.heard_ms <= self._framed_ms:
            return None
        self._framed_ms = self.heard_ms
        return Frame(
            ts_ms=self.heard_ms,
            values=values,
            phase=int(Phase.UNKNOWN),
            quality=int(self._quality(values)),
        )

    def _quality(self, values: tuple[float | None, ...]) -> Quality:
        read = zip(self.mapping.channels, self._held, values, strict=True)
        fits = all(
            channel.is_possible(value) and not held.doubtful
            for channel, held, value in read
            if value is not None
        )
        return Quality.GOOD if fits else Quality.SUSPECT
