"""The one folder that holds an installation's state: locked, stamped, and never mixed up."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

FORMAT = 1
"""Grows when an older Foremend could no longer read the folder."""
STAMP, LOCK = "foremend.json", "lock"
NOT_FOREIGN = {LOCK, f"{STAMP}.partial", "lost+found"}
"""What a start that was cut short, or a fresh file system, leaves in a folder."""
MINIMUM_FREE = 500 * 1024**2
"""Bytes: below this a database that is filling up cannot even clean up after itself."""


class DataDirInUse(ForemendError):
    """Another copy of Foremend uses this data folder; stop it or choose another folder."""


class DataDirUnusable(ForemendError):
    """This folder cannot hold Foremend's data; choose another with --data-dir."""


class DiskFull(ForemendError):
    """There is too little free disk space to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDir:
    """A data folder this process holds the lock of, until `close`.

    >>> with open_data_dir(Path("var")) as home:
    ...     password = home.secret("postgres")
    """

    path: Path
    lock: int
    """The descriptor whose open file carries the lock; children do not inherit it."""

    def folder(self, name: str) -> Path:
        """Return a private folder inside, made on first use."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def secret(self, name: str) -> str:
        """Return the named 256-bit secret, made on first use and kept with mode 0600."""
        file = self.folder("keys") / name
        if not file.exists():
            _write_private(file, secrets.token_urlsafe(32))
        return file.read_text(encoding="ascii").strip()

    def close(self) -> None:
        """Let another copy have the folder."""
        os.close(self.lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_data_dir(path: Path, *, minimum_free: int = MINIMUM_FREE) -> DataDir:
    """Make or open a data folder and take its lock.

    Raises DataDirInUse, DataDirUnusable or DiskFull, each with one sentence saying what to do.
    """
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign(path)
        lock = _take_lock(path)
    except OSError as error:
        raise DataDirUnusable(
            f"The data folder {path} cannot be used ({error.strerror}); "
            "make it writable for this user or choose another with --data-dir."
        ) from error
    try:
        require_free_disk(path, minimum_free)
        _stamp(path)
    except BaseException:
        os.close(lock)
        raise
    return DataDir(path=path, lock=lock)


def refuse_foreign(path: Path) -> None:
    """Raise DataDirUnusable unless the folder is empty, or stamped in a format known here."""
    stamp = path / STAMP
    if not stamp.exists():
        strangers = sorted({entry.name for entry in path.iterdir()} - NOT_FOREIGN)
        if strangers:
            raise DataDirUnusable(
                f"{path} holds other files ({strangers[0]}) and is not a Foremend data folder; "
                "choose an empty or a new folder with --data-dir."
            )
        return
    found = _format_of(stamp)
    if found != FORMAT:
        raise DataDirUnusable(
            f"{path} was written in format {found} and this Foremend reads format {FORMAT}; "
            "start the version that wrote it, or choose another folder with --data-dir."
        )


def require_free_disk(path: Path, minimum: int) -> None:
    """Raise DiskFull when fewer than `minimum` bytes are free where `path` lies."""
    free = shutil.disk_usage(path).free
    if free < minimum:
        raise DiskFull(
            f"Only {free // 1024**2} MiB are free at {path} and {minimum // 1024**2} MiB are "
            "needed; free some disk space or choose another place with --data-dir."
        )


def lock_holder(path: Path) -> int | None:
    """Return the pid written in a data folder's lock, None when there is none."""
    try:
        return int((path / LOCK).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _format_of(stamp: Path) -> object:
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataDirUnusable(
            f"{stamp} cannot be read, so this folder may be damaged; restore that file or "
            "choose another folder with --data-dir."
        ) from error


def _take_lock(path: Path) -> int:
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        pid = lock_holder(path)
        raise DataDirInUse(
            f"Foremend already runs on {path}{f' (pid {pid})' if pid else ''}; stop that copy "
            f"with Ctrl-C{f' or `kill {pid}`' if pid else ''}, or choose another folder with "
            "--data-dir."
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _stamp(path: Path) -> None:
    if not (path / STAMP).exists():
        _write_private(path / STAMP, json.dumps({"format": FORMAT}))


def _write_private(file: Path, text: str) -> None:
    """Write all of it or nothing, so that no crash leaves half a secret."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as sink:
        sink.write(f"{text}\n")
        sink.flush()
        os.fsync(sink.fileno())
    partial.rename(file)
