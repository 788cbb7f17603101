"""Each fault shows against the device's own past, and a fixed threshold would not do."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import specs
from simulators.fleets import FLEETS, ExcavatorFleet, MachineFleet, PrinterFleet
from simulators.plots import DATA, drawing, ticks
from simulators.signatures import SIGNS, Recording, record
from simulators.signatures import twins as twins_of
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.fleets import AnyFleet

    Floats = NDArray[np.float64]

STEP_S = 600.0
PER_H = round(3600 / STEP_S)
ONSET_H, GROWTH_H = 48.0, 36.0
ILL = 3

SHOWN = [(f, d) for f, signs in SIGNS.items() for d in signs if d != "spool"]
"""A runout is told by its switch alone, and only when it is too late."""


def seen(fleet: AnyFleet, hours: float) -> Recording:
    return record(fleet, round(hours * PER_H), STEP_S)


def growing(devices: list[str], defect: str) -> tuple[ScheduledFault, ...]:
    families = map(specs.load, DATA.values())
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


@cache
def sick(family: str) -> Recording:
    """Record a fleet of which every mode ails on some devices of its own."""
    faults = [growing([f"{mode}-{i}" for i in range(ILL)], mode) for mode in SIGNS[family]]
    names = [f.device for fs in faults for f in fs]
    plan = FaultPlan(random_from_h=None, scheduled=tuple(f for fs in faults for f in fs))
    return seen(FLEETS[family](names=names, seed=5, step_s=STEP_S, plan=plan), ONSET_H + GROWTH_H)


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


@pytest.mark.parametrize(("family", "defect"), SHOWN)
def test_a_fault_shows_before_failure_against_the_devices_own_past(
    family: str, defect: str
) -> None:
    off = deviation(SIGNS[family][defect].of(sick(family)))
    at = ILL * list(SIGNS[family]).index(defect)
    ill, others = off[at : at + ILL], np.delete(off, slice(at, at + ILL))

    assert np.median(ill) > 3.0
    assert ill.min() > 2.0 * np.median(others)


def test_each_failure_mode_has_a_sign_to_look_at() -> None:
    for family, signs in SIGNS.items():
        modes = specs.load(DATA[family]).modes
        assert list(signs) == [m.defect for m in modes]


@cache
def twins() -> tuple[Recording, Recording]:
    """Record printers with a fault each and the same printers without, frame for frame alike."""
    names = list(SIGNS["fdm_printer"])
    faults = tuple(fault for name in names for fault in growing([name], name))
    ill, well = (
        seen(
            PrinterFleet(
                names=names,
                seed=9,
                step_s=STEP_S,
                plan=FaultPlan(random_from_h=None, scheduled=scheduled),
            ),
            ONSET_H + GROWTH_H,
        )
        for scheduled in (faults, ())
    )
    return ill, well


@pytest.mark.parametrize(
    ("part", "channel", "least", "most"),
    [
        ("hotend_heater", "hotend_power", 1.25, 2.0),
        ("thermistor_open", "hotend_power", 1.005, 1.2),
        ("thermistor_short", "hotend_power", 0.85, 0.998),
        ("mainboard", "hotend_power", 0.0, 0.75),
        ("mainboard", "board_temp", 1.15, 1.8),
        ("nozzle", "driver_temp", 1.05, 1.6),
        ("extruder_gear", "extruder_load", 0.55, 0.85),
        ("extruder_gear", "hotend_power", 0.85, 0.99),
        ("hotend_fan", "heatsink_temp", 1.08, 2.0),
        ("bearing_x", "driver_x_temp", 1.08, 1.5),
        ("bearing_x", "belt_x_hz", 0.98, 1.02),
        ("belt_x", "belt_x_damping", 1.02, 1.09),
        ("bed_mount", "belt_x_hz", 0.98, 1.02),
        ("sd_card", "flow", 0.90, 0.99),
        ("spool", "extruder_load", 1.05, 1.3),
        ("filament_tangle", "extruder_load", 1.3, 2.0),
        ("filament_tangle", "driver_temp", 1.02, 1.4),
        ("nozzle", "hotend_power", 0.80, 0.97),
        ("psu", "hotend_power", 1.03, 1.40),
        ("psu", "bed_power", 1.03, 1.40),
        ("psu", "hotend_fan_rpm", 0.85, 0.98),
    ],
)
def test_a_fault_acts_through_the_physics(
    part: str, channel: str, least: float, most: float
) -> None:
    ill, well = twins()
    at = list(SIGNS["fdm_printer"]).index(part)
    last = (slice(-6 * PER_H, None), at)

    ratio = np.nanmedian(ill[channel][last] / well[channel][last])

    assert least < ratio < most


def test_a_fault_that_has_not_begun_changes_nothing() -> None:
    ill, well = twins()
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
        (PrinterFleet, "bearing_x", "belt_x_damping"),
        (PrinterFleet, "hotend_heater", "hotend_power"),
        (MachineFleet, "impeller", "band_1x"),
        (MachineFleet, "filter", "filter_dp"),
        (MachineFleet, "foundation", "band_half"),
        (ExcavatorFleet, "hydraulic_filter", "hydraulic_filter_dp"),
        (ExcavatorFleet, "oil_pump", "oil_pressure"),
        (ExcavatorFleet, "hydraulic_pump", "cycle_time"),
    ],
)
def test_a_fixed_threshold_does_not_do(kind: type[AnyFleet], part: str, channel: str) -> None:
    raw, against_own_past = half_grown(kind, part, channel)

    assert against_own_past > raw + 0.1


@pytest.mark.parametrize(
    ("kind", "part", "channel"),
    [
        (PrinterFleet, "extruder_gear", "extruder_load"),
        (PrinterFleet, "bearing_x", "driver_x_temp"),
        (MachineFleet, "motor", "motor_temp"),
        (ExcavatorFleet, "radiator", "coolant_temp"),
    ],
)
def test_what_also_follows_job_and_weather_tells_little_by_itself(
    kind: type[AnyFleet], part: str, channel: str
) -> None:
    raw, against_own_past = half_grown(kind, part, channel)

    assert max(raw, against_own_past) < 0.65


def half_grown(kind: type[AnyFleet], part: str, channel: str) -> tuple[float, float]:
    """Judge the best threshold when a fault is half grown: on the reading, and on its own past."""
    names = [f"u{i}" for i in range(40)]
    ill = names[::2]
    plan = FaultPlan(random_from_h=None, scheduled=growing(ill, part))
    fleet = kind(names=names, seed=21, step_s=STEP_S, plan=plan)
    block = blocks(seen(fleet, ONSET_H + 0.5 * GROWTH_H)[channel], hours=6.0)
    own = block / np.nanmean(block[:8], axis=0)
    return (
        best_threshold(block[-1, 1::2], block[-1, ::2]),
        best_threshold(own[-1, 1::2], own[-1, ::2]),
    )


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
    kurtosis = seen(fleet, 120)["kurtosis_de"]
    usual, spread = np.nanmedian(kurtosis, axis=0), np.nanstd(kurtosis, axis=0)

    jumps = (kurtosis > usual + 4.0 * spread).any(axis=0)

    assert 0.3 < jumps.mean() <= 1.0


def test_a_plot_is_the_same_bytes_each_time_and_small() -> None:
    family, at = "rotating_machine", next(iter(SIGNS["rotating_machine"]))
    mode = next(m for m in specs.load(DATA[family]).modes if m.defect == at)

    one, other = (drawing("t", SIGNS[family][at], twins_of(family, mode, seed=9)) for _ in range(2))

    assert one == other
    assert len(one.encode()) < 60_000


@given(low=st.floats(-1e4, 1e4), width=st.floats(1e-3, 1e5))
def test_a_scale_has_a_few_round_values_within_it(low, width):
    told = ticks(low, low + width)
    room = 1e-6 * (abs(low) + width)
    assert 2 <= len(told) <= 6
    assert low - room <= told[0] < told[-1] <= low + width + room
