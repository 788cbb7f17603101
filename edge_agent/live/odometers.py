"""How much a device has been used, in the units in which its parts wear; kept over restarts."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from foremend import wire
from foremend.values import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG: Final = logging.getLogger(__name__)
HOT_C: Final = 150.0
COLD_C: Final = 60.0
"""A heat cycle is counted when the hot end passes HOT_C after it has been below COLD_C."""
LONGEST_S: Final = 5.0
"""Of time between two frames, as use; what was longer was not seen."""
FILAMENT_MM2: Final = 2.405
"""Cross-section of filament of 1.75 mm diameter."""


class Usage(Struct, frozen=True, kw_only=True):
    """Sums since the agent first saw the device."""

    heat_cycles: int = 0
    extruded_m: float = 0.0
    travel_m: float = 0.0
    running_h: float = 0.0
    cold: bool = True
    """Whether the hot end has been cold since the last heat cycle."""
    filament_mm: float | None = None
    """What the device's own counter of filament stood at last."""


_KINDS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "heat_cycles": ("odo_heat_cycles", "{cycle}", ("hotend_temp",)),
    "extruded_m": ("odo_extruded", "m", ("filament_used", "flow")),
    "travel_m": ("odo_travel", "m", ("toolhead_speed",)),
    "running_h": ("odo_running", "h", ()),
}
"""Field -> channel, unit, and the channels of which it needs any."""


def channels(names: set[str]) -> tuple[wire.Channel, ...]:
    """Give the odometers that a device with these channels can have."""
    return tuple(
        wire.Channel(name=name, unit=unit, kind="counter", low=0.0)
        for name, unit, needs in _KINDS.values()
        if _served(needs, names)
    )


def readings(usage: Usage, names: set[str]) -> tuple[float, ...]:
    """Give their values, in the same order."""
    return tuple(
        float(getattr(usage, field))
        for field, (_, _, needs) in _KINDS.items()
        if _served(needs, names)
    )


def _served(needs: tuple[str, ...], names: set[str]) -> bool:
    return not needs or not names.isdisjoint(needs)


def used(usage: Usage, values: Mapping[str, float | None], phase: Phase, seconds: float) -> Usage:
    """Add what a frame tells, `seconds` after the one before.

    >>> used(Usage(), {"hotend_temp": 200.0}, Phase.RUNNING, 3.6).heat_cycles
    1
    """
    span_s = min(max(seconds, 0.0), LONGEST_S)
    temp = values.get("hotend_temp")
    cycle = usage.cold and temp is not None and temp > HOT_C
    cooled = temp is not None and temp < COLD_C
    filament = values.get("filament_used")
    return Usage(
        heat_cycles=usage.heat_cycles + cycle,
        cold=(usage.cold and not cycle) or cooled,
        extruded_m=usage.extruded_m + _extruded_mm(usage, values, span_s) / 1000,
        filament_mm=usage.filament_mm if filament is None else filament,
        travel_m=usage.travel_m + abs(values.get("toolhead_speed") or 0.0) * span_s / 1000,
        running_h=usage.running_h + (span_s / 3600 if phase is Phase.RUNNING else 0.0),
    )


def _extruded_mm(usage: Usage, values: Mapping[str, float | None], span_s: float) -> float:
    """Give the filament that went through: by the device's counter, which each job begins anew."""
    if "filament_used" not in values:
        return max(values.get("flow") or 0.0, 0.0) * span_s / FILAMENT_MM2
    now = values["filament_used"]
    if now is None or usage.filament_mm is None:
        return 0.0
    return max(now - usage.filament_mm if now >= usage.filament_mm else now, 0.0)


class Logbook:
    """Keeps usage in a file, whole or not at all."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def open(self) -> Usage:
        """Give what was kept; what cannot be read is set aside, and counting begins anew."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Usage)
        except FileNotFoundError:
            return Usage()
        except (OSError, msgspec.DecodeError) as error:
            LOG.warning("the odometers begin anew", extra={"error": str(error)})
            self._set_aside()
            return Usage()

    def keep(self, usage: Usage) -> None:
        """Write it down; a disk that is full costs a warning, and what was kept stays."""
        partial = self._file.with_suffix(".partial")
        try:
            with partial.open("wb") as sink:
                sink.write(msgspec.json.encode(usage))
                sink.flush()
                os.fsync(sink.fileno())
            partial.replace(self._file)
        except OSError as error:
            LOG.warning("the odometers could not be kept", extra={"error": str(error)})

    def _set_aside(self) -> None:
        try:
            self._file.replace(self._file.with_suffix(".damaged"))
        except OSError as error:
            LOG.warning("a damaged file stays where it is", extra={"error": str(error)})
