"""Each fault shows against the device's own past, and a fixed threshold would not do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from foremend.values import Phase
from simulators import specs
from simulators.fleets import ExcavatorFleet, MachineFleet, PrinterFleet
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from simulators.fleets import AnyFleet

    Floats = NDArray[np.float64]

STEP_S = 600.0
PER_H = round(3600 / STEP_S)
ONSET_H, GROWTH_H = 48.0, 36.0
ILL = 3

PRINTER_SIGNS: dict[str, Callable[[Recording], Floats]] = {
    "hotend_heater": lambda r: r["hotend_power"],
    "hotend_thermistor": lambda r: r["hotend_temp_std"],
    "thermistor_open": lambda r: r["hotend_temp"] - r["hotend_target"],
    "thermistor_short": lambda r: r["hotend_temp"] - r["hotend_target"],
    "mainboard": lambda r: r["board_temp"] - r["chamber_temp"],
    "nozzle": lambda r: r["extruder_load"] / (7.0 + r["flow"]),
    "extruder_gear": lambda r: r["filament_motion"],
    "part_fan": lambda r: fan_response(r),  # noqa: PLW0108 - defined below
    "hotend_fan": lambda r: r["hotend_fan_rpm"],
    "belt_x": lambda r: r["belt_x_hz"],
    "bearing_x": lambda r: r["belt_x_damping"],
    "bed_mount": lambda r: r["bed_mesh_range"],
    "psu": lambda r: r["supply_v"],
    "sd_card": lambda r: r["stall_rate"],
    "filament_tangle": lambda r: r["filament_motion"],
}
MACHINE_SIGNS: dict[str, Callable[[Recording], Floats]] = {
    "bearing_de": lambda r: r["band_bearing"],
    "coupling": lambda r: r["band_2x"],
    "impeller": lambda r: r["band_1x"],
    "seal": lambda r: level_lost(r["seal_level"]),
    "filter": lambda r: r["filter_dp"],
    "foundation": lambda r: r["band_half"],
    "gearbox": lambda r: r["band_gear"],
    "motor": lambda r: winding_rise(r),  # noqa: PLW0108 - defined below
}
EXCAVATOR_SIGNS: dict[str, Callable[[Recording], Floats]] = {
    "hydraulic_pump": lambda r: (r["hydraulic_pressure"] - 3000.0) / (r["engine_load"] - 14.0),
    "hydraulic_filter": lambda r: r["hydraulic_filter_dp"],
    "radiator": lambda r: r["fan_speed"] / (60.0 + r["engine_load"]),
    "oil_pump": lambda r: r["oil_pressure"],
    "alternator": lambda r: r["battery_voltage"],
    "can_harness": lambda r: r["can_error_rate"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a fleet said: phase [t, n], values [t, n, c]."""

    phase: NDArray[np.int16]
    values: Floats
    channels: tuple[str, ...]

    def __getitem__(self, channel: str) -> Floats:
        """Give one channel [t, n]; missing unless the device was at work."""
        seen = self.values[:, :, self.channels.index(channel)]
        return np.where(self.phase == Phase.RUNNING, seen, np.nan)


def record(fleet: AnyFleet, hours: float) -> Recording:
    steps = [fleet.step() for _ in range(round(hours * PER_H))]
    return Recording(
        phase=np.stack([s.phase for s in steps]),
        values=np.stack([s.values for s in steps]),
        channels=tuple(c.name for c in fleet.channels),
    )


def growing(devices: list[str], defect: str) -> tuple[ScheduledFault, ...]:
    families = map(specs.load, ("printer", "machine", "excavator"))
    mode = next(m for family in families for m in family.modes if m.defect == defect)
    return tuple(
        ScheduledFault(
            device=d,
            component=mode.component,
            onset_h=ONSET_H,
            hours_to_failure=GROWTH_H,
            failure_mode=mode.failure_mode,
        )
        for d in devices
    )


def fan_response(seen: Recording) -> Floats:
    """Give the part fan's speed over its command, missing where it hardly turns."""
    command = seen["part_fan_cmd"]
    return seen["part_fan_rpm"] / np.where(command > 0.05, command, np.nan)


def winding_rise(seen: Recording) -> Floats:
    """Give how far the windings are above ambient for the current's heat."""
    return (seen["motor_temp"] - seen["ambient_temp"]) / (1000.0 + seen["motor_current"] ** 2)


def level_lost(level: Floats) -> Floats:
    """Give what each frame lost, leaving out those in which the fluid was topped up."""
    lost = -np.diff(level, axis=0, prepend=np.nan)
    return np.where(lost > -5.0, lost, np.nan)


@cache
def sick(kind: type[AnyFleet], parts: tuple[str, ...]) -> Recording:
    """Record a fleet of which every component ails on three devices of its own."""
    faults = [growing([f"{part}-{i}" for i in range(ILL)], part) for part in parts]
    names = [f.device for fs in faults for f in fs]
    plan = FaultPlan(random_from_h=None, scheduled=tuple(f for fs in faults for f in fs))
    return record(kind(names=names, seed=5, step_s=STEP_S, plan=plan), ONSET_H + GROWTH_H)


def blocks(signal: Floats, hours: float = 2.0) -> Floats:
    """Mean over blocks [b, n] of what was seen; missing where the device never worked."""
    size = round(hours * PER_H)
    cut = signal[: len(signal) // size * size].reshape(-1, size, signal.shape[1])
    seen = ~np.isnan(cut)
    total = np.where(seen, cut, 0.0).sum(axis=1)
    return np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)


def deviation(signal: Floats) -> Floats:
    """Last six hours before failure against the first two days, in own deviations [n]."""
    block = blocks(signal)
    past, late = block[: round(ONSET_H / 2)], block[-3:]
    spread = np.nanstd(past, axis=0)
    return np.asarray(np.abs(np.nanmean(late, axis=0) - np.nanmean(past, axis=0)) / spread)


def assert_sign(
    kind: type[AnyFleet], signs: dict[str, Callable[[Recording], Floats]], part: str
) -> None:
    off = deviation(signs[part](sick(kind, tuple(signs))))
    at = ILL * list(signs).index(part)
    ill, others = off[at : at + ILL], np.delete(off, slice(at, at + ILL))
    assert np.median(ill) > 3.0
    assert ill.min() > 2.0 * np.median(others)


@pytest.mark.parametrize("part", PRINTER_SIGNS)
def test_a_printer_fault_shows_before_failure(part: str) -> None:
    assert_sign(PrinterFleet, PRINTER_SIGNS, part)


@pytest.mark.parametrize("part", MACHINE_SIGNS)
def test_a_machine_fault_shows_before_failure(part: str) -> None:
    assert_sign(MachineFleet, MACHINE_SIGNS, part)


@pytest.mark.parametrize("part", EXCAVATOR_SIGNS)
def test_an_excavator_fault_shows_before_failure(part: str) -> None:
    assert_sign(ExcavatorFleet, EXCAVATOR_SIGNS, part)


@cache
def twins(part: str) -> tuple[Recording, Recording]:
    """Record a printer with a fault and the same printer without, frame for frame alike."""
    ill = FaultPlan(random_from_h=None, scheduled=growing(["p"], part))
    well = FaultPlan(random_from_h=None)
    hours = ONSET_H + GROWTH_H
    one, other = (
        record(PrinterFleet(names=["p"], seed=9, step_s=STEP_S, plan=plan), hours)
        for plan in (ill, well)
    )
    return one, other


@pytest.mark.parametrize(
    ("part", "channel", "least", "most"),
    [
        ("hotend_heater", "hotend_power", 1.25, 2.0),
        ("nozzle", "hotend_power", 0.80, 0.97),
        ("psu", "hotend_power", 1.03, 1.40),
        ("psu", "bed_power", 1.03, 1.40),
        ("psu", "hotend_fan_rpm", 0.85, 0.98),
    ],
)
def test_a_fault_acts_through_the_physics(
    part: str, channel: str, least: float, most: float
) -> None:
    ill, well = twins(part)
    last = slice(-6 * PER_H, None)

    ratio = np.nanmedian(ill[channel][last] / well[channel][last])

    assert least < ratio < most


def test_a_fault_that_has_not_begun_changes_nothing() -> None:
    ill, well = twins("hotend_heater")
    before = slice(0, round(ONSET_H * PER_H) - 1)

    np.testing.assert_array_equal(ill.values[before], well.values[before])


def best_threshold(healthy: Floats, ailing: Floats) -> float:
    """Give the largest hit rate minus false-alarm rate that any threshold reaches."""
    limits = np.sort(np.concatenate([healthy, ailing]))
    hits = np.searchsorted(np.sort(ailing), limits) / ailing.size
    false = np.searchsorted(np.sort(healthy), limits) / healthy.size
    return float(np.abs(hits - false).max())


@pytest.mark.parametrize(
    ("kind", "part", "channel"),
    [
        (PrinterFleet, "belt_x", "belt_x_hz"),
        (PrinterFleet, "hotend_fan", "hotend_fan_rpm"),
        (MachineFleet, "impeller", "band_1x"),
        (MachineFleet, "filter", "filter_dp"),
    ],
)
def test_a_fixed_threshold_does_not_do(kind: type[AnyFleet], part: str, channel: str) -> None:
    names = [f"u{i}" for i in range(40)]
    ill = names[::2]
    plan = FaultPlan(random_from_h=None, scheduled=growing(ill, part))
    fleet = kind(names=names, seed=21, step_s=STEP_S, plan=plan)
    block = blocks(record(fleet, ONSET_H + 0.5 * GROWTH_H)[channel], hours=6.0)
    own = block / np.nanmean(block[:8], axis=0)

    raw = best_threshold(block[-1, 1::2], block[-1, ::2])
    against_own_past = best_threshold(own[-1, 1::2], own[-1, ::2])

    assert against_own_past > raw + 0.1


def test_harmless_upsets_happen_to_healthy_devices() -> None:
    fleet = MachineFleet(
        names=[f"m{i}" for i in range(20)],
        seed=4,
        step_s=STEP_S,
        plan=FaultPlan(random_from_h=None),
    )
    events = [e for _ in range(150 * PER_H) for e in fleet.step().events]

    assert fleet.truth() == ()
    assert "vibration_high" in {e.code for e in events}


def test_readings_of_healthy_devices_jump_now_and_then() -> None:
    fleet = MachineFleet(
        names=[f"m{i}" for i in range(20)],
        seed=4,
        step_s=STEP_S,
        plan=FaultPlan(random_from_h=None),
    )
    kurtosis = record(fleet, 120)["kurtosis_de"]
    usual, spread = np.nanmedian(kurtosis, axis=0), np.nanstd(kurtosis, axis=0)

    jumps = (kurtosis > usual + 4.0 * spread).any(axis=0)

    assert 0.3 < jumps.mean() <= 1.0
