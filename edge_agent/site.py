"""Where a source runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING

from foremend.clock import wall_ms

if TYPE_CHECKING:
    from pathlib import Path

    from foremend.clock import Millis, NowMs


def steady_ms() -> Millis:
    """Give a clock that is never set, in milliseconds from some instant."""
    return monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a source is given beside its configuration."""

    device: str
    folder: Path
    """For what must survive a restart."""
    now_ms: NowMs = wall_ms
    steady_ms: NowMs = steady_ms
    chance: Random = field(default_factory=Random)
    """Spreads attempts to reconnect."""
