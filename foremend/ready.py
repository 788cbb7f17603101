"""A process tells whoever started it that it serves now, by a file whose name it was given.

As with `sd_notify(3)`, the name comes by environment, and a process that was given none says
nothing. The file holds the process id and when the kernel started it: together they name one
process for ever, so a file that a dead process left behind never speaks for another.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

VARIABLE: Final = "FOREMEND_READY_FILE"
_STARTED: Final = 19
"""starttime, counted from the field after the name (proc_pid_stat(5): field 22)."""


def announce() -> None:
    """Say that this process really serves; may be called again and again."""
    name = os.environ.get(VARIABLE)
    if name:
        file, pid = Path(name), os.getpid()
        # Two threads may say it at once.
        partial = file.with_name(f"{file.name}.{threading.get_ident()}")
        partial.write_text(json.dumps({"pid": pid, "started": started(pid)}), encoding="ascii")
        partial.replace(file)


def announced(file: Path) -> int | None:
    """Give the process that said so in this file, where it still lives."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(file.read_text(encoding="ascii"))
        if started(told["pid"]) == told["started"]:
            return int(told["pid"])
    return None


def started(pid: int) -> int:
    """Give when the kernel started a process, in clock ticks since boot; raises OSError."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    # A zombie has ended, though its number is not free yet.
    if after_name[0] == "Z":
        raise ProcessLookupError(pid)
    return int(after_name[_STARTED])
