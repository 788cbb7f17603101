"""Running one embedded server as a child of this process: for tests, and for single commands.

The supervisor runs the same servers for `foremend up`; it uses `prepare`, `command` and `ready`.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from foremend.errors import ForemendError
from stack.command import Command, spawn, stop
from stack.embedded.logtail import diagnose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL = 0.02
"""Seconds between two probes."""


class ServerFailed(ForemendError):
    """An embedded server did not come up; its log says why."""


class Server(Protocol):
    """A server that can be made ready, described, and asked whether it answers."""

    @property
    def name(self) -> str:
        """The name that its messages go by."""

    @property
    def log(self) -> Path:
        """The file that takes its output."""

    def prepare(self) -> None:
        """Do what must be done before each start."""

    def command(self) -> Command:
        """Describe the process."""

    def ready(self) -> bool:
        """Whether the server answers a client."""


S = TypeVar("S", bound=Server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that was started and has answered."""

    process: subprocess.Popen[bytes]
    command: Command

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def stop(self, *, patience: float = 20.0) -> int:
        """End the server in good order; return its exit status."""
        return stop(self.process, self.command, patience=patience)


def start(server: Server, *, patience: float = 60.0) -> Running:
    """Start a server and return once it answers.

    Raises ServerFailed when it ends, or does not answer within `patience` seconds.
    """
    server.prepare()
    command = server.command()
    with server.log.open("ab") as sink:
        before = sink.tell()
        running = Running(process=spawn(command, stdout=sink), command=command)
    deadline = time.monotonic() + patience
    # The end is looked for first: a stranger on the port would keep a probe waiting.
    while not _ended(running.process):
        if server.ready():
            return running
        if time.monotonic() > deadline:
            running.stop()
            raise ServerFailed(
                f"{server.name} did not answer within {patience:.0f} s; see {server.log}."
            )
    raise ServerFailed(diagnose(server.name, server.log, before))


@contextmanager
def serving(server: S, *, patience: float = 60.0) -> Iterator[S]:
    """Run a server for the length of a `with` block."""
    running = start(server, patience=patience)
    try:
        yield server
    finally:
        running.stop()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=POLL)
        return True
    return False
