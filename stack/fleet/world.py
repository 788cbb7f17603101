"""The simulated world: both families on one clock, the parts people fit, and what is kept of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from foremend.errors import NotFound
from simulators import demo
from simulators.fleets import MachineFleet, PrinterFleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from foremend.clock import Millis
    from simulators.fleets import AnyFleet
    from simulators.steps import Step, Truth

STEP_S: Final = 300.0
"""Simulated seconds from frame to frame."""


class Kept(msgspec.Struct, kw_only=True):
    """What a later run goes on from."""

    printers: bytes
    machines: bytes
    found: dict[str, str]
    reported: list[str]


@dataclass(slots=True)
class World:
    """Every simulated device, and what the crew remembers of its own work."""

    printers: PrinterFleet
    machines: MachineFleet
    found: dict[str, str] = field(default_factory=dict)
    """As-found condition per order and attempt: a part is taken out only once."""
    reported: set[str] = field(default_factory=set)

    @classmethod
    def begin(cls, seed: int) -> World:
        """Make the demonstration's devices."""
        printers, machines = demo.fleets(seed, step_s=STEP_S)
        return cls(printers, machines)

    @classmethod
    def go_on(cls, kept: Kept) -> World:
        """Take up a world where it was kept."""
        printers = PrinterFleet.restore(kept.printers)
        machines = MachineFleet.restore(kept.machines)
        return cls(printers, machines, dict(kept.found), set(kept.reported))

    @property
    def now_ms(self) -> Millis:
        """The simulation's clock."""
        return self.printers.now_ms

    @property
    def fleets(self) -> tuple[AnyFleet, ...]:
        """Both families."""
        return (self.printers, self.machines)

    def step(self) -> list[tuple[AnyFleet, Step]]:
        """Advance every device by one frame."""
        return [(fleet, fleet.step()) for fleet in self.fleets]

    def skip_to(self, now_ms: Millis) -> None:
        """Live through time up to `now_ms` in silence: the same time, byte for byte."""
        while self.now_ms < now_ms:
            self.step()

    def whose(self, device: str) -> tuple[AnyFleet, int]:
        """Find a device's fleet and its place there.

        Raises:
            NotFound: no such device.
        """
        for fleet in self.fleets:
            if device in fleet.names:
                return fleet, fleet.names.index(device)
        raise NotFound(f"no simulated device {device!r}")

    def fit(self, key: str, device: str, components: Sequence[str]) -> str:
        """Fit what a kit replaces; gives what was found, also when asked again for one `key`."""
        if key not in self.found:
            fleet, place = self.whose(device)
            seen = [fleet.replace(place, component).as_found for component in components]
            worst = min(seen, key=list(type(seen[0])).index)
            self.found[key] = worst.value
        return self.found[key]

    def standing_still(self) -> Iterator[Truth]:
        """Give the faults that hold a device down at this moment."""
        for fleet in self.fleets:
            yield from fleet.failed()

    def truth(self) -> Iterator[Truth]:
        """Give every fault that has begun; for the truth file alone."""
        for fleet in self.fleets:
            yield from fleet.truth()

    def keep(self, file: Path) -> None:
        """Write all of it, whole or not at all."""
        kept = Kept(
            printers=self.printers.snapshot(),
            machines=self.machines.snapshot(),
            found=self.found,
            reported=sorted(self.reported),
        )
        replace(file, msgspec.msgpack.encode(kept))


def open_world(file: Path, seed: int) -> World:
    """Go on from a kept world, or begin one."""
    if not file.exists():
        return World.begin(seed)
    return World.go_on(msgspec.msgpack.decode(file.read_bytes(), type=Kept))


def replace(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, and durably."""
    partial = file.with_suffix(".partial")
    with partial.open("wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())
    partial.replace(file)
