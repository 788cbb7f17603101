"""One agent's reading of the clocks: the wall's, the machine's own, and whether to believe them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.outbox.heldtime import MachineStart, MachineTime
from edge_agent.source import Happening
from edge_agent.timebase import SystemTrust, Timebase, ToldTrust, boot_ms, machine
from foremend.values import CLOCK_STEP

if TYPE_CHECKING:
    from edge_agent.timebase import ClockTrust, Step
    from foremend.clock import Millis, NowMs


class Timekeeper:
    """Looks at the clocks, and places instants by what it saw last.

    >>> time = Timekeeper(wall_ms, boot_ms, SystemTrust())
    >>> step = time.look()
    >>> time.place(frame.ts_ms)
    """

    def __init__(self, wall: NowMs, mono: NowMs, trust: ClockTrust, name: str = "") -> None:
        self._wall = wall
        self._mono = mono
        self._trust = trust
        self._machine = name or machine()
        self._base = Timebase()
        self.look()

    @property
    def held(self) -> bool:
        """Whether instants still count from the machine's start."""
        return self._base.held

    @property
    def start(self) -> MachineStart:
        """When the machine was started; not to be asked while `held`."""
        return MachineStart(machine=self._machine, utc_ms=self._base.offset_ms or 0)

    @property
    def begun(self) -> MachineTime | None:
        """The present as time since the machine's start, where that is all that is known."""
        return MachineTime(machine=self._machine, mono_ms=self._mono()) if self.held else None

    def look(self) -> Step | None:
        """Take a reading of the clocks; tell if the wall was set since the last one."""
        wall_ms, mono_ms = self._wall(), self._mono()
        trusted = self._trust.trusts(wall_ms, mono_ms)
        return self._base.look(wall_ms=wall_ms, mono_ms=mono_ms, trusted=trusted)

    def place(self, wall_ms: Millis) -> Millis:
        """Turn an instant by the wall clock into UTC, or where `held` into time since the start."""
        return self._base.place(wall_ms)

    def tell(self, step: Step) -> Happening:
        """Make the event of a step."""
        details = {"from_ms": step.from_ms, "to_ms": step.to_ms, "by_ms": step.by_ms}
        told = details | {"clock": "trusted" if step.trusted else "held"}
        return Happening(ts_ms=self.place(step.to_ms), code=CLOCK_STEP, details=told)


def timekeeper(*, live: bool, clock: NowMs, patience_s: float) -> Timekeeper:
    """Make one for the machine's own time, or for a timeline whose clock is right by definition."""
    if not live:
        return Timekeeper(clock, clock, ToldTrust())
    return Timekeeper(clock, boot_ms, SystemTrust(patience_ms=round(1000 * patience_s)))
