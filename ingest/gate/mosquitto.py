"""The gate of a Mosquitto: password and access files, made from the database and read at SIGHUP.

The broker's own configuration has it take a device's login for its client id, so that nobody can
throw another off. Whoever is no longer in the files is cut off as they are read.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from foremend.log import get_logger
from foremend.wire import Address
from ingest.gate import store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from foremend.db import Connection
    from ingest.gate.store import Entry

PASSWORDS: Final = "device-passwords"
ACCESS: Final = "device-access"
PID: Final = "broker.pid"

_log = get_logger(__name__)


AGAIN_S: Final = 1.0
"""After a signal, until it is given once more."""


def keep(folder: Path, connection: Connection) -> bool:
    """Bring the files up to date; where they changed, have the broker read them anew.

    Gives False: nothing more is waiting.
    """
    entries = store.valid(connection)
    changed = [_put(folder / name, text) for name, text in files(entries).items()]
    if any(changed):
        _tell(folder / PID)
        # Mosquitto drops a signal that comes while it still reads for the one before.
        again = threading.Timer(AGAIN_S, _tell, (folder / PID,))
        again.daemon = True
        again.start()
        _log.info("told who may come in", devices=len(entries))
    return False


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
    # A broker that is down reads the files when it starts.
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGHUP)
