"""Derived features: what each formula tells, and what it leaves unknown."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.signatures import shipped
from models.signatures.deriving import Before, Derivation, Frames, channels_of
from models.signatures.library import Machine
from models.signatures.physics import FORMULAS, Inputs
from models.signatures.recorded import zone_limits
from models.signatures.zones import Zone, limits_for, zone_of, zone_table

NAN = float("nan")


def told(formula: str, *, elapsed_s: float = 60.0, before: dict[str, float] | None = None,
         zones: tuple[float, ...] = (NAN, NAN, NAN), constants: dict[str, float] | None = None,
         **now: float) -> float:  # fmt: skip
    form = FORMULAS[formula]
    words = (*form.words, *form.optional)
    last = before or {}
    given = Inputs(
        now={w: np.array([now.get(w, NAN)]) for w in words},
        before={w: np.array([last.get(w, NAN)]) for w in words},
        elapsed_s=np.array([elapsed_s]),
        zones=np.array([zones]),
        constants=constants or {},
    )
    return float(form.formula(given)[0])


def test_a_fans_response_is_its_speed_over_its_command() -> None:
    assert told("ratio", top=4000.0, bottom=0.8, constants={"least": 0.1}) == 5000.0
    assert np.isnan(told("ratio", top=4000.0, bottom=0.05, constants={"least": 0.1}))


def test_a_filters_resistance_does_not_depend_on_flow() -> None:
    held = {"nominal": 100.0, "exponent": 2.0}
    one = told("power_law", value=20.0, drive=100.0, constants=held)
    other = told("power_law", value=5.0, drive=50.0, constants=held)
    assert one == pytest.approx(other)
    assert np.isnan(told("power_law", value=1.0, drive=3.0, constants=held))


def test_heat_up_gain_counts_the_power_that_was_given() -> None:
    held = {"nominal": 24.0}
    full = told(
        "heatup_gain", temp=100.0, target=210.0, power=1.0, before={"temp": 70.0}, constants=held
    )
    half = told(
        "heatup_gain", temp=85.0, target=210.0, power=0.5, before={"temp": 70.0}, constants=held
    )
    assert full == pytest.approx(half) == pytest.approx(0.5)
    near = told(
        "heatup_gain", temp=205.0, target=210.0, power=1.0, before={"temp": 190.0}, constants=held
    )
    assert np.isnan(near)


HOTEND = {"watts": 42.0, "still": 0.078, "air": 0.024, "melt": 0.0023, "nominal": 24.0}


def asked_power(temp: float, ambient: float, fan: float, flow: float, volts: float) -> float:
    loss = 0.078 + 0.024 * fan + 0.0023 * flow
    return loss * (temp - ambient) / (42.0 * (volts / 24.0) ** 2)


@given(st.floats(180, 280), st.floats(10, 45), st.floats(0, 1), st.floats(0, 20), st.floats(21, 26))
def test_hold_power_is_one_whatever_is_printed(
    temp: float, ambient: float, fan: float, flow: float, volts: float
) -> None:
    power = asked_power(temp, ambient, fan, flow, volts)
    seen = told(
        "hold_power", temp=temp, ambient=ambient, power=power, fan=fan, flow=flow, volts=volts,
        constants=HOTEND,
    )  # fmt: skip
    assert seen == pytest.approx(1.0)


def test_hold_power_is_told_without_fan_flow_and_voltage() -> None:
    power = asked_power(210.0, 25.0, 0.0, 0.0, 24.0)
    seen = told("hold_power", temp=210.0, ambient=25.0, power=power, constants=HOTEND)
    assert seen == pytest.approx(1.0)


def test_what_is_topped_up_is_not_lost() -> None:
    held = {"refill": 5.0}
    assert told("fall_rate", level=70.0, before={"level": 71.0}, constants=held) == 60.0
    assert np.isnan(told("fall_rate", level=96.0, before={"level": 60.0}, constants=held))


@pytest.mark.parametrize(
    ("velocity", "zone"), [(1.0, Zone.A), (2.0, Zone.B), (4.0, Zone.C), (5.0, Zone.D)]
)
def test_zones_of_a_pump_on_a_rigid_base(velocity: float, zone: Zone) -> None:
    machine = shipped()["rotating_machine"].machines[0]
    limits = limits_for(machine)
    assert limits is not None
    assert zone_of(velocity, limits) is zone
    place = told("vibration_zone", drive_end=velocity, zones=(limits.ab, limits.bc, limits.cd))
    assert list(Zone).index(zone) <= place <= list(Zone).index(zone) + 1


def test_the_standard_does_not_speak_of_small_machines_nor_of_what_it_was_not_told() -> None:
    small = Machine(model="TOY", rated_kw=0.4, support="rigid", source="a toy")
    assert limits_for(small) is None
    assert np.isnan(zone_limits(shipped()["rotating_machine"], "unheard-of")).all()
    assert np.isnan(told("vibration_zone", drive_end=3.0))


def test_large_machines_may_shake_more() -> None:
    large = Machine(model="MILL", rated_kw=800.0, support="flexible", source="a mill")
    limits = limits_for(large)
    assert limits is not None
    assert (limits.group, limits.ab, limits.bc, limits.cd) == (1, 3.5, 7.1, 11.0)


def test_zone_limits_rise_and_no_printer_has_any() -> None:
    assert all(one.ab < one.bc < one.cd for one in zone_table().limits)
    printers = shipped()["fdm_printer"]
    assert not printers.machines
    assert all(f.formula != "vibration_zone" for f in printers.features)


def some_frames(n: int, seed: int) -> tuple[Frames, tuple[str, ...]]:
    rng = np.random.default_rng(seed)
    channels = channels_of(shipped()["rotating_machine"])
    values = rng.uniform(1.0, 100.0, (n, len(channels)))
    values[rng.random(values.shape) < 0.1] = NAN
    return Frames(
        device=rng.integers(0, 3, n),
        ts_ms=1_700_000_000_000 + np.cumsum(rng.integers(1, 90_000, n)),
        phase=rng.choice([3, 3, 3, 1], n),
        values=values,
        zones=np.tile([1.4, 2.8, 4.5], (n, 1)),
    ), channels


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 999), st.lists(st.integers(0, 60), max_size=5))
def test_no_batch_boundary_matters_to_derived_features(seed: int, cuts: list[int]) -> None:
    made = Derivation.of(shipped()["rotating_machine"])
    frames, channels = some_frames(60, seed)
    whole = made.derive(frames, Before.blank(3, len(channels)))
    before, parts = Before.blank(3, len(channels)), []
    edges = [0, *sorted(cuts), 60]
    for begin, end in pairwise(edges):
        piece = replace(
            frames,
            device=frames.device[begin:end],
            ts_ms=frames.ts_ms[begin:end],
            phase=frames.phase[begin:end],
            values=frames.values[begin:end],
            zones=frames.zones[begin:end],
        )
        parts.append(made.derive(piece, before))
    assert whole.tobytes() == np.concatenate(parts).tobytes()
