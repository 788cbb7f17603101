"""What a device is doing, derived from what it tells: one pure module a family.

A phase function takes what the device says it does and its channels' values, by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge_agent.phases import excavator, fdm_printer, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_agent.live.mapping import Job
    from foremend.values import Phase

    PhaseOf = Callable[[Job, Mapping[str, float | None]], Phase]

_BY_FAMILY: Final[dict[str, PhaseOf]] = {
    "fdm_printer": fdm_printer.phase_of,
    "hydraulic_excavator": excavator.phase_of,
}


def phase_function(family: str) -> PhaseOf:
    """Give a family's; a family that is not known is taken for a machine."""
    return _BY_FAMILY.get(family, machine.phase_of)
