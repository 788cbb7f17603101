"""Digests: what a device's frames of one hour come to, for detectors too slow for every frame.

    digests = Digests(channels=10)
    for digest in digests.add(slots, ts_ms, out.deviation, out.score, out.known): ...

A digest is complete, and handed out, when a frame of a later hour arrives, by the frames' own
clock. Late frames count into the hour that is open.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.anomaly.spec import Bools, Floats, Floats32, Ints
from models.anomaly.waves import waves

HOUR_MS = 3_600_000
_CLOSED = -(2**62)
_SCORE_CAP = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One device's hour."""

    slot: int
    until_ms: int
    """The end of the hour."""
    frames: int
    score: float
    """Mean score of its known frames, each taken as 10 at most."""
    deviation: tuple[float, ...]
    """[c] mean deviation in standard deviations; NaN where nothing was known."""


class Digests:
    """The open hours of a cohort's devices."""

    def __init__(self, channels: int, period_ms: int = HOUR_MS) -> None:
        self._channels, self._period_ms = channels, period_ms
        self._hour: Ints = np.full(16, _CLOSED)
        self._score: Floats = np.zeros((16, 2))
        self._sums: Floats = np.zeros((16, 2, channels))

    def add(
        self, slots: Ints, ts_ms: Ints, deviation: Floats32, score: Floats, known: Bools
    ) -> list[Digest]:
        """Count frames [n] in; the digests that they complete, in the order they are completed."""
        heard = np.flatnonzero(known)
        self._make_room(slots)
        done: list[Digest] = []
        for rows in waves(slots[heard]):
            at = heard[rows]
            done.extend(self._turn(slots[at], ts_ms[at] // self._period_ms))
            self._count(slots[at], deviation[at].astype(np.float64), score[at])
        return done

    def clear(self, slot: int) -> None:
        """Drop a device's open hour."""
        self._make_room(np.array([slot]))
        self._hour[slot] = _CLOSED
        self._score[slot] = 0.0
        self._sums[slot] = 0.0

    def snapshot(self, slot: int) -> bytes:
        """A device's open hour as bytes."""
        self._make_room(np.array([slot]))
        head = struct.pack("<q", int(self._hour[slot]))
        sums = np.concatenate([self._score[slot], self._sums[slot].ravel()])
        return head + bytes(sums.tobytes())

    def restore(self, slot: int, snapshot: bytes) -> None:
        """Put a snapshot back. Raises ValueError for one of another number of channels."""
        self._make_room(np.array([slot]))
        rest = np.frombuffer(snapshot, np.float64, -1, 8)
        if rest.size != 2 + 2 * self._channels:
            raise ValueError(f"an open hour of {self._channels} channels is not {rest.size} sums")
        self._hour[slot] = struct.unpack_from("<q", snapshot)[0]
        self._score[slot] = rest[:2]
        self._sums[slot] = rest[2:].reshape(2, self._channels)

    def _turn(self, slots: Ints, hours: Ints) -> Iterator[Digest]:
        later = hours > self._hour[slots]
        for slot in slots[later & (self._hour[slots] != _CLOSED)].tolist():
            yield self._closed(slot)
        fresh = slots[later]
        self._hour[fresh] = hours[later]
        self._score[fresh] = 0.0
        self._sums[fresh] = 0.0

    def _closed(self, slot: int) -> Digest:
        total, count = self._sums[slot]
        mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        score, frames = self._score[slot].tolist()
        return Digest(
            slot=slot,
            until_ms=int(self._hour[slot] + 1) * self._period_ms,
            frames=int(frames),
            score=score / frames,
            deviation=tuple(mean.tolist()),
        )

    def _count(self, slots: Ints, deviation: Floats, score: Floats) -> None:
        present = np.isfinite(deviation)
        self._sums[slots, 0] += np.where(present, deviation, 0.0)
        self._sums[slots, 1] += present
        self._score[slots, 0] += np.minimum(score, _SCORE_CAP)
        self._score[slots, 1] += 1.0

    def _make_room(self, slots: npt.NDArray[np.int64]) -> None:
        while len(slots) and slots.max() >= len(self._hour):
            self._hour = np.concatenate([self._hour, np.full_like(self._hour, _CLOSED)])
            self._score = np.concatenate([self._score, np.zeros_like(self._score)])
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
