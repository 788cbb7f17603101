"""Which processes live in a folder of ours, and how those left over from a crash are moved out.

A process counts as ours only by three marks together: it runs the named program, under the uid
that owns the folder, and with that very folder as its working directory. A process id read from a
file proves nothing.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from foremend.errors import ForemendError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAST_AFTER, QUIT_AFTER, KILL_AFTER, GIVE_UP_AFTER = 1.0, 10.0, 15.0, 25.0
"""Seconds: PostgreSQL's backends leave by themselves within about 0.1 s of losing theirs."""


class OrphanStays(ForemendError):
    """A process left over from an earlier run does not end; end it by hand and start again."""


class Reason(Enum):
    """Why an orphan is treated as it is."""

    EMPTY = "nobody lives there"
    LEAVING = "orphans of a dead server leave by themselves"
    OUTLIVED = "it outlived its supervisor"
    STUBBORN = "it did not answer an orderly stop"
    HUNG = "it answers no signal that can be caught"
    UNKILLABLE = "not even SIGKILL ends it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A signal to send, if any, and whether to go on waiting."""

    wait: bool
    sign: signal.Signals | None
    reason: Reason


def decide(residents: int, waited: float) -> Decision:
    """Choose what to do with the residents of a folder after `waited` seconds."""
    if residents == 0:
        return Decision(wait=False, sign=None, reason=Reason.EMPTY)
    if waited < FAST_AFTER:
        return Decision(wait=True, sign=None, reason=Reason.LEAVING)
    if waited < QUIT_AFTER:
        return Decision(wait=True, sign=signal.SIGINT, reason=Reason.OUTLIVED)
    if waited < KILL_AFTER:
        return Decision(wait=True, sign=signal.SIGQUIT, reason=Reason.STUBBORN)
    if waited < GIVE_UP_AFTER:
        return Decision(wait=True, sign=signal.SIGKILL, reason=Reason.HUNG)
    return Decision(wait=False, sign=None, reason=Reason.UNKILLABLE)


def residents(folder: Path, program: str) -> tuple[int, ...]:
    """Return the pids of those who run `program` in `folder` as the folder's owner."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return tuple(sorted(pid for pid in pids if _lives_in(pid, folder, program)))


def move_out(folder: Path, program: str, *, now: Callable[[], float]) -> int:
    """Wait for, and if need be stop, the residents of a folder; return how many there were.

    The caller holds the lock of the data folder, so no living supervisor owns them. Raises
    OrphanStays.
    """
    started, sent = now(), None
    found = present = residents(folder, program)
    while True:
        decision = decide(len(present), now() - started)
        if not decision.wait:
            break
        if decision.sign is not None and decision.sign is not sent:
            sent = decision.sign
            _signal_all(present, sent, folder, program)
        _wait_for_an_exit(present)
        present = residents(folder, program)
    if decision.reason is Reason.UNKILLABLE:
        raise OrphanStays(
            f"{program} (pid {present[0]}) from an earlier run still uses {folder} and does not "
            "end; end it by hand, or restart the machine."
        )
    return len(found)


def _lives_in(pid: int, folder: Path, program: str) -> bool:
    home = Path("/proc") / str(pid)
    with suppress(OSError):
        owner, place = home.stat().st_uid, folder.stat()
        return (
            owner == place.st_uid
            and (home / "comm").read_text(encoding="utf-8").strip() == program
            and os.path.samestat((home / "cwd").stat(), place)
        )
    return False


def _signal_all(pids: Sequence[int], sign: signal.Signals, folder: Path, program: str) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                # Looked at again through the handle's eyes: the number may have been reused.
                if _lives_in(pid, folder, program):
                    signal.pidfd_send_signal(handle, sign)
            finally:
                os.close(handle)


def _wait_for_an_exit(pids: Sequence[int], at_most: float = 0.1) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pids[0])
        try:
            select.select([handle], [], [], at_most)
        finally:
            os.close(handle)
