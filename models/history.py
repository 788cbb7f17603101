"""Recorded or simulated histories of one cohort as plain arrays, and their replay into features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from models.features.spec import HOUR_MS
from models.rows import rows_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from models.features import FeatureSpec

    Ints = NDArray[np.int64]


class Found(IntEnum):
    """The as-found condition of a component that was taken out."""

    FAILED = 0
    DEGRADED = 1
    NO_FAULT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames in order of time: device[m], ts_ms[m], phase[m], values[m, c] (NaN: missing)."""

    device: Ints
    ts_ms: Ints
    phase: NDArray[np.int16]
    values: NDArray[np.floating]

    @staticmethod
    def of_grid(ts_ms: ArrayLike, phase: ArrayLike, values: ArrayLike) -> Frames:
        """Frames of n devices sampled together: ts_ms[t], phase[t, n], values[t, n, c]."""
        ts, x = np.asarray(ts_ms, dtype=np.int64), np.asarray(values)
        steps, devices, channels = x.shape
        return Frames(
            device=np.tile(np.arange(devices), steps),
            ts_ms=np.repeat(ts, devices),
            phase=np.asarray(phase, dtype=np.int16).reshape(-1),
            values=x.reshape(steps * devices, channels),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Dated happenings in order of time: device[m], ts_ms[m], what[m] (a code or component)."""

    device: Ints
    ts_ms: Ints
    what: Ints

    @staticmethod
    def of(device: ArrayLike, ts_ms: ArrayLike, what: ArrayLike) -> Marks:
        """Put marks in order of time; equal times keep their order."""
        ts = np.asarray(ts_ms, dtype=np.int64)
        order = np.argsort(ts, kind="stable")
        return Marks(
            device=np.asarray(device, dtype=np.int64)[order],
            ts_ms=ts[order],
            what=np.asarray(what, dtype=np.int64)[order],
        )

    def where(self, kept: NDArray[np.bool_]) -> Marks:
        """Those that are kept."""
        return Marks(device=self.device[kept], ts_ms=self.ts_ms[kept], what=self.what[kept])

    def __len__(self) -> int:
        return len(self.ts_ms)


NO_MARKS = Marks.of((), (), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found at the end of a component's life: device, ts_ms, what (component), condition.

    `known_ms` is when it became known; nothing decided earlier may use it. All [m].
    """

    device: Ints
    ts_ms: Ints
    what: Ints
    condition: Ints
    known_ms: Ints

    @staticmethod
    def failures(marks: Marks) -> Findings:
        """Failures that were known at once."""
        condition = np.full(len(marks), Found.FAILED, dtype=np.int64)
        return Findings(
            device=marks.device,
            ts_ms=marks.ts_ms,
            what=marks.what,
            condition=condition,
            known_ms=marks.ts_ms,
        )

    def where(self, kept: NDArray[np.bool_]) -> Findings:
        """Those that are kept."""
        return Findings(
            device=self.device[kept],
            ts_ms=self.ts_ms[kept],
            what=self.what[kept],
            condition=self.condition[kept],
            known_ms=self.known_ms[kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that is known of the devices of one cohort up to `until_ms`.

    `installs` are dated before observation began. Every replacement of a part is in
    `replacements`, whether or not a finding tells what was found.
    """

    spec: FeatureSpec
    devices: tuple[str, ...]
    frames: Frames
    events: Marks
    replacements: Marks
    findings: Findings
    installs: Marks
    until_ms: int

    @property
    def failures(self) -> Marks:
        """The failures among the findings."""
        f = self.findings
        failed = f.condition == Found.FAILED
        return Marks.of(f.device[failed], f.ts_ms[failed], f.what[failed])

    @property
    def faults(self) -> Marks:
        """The failures, and the parts that were taken out degraded: what orders are for."""
        f = self.findings
        faulty = f.condition != Found.NO_FAULT
        return Marks.of(f.device[faulty], f.ts_ms[faulty], f.what[faulty])

    def known_at(self, now_ms: int) -> History:
        """Return what was known at `now_ms`: no later input, no finding told later."""
        f, kept = self.frames, self.frames.ts_ms <= now_ms
        frames = Frames(
            device=f.device[kept], ts_ms=f.ts_ms[kept], phase=f.phase[kept], values=f.values[kept]
        )
        return replace(self.told_by(now_ms), frames=frames)

    def of_devices(self, kept: NDArray[np.bool_]) -> History:
        """Return what is told of the devices that are kept[n]; all keep their index."""
        f = self.frames
        mine = kept[f.device]
        return replace(
            self,
            frames=Frames(
                device=f.device[mine],
                ts_ms=f.ts_ms[mine],
                phase=f.phase[mine],
                values=f.values[mine],
            ),
            events=self.events.where(kept[self.events.device]),
            replacements=self.replacements.where(kept[self.replacements.device]),
            findings=self.findings.where(kept[self.findings.device]),
            installs=self.installs.where(kept[self.installs.device]),
        )

    def since(self, then_ms: int) -> History:
        """Return what was observed from `then_ms` on; parts fitted before count as installed."""
        f, kept = self.frames, self.frames.ts_ms >= then_ms
        early = self.replacements.ts_ms < then_ms
        swaps, installs = self.replacements.where(early), self.installs
        return replace(
            self,
            frames=Frames(
                device=f.device[kept],
                ts_ms=f.ts_ms[kept],
                phase=f.phase[kept],
                values=f.values[kept],
            ),
            events=self.events.where(self.events.ts_ms >= then_ms),
            replacements=self.replacements.where(~early),
            findings=self.findings.where(self.findings.ts_ms >= then_ms),
            installs=Marks.of(
                np.r_[installs.device, swaps.device],
                np.r_[installs.ts_ms, swaps.ts_ms],
                np.r_[installs.what, swaps.what],
            ),
        )

    def told_by(self, now_ms: int) -> History:
        """Return the happenings known at `now_ms`, without frames: enough to label rows by."""
        f = self.frames
        none = Frames(
            device=f.device[:0], ts_ms=f.ts_ms[:0], phase=f.phase[:0], values=f.values[:0]
        )
        return replace(
            self,
            frames=none,
            events=self.events.where(self.events.ts_ms <= now_ms),
            replacements=self.replacements.where(self.replacements.ts_ms <= now_ms),
            findings=self.findings.where(self.findings.known_ms <= now_ms),
            until_ms=min(self.until_ms, now_ms),
        )


__all__ = [
    "HOUR_MS",
    "NO_MARKS",
    "Findings",
    "Found",
    "Frames",
    "History",
    "Marks",
    "rows_of",
]
