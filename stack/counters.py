"""What the fleet process says of itself, gathered over every process that one run has had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one fleet process says."""

    now_ms: int
    boots: dict[str, str]
    counters: dict[str, int]

    @property
    def process(self) -> frozenset[str]:
        """What tells one process from another: each start is a boot of its own."""
        return frozenset(self.boots.values())


@dataclass(slots=True)
class Tally:
    """The counters of one run; what an earlier run left in the file does not count.

    >>> tally = Tally(folder / "counters.json")  # before the fleet starts
    >>> tally.look()  # now and then, while it runs
    """

    file: Path
    _stale: frozenset[str] = field(init=False)
    _processes: dict[frozenset[str], Told] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        left = read(self.file)
        self._stale = left.process if left else frozenset()

    def look(self) -> None:
        """Note what the present process says by now."""
        told = read(self.file)
        if told is not None and told.process != self._stale:
            self._processes[told.process] = told

    @property
    def boots(self) -> list[str]:
        """Every boot of this run."""
        return sorted(boot for process in self._processes for boot in process)

    @property
    def frames_sent(self) -> int:
        """Distinct frames that were kept for sending."""
        return sum(told.counters["frames_sent"] for told in self._processes.values())

    @property
    def frames_acked(self) -> int:
        """Frames of this run that ingest has said are committed.

        What a process leaves behind is acknowledged to the next as an earlier boot's. Of the
        first process's, those are an earlier run's, and are left out.
        """
        acked = outstanding = 0
        for told in self._processes.values():
            late = told.counters["frames_acked_late"]
            own = told.counters["frames_acked"] - late
            acked += own + min(late, outstanding)
            outstanding += told.counters["frames_sent"] - own - min(late, outstanding)
        return acked

    @property
    def killed(self) -> bool:
        """Whether the run had more than one fleet process."""
        return len(self._processes) > 1


def read(file: Path) -> Told | None:
    """Read the fleet's counters, where it has begun."""
    if not file.exists():
        return None
    return msgspec.json.decode(file.read_bytes(), type=Told)
