"""Room on the disk that is kept back, so that a full one can still be tidied."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

LEAST_ROOM: Final = 1024 * 1024
"""Bytes that must be free before a disk that was full counts as usable again."""
_ZEROS: Final = bytes(64 * 1024)


class Reserve(Protocol):
    """Something that can be given back to the disk when it is full."""

    def free(self) -> None:
        """Give the room back."""

    def restore(self) -> bool:
        """Take the room again; give whether the disk has enough for it and for us."""

    def spare(self) -> int:
        """Give the bytes of the disk beyond this room, whether it is taken or not."""

    def least(self) -> int:
        """Give the bytes of this room that an outbox may have which holds next to nothing."""


class Ballast:
    """A file of nothing beside the outbox; 0 bytes make it a mere look at the disk.

    >>> ballast = Ballast(Path("outbox.ballast"), 4 * 1024**2)
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def free(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)

    def restore(self) -> bool:
        """Make the file where it is not, if thrice its size is free."""
        if self._size and self._path.exists() and self._path.stat().st_size == self._size:
            return True
        if self._free_bytes() < (3 * self._size or LEAST_ROOM):
            return False
        return self._make() if self._size else True

    def spare(self) -> int:
        """Give the bytes of the disk beyond this room, whether it is taken or not."""
        held = self._size if self._path.exists() else 0
        return max(0, self._free_bytes() + held - (self._size or LEAST_ROOM))

    def least(self) -> int:
        """Give a quarter of it; the rest is for the log, without which nothing can be given up."""
        return self._size // 4

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._path.parent).free

    def _make(self) -> bool:
        partial = self._path.with_name(f"{self._path.name}.partial")
        try:
            with partial.open("wb") as file:
                _fill(file.fileno(), self._size)
                os.fsync(file.fileno())
            partial.rename(self._path)
        except OSError:
            # Somebody else was quicker to fill the disk: it is tried again later.
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            return False
        return True


class MemoryReserve:
    """A `Reserve` whose disk is as full as a test says."""

    def __init__(self) -> None:
        self.room = True
        self.held = True

    def free(self) -> None:
        """Note that it was given back."""
        self.held = False

    def restore(self) -> bool:
        """Take it again where there is room."""
        self.held = self.held or self.room
        return self.room

    def spare(self) -> int:
        """Say that there is nothing, or plenty."""
        return 2**30 if self.room else 0

    def least(self) -> int:
        """Give nothing."""
        return 0


def _fill(descriptor: int, size: int) -> None:
    """Take blocks from the disk in earnest: a file with holes would keep nothing back."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for start in range(0, size, len(_ZEROS)):
        os.write(descriptor, _ZEROS[: size - start])
