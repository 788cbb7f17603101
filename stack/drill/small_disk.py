"""A disk so small that it can be filled: a tmpfs, mounted for everybody or for one process alone.

Root mounts it where all can see it. Anybody else starts the one process that needs it in a mount
namespace of its own, where the kernel allows that, and reaches it through `/proc/PID/root`.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILLER: Final = "filler"
BLOCK: Final = 4096
MOUNT_AND_BECOME: Final = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


class NoMount(ForemendError):
    """Mounting a tmpfs is not allowed here, and this cannot be shown without one."""


class SmallDisk(Protocol):
    """A disk that is full at a word."""

    @property
    def means(self) -> str:
        """How it came about: `tmpfs`, or `tmpfs in a namespace`."""

    def place(self) -> Path:
        """Where it can be reached from here."""

    def started(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Give the arguments that start a program which is to see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """Mounted where all can see it."""

    folder: Path
    means: str = "tmpfs"

    def place(self) -> Path:
        """Where it is mounted."""
        return self.folder

    def started(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Start it as it is."""
        return argv


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTmpfs:
    """Mounted in the namespace of one process."""

    folder: Path
    size_bytes: int
    pid: Callable[[], int]
    means: str = "tmpfs in a namespace"

    def place(self) -> Path:
        """Where it is mounted, as that process sees it."""
        return Path(f"/proc/{self.pid()}/root{self.folder}")

    def started(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Start it in a namespace, where the disk is mounted first."""
        apart = ("unshare", "--user", "--map-root-user", "--mount")
        return (
            *(*apart, "sh", "-c", MOUNT_AND_BECOME, "sh"),
            *(_options(self.size_bytes), str(self.folder), *argv),
        )


def fill(disk: SmallDisk, room_bytes: int = 0) -> None:
    """Leave so much room and no more; whoever else writes meanwhile takes of it."""
    folder = disk.place()
    file = os.open(folder / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while shutil.disk_usage(folder).free > room_bytes and _took(file):
            continue
    finally:
        os.close(file)


def free(disk: SmallDisk) -> None:
    """Leave room again."""
    (disk.place() / FILLER).unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[Tmpfs]:
    """Mount a tmpfs for the length of a `with` block; raises NoMount."""
    folder.mkdir(parents=True)
    options = ("-t", "tmpfs", "-o", _options(size_bytes), "tmpfs")
    if os.geteuid() != 0 or not _succeeds("mount", *options, str(folder)):
        raise NoMount
    try:
        yield Tmpfs(folder=folder)
    finally:
        _succeeds("umount", "--lazy", str(folder))


def mounted_for(folder: Path, size_bytes: int, pid: Callable[[], int]) -> OwnTmpfs:
    """Give a tmpfs that one process, started by its `started`, will see; raises NoMount."""
    folder.mkdir(parents=True, exist_ok=True)
    disk = OwnTmpfs(folder=folder, size_bytes=size_bytes, pid=pid)
    if not _succeeds(*disk.started(("true",))):
        raise NoMount
    return disk


def _options(size_bytes: int) -> str:
    return f"size={size_bytes},mode=0700"


def _succeeds(*argv: str) -> bool:
    try:
        done = subprocess.run(argv, check=False, capture_output=True)  # noqa: S603 - a vector of ours
    except FileNotFoundError:
        return False
    return done.returncode == 0


def _took(file: int) -> bool:
    """Write a block; give whether there was room for it."""
    try:
        return os.write(file, bytes(BLOCK)) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
