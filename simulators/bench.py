"""Prints how fast fleets run here, in processor time: `python -m simulators.bench`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from simulators.fleets import ExcavatorFleet, MachineFleet, PrinterFleet

if TYPE_CHECKING:
    from simulators.fleets import AnyFleet

_FRAMES = 7200
"""Ten days of two-minute frames."""


def seconds(fleet: AnyFleet, frames: int) -> float:
    """Time a fleet over some frames, nothing repaired."""
    begun = time.process_time()
    for _ in range(frames):
        fleet.step()
    return time.process_time() - begun


def main(frames: int = _FRAMES) -> None:
    """Time 300 printers, 100 machines and 100 excavators."""
    fleets: tuple[AnyFleet, ...] = (
        PrinterFleet(names=[f"p{i}" for i in range(300)], seed=1),
        MachineFleet(names=[f"m{i}" for i in range(100)], seed=1),
        ExcavatorFleet(names=[f"e{i}" for i in range(100)], seed=1),
    )
    for fleet in fleets:
        spent = seconds(fleet, frames)
        samples = frames * len(fleet.names) * len(fleet.channels)
        sys.stdout.write(
            f"{fleet.family}: {len(fleet.names)} devices x {frames} frames in {spent:.1f} s, "
            f"{spent / frames * 1e6:.0f} us a step, {samples / spent / 1e6:.1f} M samples/s\n"
        )


if __name__ == "__main__":
    main()
