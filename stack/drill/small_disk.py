"""A disk so small that it can be filled: a tmpfs, or where none may be mounted, a file-size limit.

The limit (RLIMIT_FSIZE) stands in for a full disk as far as one process can tell: its writes past
the limit fail. It needs no rights, and serves for the agents' outbox alone.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILLER: Final = "filler"
CHUNK: Final = 64 * 1024


class NoMount(ForemendError):
    """Mounting a tmpfs is not allowed here, and this cannot be shown without one."""


class SmallDisk(Protocol):
    """A disk that is full at a word."""

    @property
    def means(self) -> str:
        """How it is made small: `tmpfs` or `rlimit`."""

    def fill(self) -> None:
        """Leave no room."""

    def free(self) -> None:
        """Leave room again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """A mounted tmpfs; a filler takes all the room that is left."""

    folder: Path
    means: str = "tmpfs"

    def fill(self) -> None:
        """Leave no room."""
        file = os.open(self.folder / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (CHUNK, 1):
                _write_until_full(file, bytes(size))
        finally:
            os.close(file)

    def free(self) -> None:
        """Leave room again."""
        (self.folder / FILLER).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimit:
    """The largest file that one process may write."""

    pid: Callable[[], int]
    most_bytes: int
    means: str = "rlimit"

    def fill(self) -> None:
        """Let no file grow past the limit."""
        self._limit(self.most_bytes)

    def free(self) -> None:
        """Let files grow again."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, most: int) -> None:
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(self.pid(), resource.RLIMIT_FSIZE)
            resource.prlimit(self.pid(), resource.RLIMIT_FSIZE, (most, hard))


@contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[Tmpfs]:
    """Mount a tmpfs for the length of a `with` block; raises NoMount."""
    folder.mkdir(parents=True)
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        raise NoMount
    options = f"size={size_bytes},mode=0700"
    if _run(mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)) != 0:
        raise NoMount
    try:
        yield Tmpfs(folder=folder)
    finally:
        _run(umount, "--lazy", str(folder))


def _run(*argv: str) -> int:
    return subprocess.run(argv, check=False, capture_output=True).returncode  # noqa: S603 - ours


def _write_until_full(file: int, chunk: bytes) -> None:
    try:
        while True:
            os.write(file, chunk)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
