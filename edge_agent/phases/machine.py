"""Phases of a machine that runs or stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.live.mapping import Job

TURNS_PER_MIN: Final = 30.0
"""A shaft that turns faster than this runs: below lies a sensor's noise, above every idle speed."""
BY_JOB: Final[dict[Job, Phase]] = {
    "error": Phase.ERROR,
    "paused": Phase.PAUSED,
    "running": Phase.RUNNING,
    "idle": Phase.IDLE,
    "stopped": Phase.STOPPED,
}
"""What a machine says of itself, where it says it."""


def phase_of(job: Job, values: Mapping[str, float | None]) -> Phase:
    """Derive the phase: what the machine says, or what its shaft does.

    >>> phase_of("unknown", {"speed": 1480.0})
    <Phase.RUNNING: 3>
    """
    if job in BY_JOB:
        return BY_JOB[job]
    speed = values.get("speed")
    if speed is None:
        return Phase.UNKNOWN
    return Phase.RUNNING if abs(speed) > TURNS_PER_MIN else Phase.STOPPED
