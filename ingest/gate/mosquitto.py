"""The gate of a Mosquitto: password and access files, made from the database and read at SIGHUP.

The broker's own configuration has it take a device's login for its client id, so that nobody can
throw another off. Whoever is no longer in the files is cut off as they are read.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from foremend.errors import Unavailable
from foremend.log import get_logger
from foremend.wire import Address
from ingest.gate import metrics, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from foremend.db import Connection
    from ingest.gate.store import Entry

PASSWORDS: Final = "device-passwords"
ACCESS: Final = "device-access"
PID: Final = "broker.pid"
_log = get_logger(__name__)


class MosquittoGate:
    """Keeps the files of one broker, and sees to it that it reads them.

    Mosquitto forgets a SIGHUP that comes while it reads for the one before: it takes the request
    back when it is done (`flag_reload` in its src/loop.c, 2.0 to 2.0.20). So it has to answer
    between the change and the signal. Having one thread, it answers while it is not reading;
    whatever it reads when the signal comes, it began to read after the change.

    `answer` is such a round trip, and raises Unavailable where it fails. Nor is a broker signalled
    that does not answer: while it starts, SIGHUP ends it, and the number of one that was killed
    may be another's by now.

    >>> MosquittoGate(folder, answer).keep(connection)
    """

    def __init__(self, folder: Path, answer: Callable[[], None]) -> None:
        self._folder, self._answer = folder, answer
        # A gate before this one may have ended between the change and the signal.
        self._untold = True
        self._waiting = False

    def keep(self, connection: Connection) -> bool:
        """Bring files and broker up to date; a broker that is away is told at a later call.

        Gives False: nothing more is waiting.
        """
        self.admit(store.valid(connection))
        return False

    def admit(self, entries: Sequence[Entry]) -> None:
        """Let these devices come in, and no others."""
        changed = [_put(self._folder / name, text) for name, text in files(entries).items()]
        self._untold |= any(changed)
        metrics.DEVICES.set(len(entries))
        if self._untold and self._answers():
            _tell(self._folder / PID)
            self._untold = False
            metrics.TOLD.inc()
            _log.info("told who may come in", devices=len(entries))
        metrics.UNTOLD.set(self._untold)

    def _answers(self) -> bool:
        try:
            self._answer()
        except Unavailable as error:
            if not self._waiting:
                _log.warning("the broker cannot be told who may come in yet", error=str(error))
            self._waiting = True
            return False
        self._waiting = False
        return True


def files(entries: Iterable[Entry]) -> dict[str, str]:
    """Give what each file says."""
    known = list(entries)
    return {
        PASSWORDS: "".join(f"{e.login}:{e.mosquitto_hash}\n" for e in known),
        ACCESS: "".join(map(_access, known)),
    }


def _access(entry: Entry) -> str:
    prefix = Address(tenant=entry.tenant, device=entry.device).prefix
    lines = (f"user {entry.login}", f"topic write {prefix}/up/+", f"topic read {prefix}/down/#")
    return "\n".join((*lines, "", ""))


def _put(file: Path, text: str) -> bool:
    """Replace a file whole where it says something else; tells whether it did."""
    with suppress(FileNotFoundError):
        if file.read_text(encoding="utf-8") == text:
            return False
    partial = file.with_name(f"{file.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
    return True


def _tell(pid_file: Path) -> None:
    # A broker that went since it answered reads the files when it starts.
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGHUP)
