"""Phases of a printer that melts filament."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.live.mapping import Job

REACHED_K: Final = 5.0
"""Below its target by more than this a heater still heats up: Klipper's hysteresis for a heater
that has reached its target (`verify_heater`, Config_Reference.md)."""
WARM_C: Final = {"hotend": 50.0, "bed": 40.0}
"""Above this a heater without a target cools down; what fans and people take for cold."""
_TOLD: Final[dict[Job, Phase]] = {"error": Phase.ERROR, "paused": Phase.PAUSED}


def phase_of(job: Job, values: Mapping[str, float | None]) -> Phase:
    """Derive the phase.

    >>> phase_of("running", {"hotend_temp": 120.0, "hotend_target": 215.0})
    <Phase.HEATING: 2>
    """
    if job in _TOLD:
        return _TOLD[job]
    if job == "unknown" and all(values.get(f"{name}_temp") is None for name in WARM_C):
        return Phase.UNKNOWN
    if any(_heats(name, values) for name in WARM_C):
        return Phase.HEATING
    if job == "running":
        return Phase.RUNNING
    return Phase.COOLING if any(_cools(name, values) for name in WARM_C) else Phase.IDLE


def _heats(name: str, values: Mapping[str, float | None]) -> bool:
    temp, target = values.get(f"{name}_temp"), values.get(f"{name}_target")
    return temp is not None and target is not None and target > 0 and temp < target - REACHED_K


def _cools(name: str, values: Mapping[str, float | None]) -> bool:
    temp, target = values.get(f"{name}_temp"), values.get(f"{name}_target")
    return temp is not None and temp > WARM_C[name] and not target
