"""How a child process is described, and the one place that starts one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user and group, by number."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run on a leash: it dies with the process that started it.

    >>> Command(argv=("nats-server", "-c", "broker.conf"))
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    """The whole environment; None inherits ours."""
    cwd: Path = field(default_factory=Path.cwd)
    account: Account | None = None
    """Only root may name one."""
    pass_fds: tuple[int, ...] = ()
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGKILL)
    """Sent in turn, each after the one before was given its time."""

    def leashed(self, parent: int) -> tuple[str, ...]:
        """Return the argument vector that starts this under the leash, for a parent's pid."""
        user = "-" if self.account is None else f"{self.account.uid}:{self.account.gid}"
        leash = str(parent), str(int(self.stop_signals[0])), user
        return (sys.executable, "-I", "-S", str(LEASH), *leash, *self.argv)


def spawn(
    command: Command, *, stdout: int | IO[bytes], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a command, its errors going where its output goes.

    It leads a process group of its own, so that Ctrl-C reaches us alone. Call this from a thread
    that lives as long as the child should: the kernel ties the leash to the thread.
    """
    return subprocess.Popen(  # noqa: S603 - a vector of our own making, and no shell
        command.leashed(os.getpid()),
        env=None if command.env is None else dict(command.env),
        cwd=command.cwd,
        pass_fds=command.pass_fds,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        process_group=0,
    )


def stop(process: subprocess.Popen[bytes], command: Command, *, patience: float) -> int:
    """Send the stop signals in turn, each given `patience` seconds; return the exit status."""
    for sign in command.stop_signals:
        process.send_signal(sign)
        try:
            return process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    return process.wait()
