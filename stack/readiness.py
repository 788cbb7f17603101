"""Whether our services serve: what each says in its file, and who is left over from a crash."""

from __future__ import annotations

import os
import select
import signal
import time
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from foremend import ready
from foremend.errors import ForemendError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".ready"
LEAVE_WITHIN_S: Final = 15.0
"""How long a service that outlived its supervisor may take to leave before it is killed."""
ANSWER_WITHIN_S: Final = 1.0


class StillRunning(ForemendError):
    """A service of an earlier run does not end; end it by hand and start again."""


def file_of(folder: Path, name: str) -> Path:
    """Name the file in which a service says that it serves."""
    return folder / f"{name}{SUFFIX}"


def answers(url: str) -> bool:
    """Whether a server on this machine answers with a success."""
    # Only ever an address that we made; proxies of the environment have no part in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError), opener.open(url, timeout=ANSWER_WITHIN_S) as response:
        return bool(response.status == 200)  # noqa: PLR2004 - success
    return False


def see_off(folder: Path, *, within_s: float = LEAVE_WITHIN_S) -> int:
    """Wait for the services of an earlier run, who leave when their supervisor dies.

    Kills those who do not leave in time, and gives how many there were. The caller holds the lock
    of the data folder, so no living supervisor owns them.

    Raises:
        StillRunning: not even SIGKILL ends one.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    living = [pid for pid in map(ready.announced, files) if pid is not None]
    until = time.monotonic() + within_s
    for pid in living:
        _see_off(pid, until)
    for file in files:
        file.unlink(missing_ok=True)
    return len(living)


def _see_off(pid: int, until: float) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _ends(handle, until - time.monotonic()):
                return
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not _ends(handle, 5.0):
                raise StillRunning(
                    f"A service of an earlier run (pid {pid}) does not end; end it by hand, or "
                    "restart the machine."
                )
        finally:
            os.close(handle)


def _ends(handle: int, within_s: float) -> bool:
    return bool(select.select([handle], [], [], max(0.0, within_s))[0])
