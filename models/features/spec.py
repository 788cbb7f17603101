"""What a cohort's feature row holds, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HOUR_MS = 3_600_000
RING = 24
"""Blocks kept per channel, and the longest window."""
SHORT = 6
"""Blocks of the short window."""

LEVELS = ("last", "short", "long", "spread", "peak", "heating", "rest")
"""Per channel: last working block mean, means over the short and long window, standard deviation
and largest value inside blocks, mean while heating, mean at rest."""
BASELINES = ("work", "spread", "peak", "heating", "rest")
BASELINE_OF = (0, 0, 0, 1, 2, 3, 4)
"""Which baseline each level is compared with."""
WINDOWS = ("short", "long")
DEVICE_COLUMNS = (
    "observed_h",
    "working_share",
    "missing_share",
    "score_last",
    "score_peak",
)


class Phase:
    """The classes of operating phase that features tell apart (from the wire's phase numbers)."""

    WORK, HEATING, REST, OTHER = range(4)
    # 0 unknown 1 idle 2 heating 3 running 4 cooling 5 paused 6 error 7 stopped
    OF_WIRE = np.array([WORK, REST, HEATING, WORK, OTHER, OTHER, OTHER, REST], dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Feature rows that became due: `device[m]`, boundary `ts_ms[m]`, `values[m, f]` (float32)."""

    device: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.device)

    def where(self, kept: NDArray[np.bool_]) -> Rows:
        """Return those that are kept."""
        return Rows(device=self.device[kept], ts_ms=self.ts_ms[kept], values=self.values[kept])

    @staticmethod
    def joined(parts: Sequence[Rows], width: int) -> Rows:
        """All parts one after another; no parts make no rows."""
        if not parts:
            return no_rows(width)
        if len(parts) == 1:
            return parts[0]
        return Rows(
            device=np.concatenate([p.device for p in parts]),
            ts_ms=np.concatenate([p.ts_ms for p in parts]),
            values=np.concatenate([p.values for p in parts]),
        )


def no_rows(width: int) -> Rows:
    """Zero rows of `width` values."""
    return Rows(
        device=np.empty(0, np.int64),
        ts_ms=np.empty(0, np.int64),
        values=np.empty((0, width), np.float32),
    )


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """One cohort's channels, components and error codes, and the step of evaluation.

    `channel_component[j]` is the component whose replacement makes channel j's baseline be learnt
    anew, or -1. Codes outside `codes` are counted together as one.
    """

    family: str
    channels: tuple[str, ...]
    components: tuple[str, ...]
    codes: tuple[str, ...]
    channel_component: tuple[int, ...] = ()
    step_ms: int = HOUR_MS

    @cached_property
    def tied(self) -> NDArray[np.int64]:
        """Component index per channel, -1 where none; [c]."""
        return np.array(self.channel_component or (-1,) * len(self.channels), dtype=np.int64)

    @cached_property
    def day_blocks(self) -> int:
        """Blocks whose events count as the last 24 hours, at least one and at most the ring."""
        return min(RING, max(1, round(24 * HOUR_MS / self.step_ms)))

    @cached_property
    def memory_blocks(self) -> int:
        """Blocks after which a baseline forgets: ten days, but never under 60 blocks."""
        return min(65_000, max(60, round(240 * HOUR_MS / self.step_ms)))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of a row's values, in order."""
        return (
            *(f"{s}|{c}" for s in LEVELS for c in self.channels),
            *(f"{s}_centre|{c}" for s in BASELINES for c in self.channels),
            *(f"{s}_scale|{c}" for s in BASELINES for c in self.channels),
            *(f"{s}_count|{c}" for s in BASELINES for c in self.channels),
            *(f"{w}_filled|{c}" for w in WINDOWS for c in self.channels),
            *(f"count_day|{e}" for e in (*self.codes, "*")),
            *(f"hours_since|{e}" for e in (*self.codes, "*")),
            *(f"age_h|{k}" for k in self.components),
            *DEVICE_COLUMNS,
        )

    @cached_property
    def width(self) -> int:
        """Values in a row."""
        return len(self.columns)

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Where each part of a row stands: levels, baselines, events, ages and so on."""
        c, q, k = len(self.channels), len(self.codes) + 1, len(self.components)
        sizes = {
            "level": len(LEVELS) * c,
            "centre": len(BASELINES) * c,
            "scale": len(BASELINES) * c,
            "count": len(BASELINES) * c,
            "filled": len(WINDOWS) * c,
            "count_day": q,
            "hours_since": q,
            "age_h": k,
            "device": len(DEVICE_COLUMNS),
        }
        ends = np.cumsum(list(sizes.values())).tolist()
        return {n: slice(e - s, e) for (n, s), e in zip(sizes.items(), ends, strict=True)}

    def code_index(self, code: str) -> int:
        """Return the index of an error code; unknown codes share the last one."""
        return self.codes.index(code) if code in self.codes else len(self.codes)
