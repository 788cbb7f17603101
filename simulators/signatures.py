"""How each fault shows: what to look at, in a device that has it and in its healthy twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Phase
from simulators.fleets import FLEETS
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.fleets import AnyFleet
    from simulators.specs import Mode
    from simulators.steps import Floats, Shorts

QUIET_H: Final = 36.0
"""Hours that are shown, or recorded at least, before a fault begins."""
AFTER_H: Final = 3.0
FRAMES: Final = 320
"""Frames in the span that is shown, more or less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """What a fleet said: hours [t], phase [t, n], values [t, n, c]."""

    hours: Floats
    phase: Shorts
    values: Floats
    channels: tuple[str, ...]

    def __getitem__(self, channel: str) -> Floats:
        """Give one channel [t, n]; missing unless the device was at work."""
        return np.where(self.phase == Phase.RUNNING, self.always(channel), np.nan)

    def always(self, channel: str) -> Floats:
        """Give one channel [t, n], whatever the device was doing."""
        return np.asarray(self.values[:, :, self.channels.index(channel)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One quantity that tells a fault: its name, its unit, and how it follows from channels."""

    label: str
    unit: str
    of: Callable[[Recording], Floats]


def _channel(name: str, unit: str) -> Sign:
    return Sign(label=name, unit=unit, of=lambda r: r[name])


def _command(seen: Recording, channel: str = "part_fan_cmd") -> Floats:
    """Give a command where it asks for something worth a ratio."""
    told = seen[channel]
    return np.where(told > 0.05, told, np.nan)  # noqa: PLR2004 - a twentieth: the fan hardly turns


def _fall(level: Floats, frames: int = 12) -> Floats:
    """Give the mean fall of a level in a frame, over some frames, leaving out top-ups."""
    lost = -np.diff(level, axis=0, prepend=np.nan)
    kept = np.where(lost > -5.0, lost, np.nan)  # noqa: PLR2004 - per cent, far above the noise
    seen = np.cumsum(~np.isnan(kept), axis=0)
    total = np.cumsum(np.nan_to_num(kept), axis=0)
    seen[frames:], total[frames:] = seen[frames:] - seen[:-frames], total[frames:] - total[:-frames]
    return np.where(np.isnan(kept) | (seen < frames / 2), np.nan, total / np.maximum(seen, 1))


PRINTER: Final[Mapping[str, Sign]] = {
    "hotend_heater": _channel("hotend_power", "duty"),
    "hotend_thermistor": _channel("hotend_temp_std", "K"),
    "thermistor_open": Sign(
        label="hotend_temp - hotend_target",
        unit="K",
        of=lambda r: r["hotend_temp"] - r["hotend_target"],
    ),
    "thermistor_short": Sign(
        label="hotend_temp - hotend_target",
        unit="K",
        of=lambda r: r["hotend_temp"] - r["hotend_target"],
    ),
    "mainboard": Sign(
        label="board_temp - chamber_temp",
        unit="K",
        of=lambda r: r["board_temp"] - r["chamber_temp"],
    ),
    "nozzle": Sign(
        label="extruder_load / (7 + flow)",
        unit="% s/mm3",
        of=lambda r: r["extruder_load"] / (7.0 + r["flow"]),
    ),
    "extruder_gear": _channel("filament_motion", "moved/told"),
    "part_fan": Sign(
        label="part_fan_rpm / part_fan_cmd",
        unit="rpm",
        of=lambda r: r["part_fan_rpm"] / _command(r),
    ),
    "hotend_fan": _channel("hotend_fan_rpm", "rpm"),
    "belt_x": _channel("belt_x_hz", "Hz"),
    "bearing_x": _channel("belt_x_damping", "ratio"),
    "bed_mount": _channel("bed_mesh_range", "mm"),
    "psu": _channel("supply_v", "V"),
    "sd_card": _channel("stall_rate", "per hour"),
    "spool": Sign(
        label="filament_present, at any time",
        unit="switch",
        of=lambda r: r.always("filament_present"),
    ),
    "filament_tangle": _channel("filament_motion", "moved/told"),
}
MACHINE: Final[Mapping[str, Sign]] = {
    "bearing_de": _channel("band_bearing", "m/s2"),
    "coupling": _channel("band_2x", "mm/s"),
    "impeller": _channel("band_1x", "mm/s"),
    "seal": Sign(
        label="fall of seal_level in a frame", unit="%", of=lambda r: _fall(r["seal_level"])
    ),
    "filter": _channel("filter_dp", "kPa"),
    "foundation": _channel("band_half", "mm/s"),
    "gearbox": _channel("band_gear", "m/s2"),
    "motor": Sign(
        label="(motor_temp - ambient_temp) / (1000 + motor_current^2)",
        unit="K/A2",
        of=lambda r: (r["motor_temp"] - r["ambient_temp"]) / (1000.0 + r["motor_current"] ** 2),
    ),
}
EXCAVATOR: Final[Mapping[str, Sign]] = {
    "hydraulic_pump": Sign(
        label="(hydraulic_pressure - 3000) / (engine_load - 14)",
        unit="kPa/%",
        of=lambda r: (r["hydraulic_pressure"] - 3000.0) / (r["engine_load"] - 14.0),
    ),
    "hydraulic_filter": _channel("hydraulic_filter_dp", "kPa"),
    "radiator": Sign(
        label="fan_speed / (60 + engine_load)",
        unit="rpm/%",
        of=lambda r: r["fan_speed"] / (60.0 + r["engine_load"]),
    ),
    "oil_pump": _channel("oil_pressure", "kPa"),
    "alternator": _channel("battery_voltage", "V"),
    "can_harness": _channel("can_error_rate", "per hour"),
}
SIGNS: Final[Mapping[str, Mapping[str, Sign]]] = {
    "fdm_printer": PRINTER,
    "rotating_machine": MACHINE,
    "hydraulic_excavator": EXCAVATOR,
}
"""By family and defect."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Twins:
    """A sign in a device that falls ill and in one that does not, else alike: [t] each.

    Hours count to the failure; `onset_h` is negative.
    """

    hours: Floats
    ill: Floats
    well: Floats
    onset_h: float


def record(fleet: AnyFleet, frames: int, step_s: float) -> Recording:
    """Let a fleet run, and keep what it says."""
    steps = [fleet.step() for _ in range(frames)]
    return Recording(
        hours=np.asarray(np.arange(1.0, frames + 1.0) * (step_s / 3600.0), dtype=np.float64),
        phase=np.stack([s.phase for s in steps]),
        values=np.stack([s.values for s in steps]),
        channels=tuple(c.name for c in fleet.channels),
    )


def twins(family: str, mode: Mode, *, seed: int) -> Twins:
    """Record one failure of a mode as fast as it usually grows, and the same device without it."""
    growth_h = float(np.mean(mode.growth_h))
    quiet_h = min(QUIET_H, max(8.0, growth_h))
    step_s = max(60.0, round((quiet_h + growth_h + AFTER_H) * 3600.0 / FRAMES / 60.0) * 60.0)
    fault = ScheduledFault(
        device="ill",
        component=mode.component,
        failure_mode=mode.failure_mode,
        onset_h=QUIET_H,
        hours_to_failure=growth_h,
        intermittent=mode.intermittent > 0.5,  # noqa: PLR2004 - more often than not
    )
    frames = round((QUIET_H + growth_h + AFTER_H) * 3600.0 / step_s)
    ill, well = (
        record(
            FLEETS[family](
                names=["ill"],
                seed=seed,
                step_s=step_s,
                plan=FaultPlan(random_from_h=None, scheduled=scheduled),
            ),
            frames,
            step_s,
        )
        for scheduled in ((fault,), ())
    )
    sign, hours = SIGNS[family][mode.defect], ill.hours - QUIET_H - growth_h
    shown = hours > -growth_h - quiet_h
    return Twins(
        hours=hours[shown],
        ill=sign.of(ill)[shown, 0],
        well=sign.of(well)[shown, 0],
        onset_h=-growth_h,
    )
