"""Clocks come in as arguments; nothing below a composition root asks the machine for the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Millis = int
"""Milliseconds since 1970-01-01T00:00:00Z."""

NowMs = Callable[[], Millis]
"""A clock: each call gives the present in milliseconds since the epoch."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def wall_ms() -> Millis:
    """Give the machine's UTC time in milliseconds."""
    return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves when told, for tests and for simulated timelines.

    >>> clock = ManualClock(1_000)
    >>> clock.advance(500)
    >>> clock()
    1500
    """

    def __init__(self, now_ms: Millis = 0) -> None:
        self._now_ms = now_ms

    def __call__(self) -> Millis:
        """Give the present in milliseconds."""
        return self._now_ms

    def advance(self, by_ms: Millis) -> None:
        """Move forward; a clock never goes back.

        Raises:
            ValueError: `by_ms` is negative.
        """
        if by_ms < 0:
            raise ValueError("a clock never goes back")
        self._now_ms += by_ms


def to_datetime(ms: Millis) -> datetime:
    """Turn milliseconds since the epoch into an aware UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(moment: datetime) -> Millis:
    """Turn an aware datetime into milliseconds since the epoch.

    Raises:
        ValueError: `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; naive times are refused")
    return round(moment.timestamp() * 1000)
