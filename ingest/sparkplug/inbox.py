"""What waits between the network's thread and the one that stores; bounded by bytes."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ingest.intake import Arrival

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_BATCH: Final = 500
"""Messages that are taken at once."""
GATHER_S: Final = 0.02
IDLE_S: Final = 0.1
_OVERHEAD: Final = 512
"""Bytes of a message beside its payload, roughly."""


class Notice(Enum):
    """What the connection itself has to say, in its place among the messages."""

    MISSED = "missed"
    """Messages may be missing from here on."""
    JOINED = "joined"
    """Subscribed, and heard again by edge nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One message, with what only its delivery tells."""

    arrival: Arrival
    retained: bool = False


@dataclass(slots=True)
class Inbox:
    """Holds at most `max_bytes`; what does not fit is left out, and the reader is told so."""

    max_bytes: int = MAX_BYTES
    _waiting: queue.SimpleQueue[Note | Notice] = field(default_factory=queue.SimpleQueue)
    _put: int = 0
    _taken: int = 0
    _full: bool = False

    def put(self, note: Note | Notice) -> None:
        """Add one, or leave it out where there is no room; one thread alone may call this."""
        size = _size(note)
        if isinstance(note, Note) and self._put - self._taken + size > self.max_bytes:
            if not self._full:
                self._full = True
                self._waiting.put(Notice.MISSED)
            return
        self._full = False
        self._put += size
        self._waiting.put(note)

    def take(self) -> list[Note | Notice]:
        """Give what waits, in order; waits a moment for the first, and a shorter one for more."""
        notes: list[Note | Notice] = []
        until = time.monotonic() + IDLE_S
        while len(notes) < MAX_BATCH:
            try:
                left = until - time.monotonic()
                note = self._waiting.get(timeout=left) if left > 0 else self._waiting.get(False)
            except queue.Empty:
                break
            if not notes:
                until = time.monotonic() + GATHER_S
            notes.append(note)
            self._taken += _size(note)
        return notes


def _size(note: Note | Notice) -> int:
    return _OVERHEAD + len(note.arrival.payload) if isinstance(note, Note) else 0
