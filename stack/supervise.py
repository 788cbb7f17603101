"""One process per service: started, probed, started again with backoff, stopped in order.

Everything happens in the thread that calls; nothing runs behind anybody's back, and the leash that
each child hangs on is tied to that thread.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from foremend.errors import ForemendError
from stack.command import spawn
from stack.embedded.logtail import why
from stack.footprint import footprint_mb
from stack.logfile import LogFile
from stack.restarts import Action, Decision, Phase, Reason, Seen, State, advance, decide
from stack.service import Event, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from subprocess import Popen
    from types import FrameType

    from stack.command import Command
    from stack.service import Service

PROBE_EVERY: Final = 0.05
LOOK_EVERY: Final = 1.0
"""Seconds at most between two looks; a death or a signal is seen at once."""


class ServiceFailed(ForemendError):
    """A service that everything depends on did not come up."""

    def __init__(self, message: str | None = None, *, service: str = "") -> None:
        super().__init__(message)
        self.service = service


class StopAsked(ForemendError):
    """Somebody asked for a stop before everything was up."""


@dataclass(slots=True, kw_only=True)
class _Child:
    """A service and its present process."""

    service: Service
    log: LogFile
    state: State = field(default_factory=State)
    command: Command | None = None
    process: Popen[bytes] | None = None
    handle: int = -1
    """A descriptor that becomes readable when the process ends."""
    written: int = 0
    """The log's length when the process was started."""

    def look(self, *, needs_met: bool) -> Seen:
        """Look at the process, and ask it whether it is ready only where that is not known."""
        alive = self.alive()
        asks = alive and self.state.phase is Phase.STARTING
        status = None if self.process is None else self.process.returncode
        ready = asks and self.service.ready()
        return Seen(alive=alive, ready=ready, status=status, needs_met=needs_met)

    def alive(self) -> bool:
        """Whether there is a process and it has not ended."""
        return self.process is not None and self.process.poll() is None

    def given_up(self, reason: Reason, status: int | None) -> ServiceFailed:
        """Say in one sentence that it failed, and why."""
        name, ended = self.service.name, "" if status is None else f" (status {status})"
        words = why(self.log.path, min(self.written, self.log.size()))
        message = f"{name} did not come up, {reason.value}{ended}: {words} (see {self.log.path})."
        return ServiceFailed(message, service=name)

    def forget(self) -> None:
        """Let go of a process that has ended; what it started and left behind ends with it."""
        if self.handle >= 0:
            os.close(self.handle)
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process, self.handle = None, -1


class Supervisor:
    """Keeps services running for the length of a `with` block; stops them in reverse order.

    >>> with Supervisor(home.folder("log"), on_event=print) as supervisor:
    ...     supervisor.start([Service.of(postgres), Service.of(broker)])
    ...     supervisor.start([Service(name="ingest", command=ingest_command)])
    ...     supervisor.run()

    `start`, `run` and `step` raise ServiceFailed when a vital service is given up.
    """

    def __init__(
        self,
        logs: Path,
        *,
        on_event: Callable[[Event], None] = lambda _event: None,
        now: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        stop_patience: float = 20.0,
    ) -> None:
        self._logs = logs
        self._tell = on_event
        self._now = now
        self._jitter = jitter
        self._stop_patience = stop_patience
        self._children: dict[str, _Child] = {}
        self._batches: list[tuple[str, ...]] = []
        self._signals: list[int] = []
        self._wake: tuple[int, int] = (-1, -1)
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._undo.callback(os.close, self._wake[0])
        self._undo.callback(os.close, self._wake[1])
        if threading.current_thread() is threading.main_thread():
            self._undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(self._wake[1]))
            for sign in (signal.SIGINT, signal.SIGTERM):
                self._undo.callback(signal.signal, sign, signal.signal(sign, self._on_signal))
        return self

    def __exit__(self, *_error: object) -> None:
        with self._undo:
            for batch in reversed(self._batches):
                self.stop(batch)

    @property
    def stop_asked(self) -> bool:
        """Whether SIGINT or SIGTERM has come."""
        return bool(self._signals)

    def start(self, services: Sequence[Service]) -> None:
        """Start services and return once the vital ones are ready; they are stopped together too.

        Raises StopAsked when a signal comes first.
        """
        names = tuple(service.name for service in services)
        self._batches.append(names)
        for service in services:
            log = LogFile(path=self._logs / f"{service.name}.log")
            self._children[service.name] = _Child(service=service, log=log)
        awaited = [service.name for service in services if service.terms.vital]
        while not all(self.phase(name) in (Phase.READY, Phase.DONE) for name in awaited):
            self.step(PROBE_EVERY)
            if self.stop_asked:
                raise StopAsked

    def run(self, until: Callable[[], bool] = lambda: False, *, every: float = LOOK_EVERY) -> None:
        """Keep everything running until a signal comes or `until`, asked at least `every` s."""
        while not (self.stop_asked or until()):
            self.step(every)

    def step(self, at_most: float) -> None:
        """Wait for something to happen, at most so many seconds, and see to every service."""
        self._wait(min(at_most, self._due()))
        for child in tuple(self._children.values()):
            self._see_to(child)
            child.log.rotate()

    def stop(self, names: Iterable[str]) -> None:
        """Stop services together and for good: their signals in turn, each given its time."""
        leaving = [self._children.pop(name) for name in names if name in self._children]
        rounds = max((len(c.command.stop_signals) for c in leaving if c.command), default=0)
        for number in range(rounds):
            alive = [child for child in leaving if child.alive()]
            for child in alive:
                self._send(child, number)
            self._wait_for_ends(alive)
        for child in leaving:
            self._bury(child)

    def phase(self, name: str) -> Phase | None:
        """Return where a service stands, None when there is none of that name."""
        child = self._children.get(name)
        return None if child is None else child.state.phase

    def pids(self) -> dict[str, int]:
        """Return the process id of each service that has a process."""
        return {n: c.process.pid for n, c in self._children.items() if c.process is not None}

    def rss_mb(self) -> dict[str, float]:
        """Return the resident memory of each service with its own children, in MiB."""
        return {name: footprint_mb(pid) for name, pid in self.pids().items()}

    def _see_to(self, child: _Child) -> None:
        """Gather, decide, apply."""
        met = all(self.phase(name) is Phase.READY for name in child.service.terms.needs)
        seen, now = child.look(needs_met=met), self._now()
        decision = decide(child.state, seen, now, child.service.terms)
        before = child.state
        child.state = advance(before, decision, now, child.service.terms, self._jitter())
        match decision.action:
            case Action.START:
                self._launch(child, decision)
            case Action.ANNOUNCE:
                self._report(child, Kind.READY, decision)
            case Action.RETRY | Action.FINISH:
                died = decision.action is Action.RETRY
                delay = child.state.retry_at - now if died else None
                self._report(child, Kind.DIED if died else Kind.FINISHED, decision, seen, delay)
                child.forget()
            case Action.KILL if child.process is not None:
                child.process.kill()
            case Action.GIVE_UP:
                raise child.given_up(decision.reason, seen.status)
            case _:
                pass

    def _launch(self, child: _Child, decision: Decision) -> None:
        child.service.prepare()
        child.command = child.service.command()
        child.written = child.log.size()
        with child.log.open() as sink:
            output = child.service.output
            child.process = spawn(child.command, stdout=sink if output is None else output)
        child.handle = os.pidfd_open(child.process.pid)
        again = decision.reason is Reason.BACKED_OFF
        self._report(child, Kind.RESTARTED if again else Kind.STARTED, decision)

    def _report(
        self,
        child: _Child,
        kind: Kind,
        decision: Decision | None = None,
        seen: Seen | None = None,
        delay: float | None = None,
    ) -> None:
        self._tell(
            Event(
                kind=kind,
                service=child.service.name,
                pid=child.process.pid if child.process else 0,
                reason=decision.reason if decision else None,
                status=seen.status if seen else None,
                delay=delay,
            )
        )

    def _due(self) -> float:
        """Return seconds until some service wants to be seen to again."""
        states = [child.state for child in self._children.values()]
        if any(state.phase is Phase.STARTING for state in states):
            return PROBE_EVERY
        now = self._now()
        down = (s.retry_at - now for s in states if s.phase is Phase.DOWN)
        return max(0.0, min(down, default=LOOK_EVERY))

    def _wait(self, seconds: float) -> None:
        handles = [c.handle for c in self._children.values() if c.handle >= 0]
        if select.select([self._wake[0], *handles], [], [], seconds)[0]:
            self._drain()

    def _drain(self) -> None:
        while select.select([self._wake[0]], [], [], 0)[0]:
            os.read(self._wake[0], 64)

    def _wait_for_ends(self, children: Sequence[_Child]) -> None:
        """Wait until all have ended, patience ends, or another signal shows that somebody's has."""
        deadline, heard = self._now() + self._stop_patience, len(self._signals)
        waiting = {child.handle for child in children}
        while waiting and len(self._signals) == heard:
            left = deadline - self._now()
            if left <= 0:
                break
            ended = select.select([self._wake[0], *waiting], [], [], left)[0]
            self._drain()
            waiting -= set(ended)

    def _send(self, child: _Child, number: int) -> None:
        if child.process is not None and child.command is not None:
            signs = child.command.stop_signals
            child.process.send_signal(signs[min(number, len(signs) - 1)])

    def _bury(self, child: _Child) -> None:
        if child.process is not None:
            if child.alive():
                child.process.kill()
            status = child.process.wait()
            self._report(child, Kind.STOPPED, seen=Seen(status=status))
            child.forget()

    def _on_signal(self, sign: int, _frame: FrameType | None) -> None:
        self._signals.append(sign)
