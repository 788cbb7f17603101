"""From the clocks of a machine and of its sources to UTC; pure but for the readers at the end.

The wall clock of a small board starts wrong and jumps; its monotonic clock does neither, and counts
from the machine's start. One offset between the two dates everything, once the wall is trusted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from foremend.clock import Millis, NowMs

STEP_MS: Final = 1000
"""A wall clock that moves against the monotonic one by this at once has been set, not slewed."""
SANE_FROM_MS: Final = 1_735_689_600_000
"""2025-01-01: no wall clock before this can be right."""
SANE_UNTIL_MS: Final = 4_102_444_800_000
"""2100-01-01."""
TIMESYNC: Final = Path("/run/systemd/timesync")
"""Made by systemd-timesyncd, which adds a file `synchronized` once NTP has answered."""
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class ClockTrust(Protocol):
    """Tells whether the wall clock can be believed."""

    def trusts(self, wall_ms: Millis, mono_ms: Millis) -> bool:
        """Judge a reading of the wall clock, taken so long after the machine's start."""


@dataclass(slots=True)
class ToldTrust:
    """A `ClockTrust` that is told; for tests, and for timelines whose clock is never wrong."""

    trusted: bool = True

    def trusts(self, wall_ms: Millis, mono_ms: Millis) -> bool:  # noqa: ARG002 - it is told
        """Say what it was told."""
        return self.trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemTrust:
    """Believes a year that can be, and waits for NTP where systemd-timesyncd runs.

    A machine without a network may keep good time all the same, so it waits only for so long.
    """

    patience_ms: Millis = 300_000
    timesync: Path = TIMESYNC

    def trusts(self, wall_ms: Millis, mono_ms: Millis) -> bool:
        """Judge a reading of the wall clock, taken so long after the machine's start."""
        if not SANE_FROM_MS <= wall_ms < SANE_UNTIL_MS:
            return False
        if mono_ms >= self.patience_ms or not self.timesync.is_dir():
            return True
        return (self.timesync / "synchronized").exists()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The wall clock was set."""

    from_ms: Millis
    """What it would have shown."""
    to_ms: Millis
    """What it shows."""
    trusted: bool
    """Whether what it shows is believed."""

    @property
    def by_ms(self) -> Millis:
        """How far it was set, negative for back."""
        return self.to_ms - self.from_ms


class Timebase:
    """Keeps the offset of one boot; `look` comes before each reading is placed.

    >>> base = Timebase()
    >>> base.look(wall_ms=5_000, mono_ms=4_000, trusted=False)
    >>> base.place(4_500)  # half a second ago, by a wall clock that is wrong
    3500
    """

    def __init__(self) -> None:
        self.offset_ms: Millis | None = None
        """What to add to the monotonic clock for UTC; None before the wall was ever trusted."""
        self._skew_ms: Millis | None = None

    @property
    def held(self) -> bool:
        """Whether instants still count from the machine's start."""
        return self.offset_ms is None

    def look(self, *, wall_ms: Millis, mono_ms: Millis, trusted: bool) -> Step | None:
        """Take a reading of both clocks; tell if the wall was set since the last one."""
        skew_ms, before_ms = wall_ms - mono_ms, self._skew_ms
        self._skew_ms = skew_ms
        if trusted:
            self.offset_ms = skew_ms
        if before_ms is None or abs(skew_ms - before_ms) < STEP_MS:
            return None
        return Step(from_ms=mono_ms + before_ms, to_ms=wall_ms, trusted=trusted)

    def place(self, wall_ms: Millis) -> Millis:
        """Turn an instant by the wall clock into UTC, or where `held` into time since the start."""
        return wall_ms - (self._skew_ms or 0) + (self.offset_ms or 0)


class SourceClock:
    """Dates readings that a source stamps by its own monotonic clock, as Klipper's `eventtime`.

    A reading arrives some delay after its stamp, so the least difference seen between the two
    clocks is nearest the truth. It is sought anew every minute, since clocks drift apart; a source
    whose clock goes back has started again.

    >>> clock = SourceClock(wall_ms, boot_ms)
    >>> Frame(ts_ms=clock.date(status.eventtime), values=values)
    """

    WINDOW_MS: Final = 60_000
    RESTART_S: Final = 1.0

    def __init__(self, wall: NowMs, mono: NowMs) -> None:
        self._wall = wall
        self._mono = mono
        self._newest_s: float | None = None
        self._least_ms: float = 0.0
        self._next_least_ms: float = 0.0
        self._turns_ms: Millis = 0

    def date(self, source_s: float) -> Millis:
        """Give the instant by our wall clock at which the source's clock showed `source_s`."""
        mono_ms = self._mono()
        delay_ms = mono_ms - 1000 * source_s
        if self._newest_s is None or source_s < self._newest_s - self.RESTART_S:
            self._least_ms = self._next_least_ms = delay_ms
            self._newest_s, self._turns_ms = source_s, mono_ms + self.WINDOW_MS
        self._newest_s = max(self._newest_s, source_s)
        self._note(mono_ms, delay_ms)
        age_ms = max(0.0, delay_ms - self._least_ms)
        return round(self._wall() - age_ms)

    def _note(self, mono_ms: Millis, delay_ms: float) -> None:
        if mono_ms >= self._turns_ms:
            self._least_ms, self._next_least_ms = self._next_least_ms, delay_ms
            self._turns_ms = mono_ms + self.WINDOW_MS
        self._least_ms = min(self._least_ms, delay_ms)
        self._next_least_ms = min(self._next_least_ms, delay_ms)


def machine() -> str:
    """Name the machine's present start: the kernel's boot id, else something nobody else has."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"unknown-{time.time_ns()}"


def _boot_clock() -> Callable[[], int]:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns if clock is None else lambda: time.clock_gettime_ns(clock)


_boot_ns: Final = _boot_clock()


def boot_ms() -> Millis:
    """Give the milliseconds since the machine's start, its sleep included where that is told."""
    return _boot_ns() // 1_000_000
