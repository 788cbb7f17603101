"""The arrays that hold every device of a cohort, and one device's share of them as bytes.

Each field is one array whose first axis is the slot. What is in raw units is float64, what is
standardised is float32, which keeps a device of 10 channels and 5 phases under 4 KiB.
"""

import struct
import zlib
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from foremend.errors import ForemendError, Remedy
from models.anomaly.spec import ScorerSpec
from models.calibration import USUAL
from models.exceedance import EDGES

NEVER = -(2**62)
"""A time before all others; differences to it still fit into 64 bits."""

SPREAD, STEP, RESIDUAL, WANDER, COUNT = range(5)
"""Rows of `levels`: mean absolute deviation from `centre` as a standard deviation, the same of
successive differences, the same of what is scored, the same of its running mean, frames learnt."""

LAST, FAST = range(2)
"""Rows of `motion`: last value, fast level."""

MEAN, HIGH, LOW, STIR = range(4)
"""Rows of `trend`: exponentially weighted mean deviation, upper and lower CUSUM, recent mean size
of steps."""

STATISTICS = ("point", "mean", "cusum", "jump", "stir")
"""The detectors, in the order of the tables of `tails`; the last table is of their sum."""

CLIMB_BINS = 30
"""Edges of each channel's own table of CUSUMs, which end at 50."""

PENDING = 20
"""Values wait in a ring of this length before they enter the tables, so that a fault that is on its
way up does not calibrate itself away; every other frame goes in."""
EMPTY = 255
HELD_SHARE = 0.5
"""A channel that repeats itself more often tells something only when it moves."""

_HEAD = struct.Struct("<4sI8s")
_MAGIC = b"FMS3"


class SnapshotRefused(ForemendError):
    """The snapshot is damaged, or of a scorer with another specification or version."""

    remedy: ClassVar[Remedy] = Remedy.REJECT


class ScorerState:
    """Arrays over slots, growing by doubling; a fresh slot is all zero but for its times."""

    def __init__(self, spec: ScorerSpec, capacity: int = 16) -> None:
        self._spec = spec
        self._layout = _layout(len(spec.channels), len(spec.phases), len(spec.context))
        self.used = 0
        for name, (dtype, shape) in self._layout.items():
            setattr(self, name, np.zeros((capacity, *shape), dtype))
        self.which = np.zeros(capacity, np.int64)
        """Where each slot's prior stands in the scorer's list: follows from `prior`."""
        self._blank(slice(0, capacity))

    ts: npt.NDArray[np.int64]
    last_alarm: npt.NDArray[np.int64]
    prior: npt.NDArray[np.uint64]
    cadence: npt.NDArray[np.float64]
    seen: npt.NDArray[np.int64]
    limits: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]
    held: npt.NDArray[np.int64]
    calm: npt.NDArray[np.int16]
    phase: npt.NDArray[np.int16]
    anomalous: npt.NDArray[np.bool_]
    announced: npt.NDArray[np.bool_]
    free: npt.NDArray[np.bool_]
    centre: npt.NDArray[np.float64]
    levels: npt.NDArray[np.float32]
    motion: npt.NDArray[np.float64]
    trend: npt.NDArray[np.float32]
    pairs: npt.NDArray[np.float32]
    precision: npt.NDArray[np.float32]
    tails: npt.NDArray[np.uint16]
    climbs: npt.NDArray[np.uint16]
    pending: npt.NDArray[np.uint8]
    head: npt.NDArray[np.int16]
    peaks: npt.NDArray[np.uint16]
    peak: npt.NDArray[np.float32]
    judged_s: npt.NDArray[np.float64]
    told: npt.NDArray[np.float32]
    repeats: npt.NDArray[np.float16]
    slow: npt.NDArray[np.float64]
    usual: npt.NDArray[np.float64]
    taught: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    cross: npt.NDArray[np.float32]
    slopes: npt.NDArray[np.float32]
    inverse: npt.NDArray[np.float32]
    away: npt.NDArray[np.float32]
    path: npt.NDArray[np.float32]
    settings: npt.NDArray[np.float32]

    @property
    def bytes_per_device(self) -> int:
        """What one device takes in memory; a snapshot is this and a short head."""
        return sum(getattr(self, name)[0].nbytes for name in self._layout)

    def take(self) -> int:
        """Use the next slot."""
        if self.used == len(self.ts):
            self._grow()
        self.used += 1
        return self.used - 1

    def dump(self, slot: int) -> bytes:
        """One slot as bytes: equal states are equal bytes."""
        body = b"".join(getattr(self, name)[slot].tobytes() for name in self._layout)
        return _HEAD.pack(_MAGIC, zlib.crc32(body), self._spec.digest) + body

    def load(self, slot: int, snapshot: bytes) -> None:
        """Put a dumped slot back. Raises SnapshotRefused."""
        body = self._checked(snapshot)
        at = 0
        for name in self._layout:
            row = getattr(self, name)[slot : slot + 1]
            row[...] = np.frombuffer(body, row.dtype, row.size, at).reshape(row.shape)
            at += row.nbytes

    def clear(self, slot: int) -> None:
        """Forget everything about a slot but which prior it uses, and in which manner."""
        prior, free = self.prior[slot], self.free[slot]
        for name in self._layout:
            getattr(self, name)[slot] = 0
        self._blank(slice(slot, slot + 1))
        self.prior[slot], self.free[slot] = prior, free

    def _checked(self, snapshot: bytes) -> bytes:
        body = snapshot[_HEAD.size :]
        if len(body) != self.bytes_per_device:
            raise SnapshotRefused
        magic, crc, digest = _HEAD.unpack_from(snapshot)
        if (magic, crc, digest) != (_MAGIC, zlib.crc32(body), self._spec.digest):
            raise SnapshotRefused
        return body

    def _grow(self) -> None:
        size = len(self.ts)
        for name in self._layout:
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        self.which = np.concatenate([self.which, np.zeros_like(self.which)])
        self._blank(slice(size, 2 * size))

    def _blank(self, rows: slice) -> None:
        self.ts[rows] = NEVER
        self.last_alarm[rows] = NEVER
        self.motion[rows] = np.nan
        self.pending[rows] = EMPTY
        self.evidence[rows] = USUAL
        self.told[rows] = self.slow[rows] = np.nan


def _layout(
    channels: int, phases: int, contexts: int
) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    features = 2 * contexts
    return {
        "ts": (np.int64, ()),
        "last_alarm": (np.int64, ()),
        "prior": (np.uint64, ()),
        "cadence": (np.float64, ()),
        "seen": (np.int64, ()),
        "limits": (np.float32, (2,)),
        "evidence": (np.float32, (2,)),
        "held": (np.int64, ()),
        "calm": (np.int16, ()),
        "phase": (np.int16, ()),
        "anomalous": (np.bool_, ()),
        "announced": (np.bool_, ()),
        "free": (np.bool_, ()),
        "centre": (np.float64, (phases, channels)),
        "levels": (np.float32, (phases, 5, channels)),
        "motion": (np.float64, (2, channels)),
        "trend": (np.float32, (4, channels)),
        "pairs": (np.float32, (1 + channels * (channels + 1) // 2,)),
        "precision": (np.float32, (channels * (channels + 1) // 2,)),
        "tails": (np.uint16, (len(STATISTICS) + 1, len(EDGES))),
        "climbs": (np.uint16, (channels, CLIMB_BINS)),
        "pending": (np.uint8, (PENDING, len(STATISTICS) + 1 + channels)),
        "head": (np.int16, ()),
        "peaks": (np.uint16, (len(EDGES),)),
        "peak": (np.float32, ()),
        "judged_s": (np.float64, ()),
        "told": (np.float32, (channels,)),
        "repeats": (np.float16, (channels,)),
        "slow": (np.float64, (contexts,)),
        "usual": (np.float64, (features,)),
        "taught": (np.float32, (1,) if contexts else (0,)),
        "spread": (np.float32, (features * (features + 1) // 2,)),
        "cross": (np.float32, (features, channels)),
        "slopes": (np.float32, (features, channels)),
        "inverse": (np.float32, (features * (features + 1) // 2,)),
        "away": (np.float32, (features,)),
        "path": (np.float32, (features,)),
        "settings": (np.float32, (1,) if contexts else (0,)),
    }
