"""What a supervised service is, and what can happen to one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Self

from stack.restarts import Reason, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.command import Command
    from stack.embedded.server import Server


class Kind(Enum):
    """What can happen to a service."""

    STARTED = "started"
    READY = "ready"
    DIED = "died"
    RESTARTED = "restarted"
    FINISHED = "finished"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a service."""

    kind: Kind
    service: str
    pid: int
    reason: Reason | None = None
    status: int | None = None
    """As subprocess gives it: a negative number is the signal that ended the process."""
    delay: float | None = None
    """Seconds until it is started again."""


def _at_once() -> bool:
    return True


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process to keep running."""

    name: str
    command: Callable[[], Command]
    """Called before each start, after `prepare`."""
    ready: Callable[[], bool] = _at_once
    """Asked until it says yes; without a probe, a process that lives counts as ready."""
    prepare: Callable[[], None] = _nothing
    terms: Terms = field(default_factory=Terms)
    output: int | None = None
    """A descriptor for what it says, where a person watches; None has its log take it."""

    @classmethod
    def of(cls, server: Server, terms: Terms | None = None) -> Self:
        """Describe an embedded server."""
        return cls(
            name=server.name,
            command=server.command,
            ready=server.ready,
            prepare=server.prepare,
            terms=terms or Terms(),
        )
