"""Phases of a machine that its diesel engine drives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_agent.phases.machine import BY_JOB
from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.live.mapping import Job

TURNING: Final = 300.0
"""/min. A starter turns an engine slower, low idle is 600 and above."""
WORKING: Final = 1100.0
"""/min. Above every low idle: the operator has raised the speed to work."""


def phase_of(job: Job, values: Mapping[str, float | None]) -> Phase:
    """Derive the phase: what the machine says, or how fast its engine turns.

    >>> phase_of("unknown", {"engine_speed": 1820.0})
    <Phase.RUNNING: 3>
    """
    if job in BY_JOB:
        return BY_JOB[job]
    speed = values.get("engine_speed")
    if speed is None:
        return Phase.UNKNOWN
    if speed < TURNING:
        return Phase.STOPPED
    return Phase.RUNNING if speed >= WORKING else Phase.IDLE
