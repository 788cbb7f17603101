"""Online models that are rebuilt from their inputs: state without pickle.

A river model has no stable serial form of its own. So it is *defined* by a short list of rows:
fresh, then fed with them in order. The list is the snapshot. When it is full, its newer half is
kept and the model made anew from that half, in the running process as after a restart, so that
both always agree; this also bounds memory and makes the model forget.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np

from foremend.errors import ForemendError, Remedy

_HEAD = struct.Struct("<4sIHH")
_MAGIC = b"FMJ1"

Row = tuple[float, ...]


class JournalRefused(ForemendError):
    """The journal is damaged, or its rows have another width."""

    remedy: ClassVar[Remedy] = Remedy.REJECT


class Learner(Protocol):
    """A model that learns row by row."""

    def learn(self, row: Row) -> None:
        """Learn from one row."""


M = TypeVar("M", bound=Learner)


class Journal(Generic[M]):
    """A model, and the rows that made it what it is."""

    def __init__(self, make: Callable[[], M], width: int, capacity: int) -> None:
        self._make, self._width, self._capacity = make, width, capacity
        self.model = make()
        self.rows: list[Row] = []

    def learn(self, row: Sequence[float]) -> None:
        """Let the model learn a row, as float32 keeps it."""
        if len(self.rows) >= self._capacity:
            self._rebuild(self.rows[self._capacity // 2 :])
        kept = tuple(np.asarray(row, np.float32).astype(float).tolist())
        self.rows.append(kept)
        self.model.learn(kept)

    def clear(self) -> None:
        """Begin again with a fresh model."""
        self._rebuild([])

    def snapshot(self) -> bytes:
        """The rows as bytes, 4 a number."""
        body = np.array(self.rows, np.float32).tobytes()
        return _HEAD.pack(_MAGIC, zlib.crc32(body), len(self.rows), self._width) + body

    def restore(self, snapshot: bytes) -> None:
        """Rebuild the model from a snapshot. Raises JournalRefused."""
        body = snapshot[_HEAD.size :]
        if len(snapshot) < _HEAD.size:
            raise JournalRefused
        magic, crc, count, width = _HEAD.unpack_from(snapshot)
        if (magic, crc, width) != (_MAGIC, zlib.crc32(body), self._width):
            raise JournalRefused
        rows = np.frombuffer(body, np.float32).reshape(count, width)
        self._rebuild([tuple(row) for row in rows.astype(float).tolist()])

    def _rebuild(self, rows: list[Row]) -> None:
        self.rows = list(rows)
        self.model = self._make()
        for row in self.rows:
            self.model.learn(row)
