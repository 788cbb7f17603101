"""A process that a drill may kill, stop, wake and start again."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import psutil

from foremend.errors import ForemendError
from stack.command import Command, spawn
from stack.command import stop as stop_command
from stack.embedded.logtail import why

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from stack.service import Service

POLL_S: Final = 0.02
MIB: Final = 1024**2


class PartFailed(ForemendError):
    """A part of the drill did not do what it was told."""


class Part(Protocol):
    """What may be harmed, and how it is made whole again."""

    def kill(self) -> None:
        """End it by SIGKILL, with all its children."""

    def pause(self) -> None:
        """Stop it where it stands, with all its children."""

    def resume(self) -> None:
        """Let it go on."""

    def start(self) -> None:
        """Start it where it does not run; returns before it serves."""

    def alive(self) -> bool:
        """Whether its process lives."""

    def serves(self) -> bool:
        """Whether it does its work."""

    def rss_mb(self) -> float:
        """Its resident memory in MiB, 0 where it does not run."""


@dataclass(slots=True)
class ProcessPart:
    """A part that is a child of this process, on a leash."""

    service: Service
    log: Path
    _process: subprocess.Popen[bytes] | None = None
    _command: Command | None = None
    _written: int = 0
    _wanted: bool = False

    @property
    def pid(self) -> int:
        """Its process id; 0 where it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it where it does not run; returns before it serves."""
        self._wanted = True
        if self.alive():
            return
        self.service.prepare()
        self._command = self.service.command()
        with self.log.open("ab") as sink:
            self._written = sink.tell()
            self._process = spawn(self._command, stdout=sink)

    def wait_ready(self, within_s: float = 60.0) -> None:
        """Wait until it serves.

        Raises:
            PartFailed: it ended first, or takes too long.
        """
        wait(lambda: not self.alive() or self.service.ready(), within_s)
        if not self.serves():
            raise PartFailed(f"{self.service.name} does not serve: {self.last_words()}")

    def last_words(self) -> str:
        """What it said last, in one sentence."""
        return why(self.log, self._written) + f" (see {self.log})"

    def kill(self) -> None:
        """End it by SIGKILL, with all its children, and wait until they are gone."""
        self._wanted = False
        family = self._family()
        _signal(family, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        psutil.wait_procs(family, timeout=10)

    def pause(self) -> None:
        """Stop it where it stands, with all its children."""
        _signal(self._family(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        _signal(self._family(), signal.SIGCONT)

    def stop(self, patience_s: float = 20.0) -> int:
        """End it in good order; gives its status."""
        if self._process is None or self._command is None:
            return 0
        return stop_command(self._process, self._command, patience=patience_s)

    def ask_to_end(self) -> None:
        """Send it the first of its stop signals, and wait for nothing."""
        if self._process is not None and self._command is not None:
            self._process.send_signal(self._command.stop_signals[0])

    def alive(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def tend(self) -> None:
        """Start it again where it died by itself."""
        if self._wanted and not self.alive():
            self.start()

    def serves(self) -> bool:
        """Whether it does its work."""
        return self.alive() and self.service.ready()

    def rss_mb(self) -> float:
        """Its resident memory in MiB, 0 where it does not run."""
        with suppress(psutil.NoSuchProcess):
            return float(psutil.Process(self.pid).memory_info().rss) / MIB if self.alive() else 0.0
        return 0.0

    def _family(self) -> list[psutil.Process]:
        if not self.alive():
            return []
        with suppress(psutil.NoSuchProcess):
            # The parent first: what it would start meanwhile is never born.
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        return []


def _signal(family: list[psutil.Process], sign: signal.Signals) -> None:
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(sign)


def wait(ready: Callable[[], bool], within_s: float) -> bool:
    """Wait until something is so; gives whether it became so in time."""
    deadline = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
