"""Each failure mode stops its device, a wrong part leaves it so, and the right one cures it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from foremend.values import AsFound, Phase, Quality
from simulators import specs
from simulators.fleets import FLEETS, ExcavatorFleet, PrinterFleet
from simulators.plots import DATA
from simulators.steps import FaultPlan, ScheduledFault

if TYPE_CHECKING:
    from simulators.fleets import AnyFleet
    from simulators.steps import Step

STEP_S = 600.0
MODES = [(f, mode.defect) for f, name in DATA.items() for mode in specs.load(name).modes]


def scheduled(family: str, step_s: float = STEP_S) -> AnyFleet:
    """Make a fleet of which each device fails in another way, six hours after the fault began."""
    modes = specs.load(DATA[family]).modes
    faults = tuple(
        ScheduledFault(
            device=mode.defect,
            component=mode.component,
            failure_mode=mode.failure_mode,
            onset_h=1.0,
            hours_to_failure=6.0,
        )
        for mode in modes
    )
    plan = FaultPlan(random_from_h=None, scheduled=faults)
    return FLEETS[family](names=[m.defect for m in modes], seed=3, step_s=step_s, plan=plan)


def run(fleet: AnyFleet, hours: float) -> list[Step]:
    return [fleet.step() for _ in range(round(hours * 3600 / STEP_S))]


@cache
def failed(family: str) -> bytes:
    """Let the fleet run until every device has failed; its snapshot."""
    fleet = scheduled(family)
    for _ in range(40):
        run(fleet, 1)
        if len(fleet.failed()) == len(fleet.names):
            return fleet.snapshot()
    raise AssertionError("not every device failed")


@pytest.mark.parametrize(("family", "defect"), MODES)
def test_a_wrong_part_leaves_it_standing_and_the_right_one_cures(family: str, defect: str) -> None:
    fleet = FLEETS[family].restore(failed(family))
    at = fleet.names.index(defect)
    truth = next(t for t in fleet.failed() if t.device == defect)
    mode = next(m for m in specs.load(DATA[family]).modes if m.defect == defect)
    wrong = next(c.instance for c in fleet.components(at) if c.instance != mode.component)

    useless = fleet.replace(at, wrong)
    still = run(fleet, 2)
    right = fleet.replace(at, mode.component)
    after = run(fleet, 6)

    assert (truth.component, truth.failure_mode) == (mode.component, mode.failure_mode)
    assert (useless.as_found, useless.cured) == (AsFound.NO_FAULT_FOUND, False)
    assert {int(s.phase[at]) for s in still} <= {Phase.ERROR, Phase.STOPPED}
    assert (right.as_found, right.cured) == (AsFound.FAILED, True)
    assert Phase.RUNNING in {int(s.phase[at]) for s in after}


def test_the_order_of_repairs_changes_nothing() -> None:
    one, other = (FLEETS["fdm_printer"].restore(failed("fdm_printer")) for _ in range(2))
    repairs = [(n, part.instance) for n in range(4) for part in one.components(n)]

    for device, component in repairs:
        one.replace(device, component)
    for device, component in reversed(repairs):
        other.replace(device, component)

    ours, theirs = run(one, 6), run(other, 6)
    assert [s.values.tobytes() for s in ours] == [s.values.tobytes() for s in theirs]
    assert sorted(map(repr, one.truth())) == sorted(map(repr, other.truth()))


def test_a_restored_printer_goes_on_within_its_control_loop() -> None:
    fleet = scheduled("fdm_printer", step_s=5.0)
    for _ in range(700):
        fleet.step()

    twin = PrinterFleet.restore(fleet.snapshot())

    assert all(twin.step().values.tobytes() == fleet.step().values.tobytes() for _ in range(200))


def test_a_part_that_can_fail_in_several_ways_is_free_of_all_once_renewed() -> None:
    both = tuple(
        ScheduledFault(
            device="p",
            component="hotend_thermistor",
            failure_mode=mode,
            onset_h=1.0,
            hours_to_failure=hours,
        )
        for mode, hours in (("thermistor_drift", 20.0), ("thermistor_open", 30.0))
    )
    plan = FaultPlan(random_from_h=None, scheduled=both)
    fleet = PrinterFleet(names=["p"], seed=3, step_s=STEP_S, plan=plan)
    run(fleet, 10)
    assert fleet.remaining_h(0, "hotend_thermistor") == pytest.approx(11.0)

    fleet.replace(0, "hotend_thermistor")

    assert fleet.remaining_h(0, "hotend_thermistor") is None
    closed = {t.failure_mode: t.preventive for t in fleet.truth()}
    assert closed == {"thermistor_drift": True, "thermistor_open": True}


def test_a_runaway_heats_at_no_power_until_its_firmware_stops_it() -> None:
    fleet = scheduled("fdm_printer")
    steps = run(fleet, 30)
    names = [c.name for c in fleet.channels]
    at = fleet.names.index("mainboard")
    late = [s for s in steps if s.phase[at] == Phase.ERROR][-3:]

    temp = np.array([s.values[at, names.index("hotend_temp")] for s in late])
    power = np.array([s.values[at, names.index("hotend_power")] for s in late])

    assert temp.min() > 120.0
    assert power.max() < 0.03


def test_a_bad_bus_loses_whole_frames_and_says_so() -> None:
    fleet = scheduled("hydraulic_excavator")
    assert isinstance(fleet, ExcavatorFleet)
    at = fleet.names.index("can_harness")
    steps = run(fleet, 20)

    lost = [s for s in steps if np.isnan(s.values[at]).all()]

    assert len(lost) > 5
    assert {int(s.quality[at]) for s in lost} == {Quality.SUSPECT}
    others = [
        np.isnan(s.values[n]).all() for s in steps for n in range(len(fleet.names)) if n != at
    ]
    assert not any(others)


def test_trouble_codes_name_parameter_and_failure_mode() -> None:
    fleet = scheduled("hydraulic_excavator")
    told = [e for s in run(fleet, 20) for e in s.events if e.code.startswith("spn")]

    assert len({e.code for e in told}) >= len(fleet.names)
    assert all(e.code == f"spn{e.details['spn']}_fmi{e.details['fmi']}" for e in told)
