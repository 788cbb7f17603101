from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foremend.errors import NotFound
from foremend.values import PART_REPLACED, AsFound, Phase, Severity
from simulators import demo, faults, specs
from simulators.fleets import AnyFleet, ExcavatorFleet, MachineFleet, PrinterFleet
from simulators.snapshot import SnapshotRefused
from simulators.steps import FaultPlan, ScheduledFault, Step, Truth

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S = 600.0
PER_H = 6


def fan_fault(device: str = "a", onset_h: float = 1.0, grows_h: float = 6.0) -> FaultPlan:
    fault = ScheduledFault(
        device=device, component="hotend_fan", onset_h=onset_h, hours_to_failure=grows_h
    )
    return FaultPlan(random_from_h=None, scheduled=(fault,))


def seal_fault() -> FaultPlan:
    fault = ScheduledFault(device="a", component="seal", onset_h=1.0, hours_to_failure=6.0)
    return FaultPlan(random_from_h=None, scheduled=(fault,))


def pump_fault() -> FaultPlan:
    fault = ScheduledFault(
        device="a", component="hydraulic_pump", onset_h=1.0, hours_to_failure=6.0
    )
    return FaultPlan(random_from_h=None, scheduled=(fault,))


def run(fleet: AnyFleet, hours: float) -> list[Step]:
    return [fleet.step() for _ in range(round(hours * PER_H))]


def until_failed(fleet: AnyFleet, limit_h: float = 30.0) -> Truth:
    for _ in range(round(limit_h * PER_H)):
        fleet.step()
        if failed := fleet.failed():
            return failed[0]
    raise AssertionError("nothing failed")


def as_bytes(step: Step) -> bytes:
    arrays = b"".join(a.tobytes() for a in (step.phase, step.quality, step.values))
    return arrays + repr((step.ts_ms, step.events)).encode()


MAKERS: dict[str, tuple[Callable[..., AnyFleet], FaultPlan]] = {
    "printers": (PrinterFleet, fan_fault()),
    "machines": (MachineFleet, seal_fault()),
    "excavators": (ExcavatorFleet, pump_fault()),
}


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest) -> Callable[..., AnyFleet]:
    kind, plan = MAKERS[request.param]

    def build(seed: int = 7, **changes: Any) -> AnyFleet:
        return kind(
            **{"names": ["a", "b", "c"], "seed": seed, "plan": plan, "step_s": STEP_S, **changes}
        )

    return build


def test_the_same_seed_gives_the_same_bytes(make: Callable[..., AnyFleet]) -> None:
    one, other = make(), make()

    assert [as_bytes(s) for s in run(one, 10)] == [as_bytes(s) for s in run(other, 10)]


def test_another_seed_gives_other_units(make: Callable[..., AnyFleet]) -> None:
    one, other = run(make(seed=7), 1), run(make(seed=8), 1)

    assert as_bytes(one[-1]) != as_bytes(other[-1])


def test_a_restored_fleet_goes_on_byte_for_byte(make: Callable[..., AnyFleet]) -> None:
    fleet = make()
    until_failed(fleet)
    fleet.replace(0, fleet.failed()[0].component)
    fleet.replace(1, fleet.components(1)[0].instance)

    twin = type(fleet).restore(fleet.snapshot())

    assert [as_bytes(s) for s in run(twin, 5)] == [as_bytes(s) for s in run(fleet, 5)]
    assert twin.truth() == fleet.truth()
    assert twin.components(0) == fleet.components(0)
    assert twin.snapshot() == fleet.snapshot()


def test_a_snapshot_of_another_family_is_refused() -> None:
    snapshot = PrinterFleet(names=["a"], seed=1).snapshot()

    with pytest.raises(SnapshotRefused, match="fdm_printer"):
        MachineFleet.restore(snapshot)


@pytest.mark.parametrize("data", [b"", b"\x80\x04", b"[]", b'{"format": 99}'])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotRefused):
        PrinterFleet.restore(data)


def test_a_snapshot_of_another_version_is_refused() -> None:
    content = json.loads(PrinterFleet(names=["a"], seed=1).snapshot())
    content["now"]["faults"]["gate"]["shape"] = [9, 1]

    with pytest.raises(SnapshotRefused):
        PrinterFleet.restore(json.dumps(content).encode())


def test_a_snapshot_is_plain_json() -> None:
    assert json.loads(PrinterFleet(names=["a"], seed=1).snapshot())["family"] == "fdm_printer"


def test_a_frame_has_the_shape_that_the_fleet_declares(make: Callable[..., AnyFleet]) -> None:
    fleet = make(start_ms=1_000_000, step_s=60.0)

    step = fleet.step()

    assert step.ts_ms == fleet.now_ms == 1_060_000
    assert step.values.shape == (3, len(fleet.channels))
    assert step.phase.dtype == step.quality.dtype == np.int16


def test_values_stay_in_the_range_of_their_channels(make: Callable[..., AnyFleet]) -> None:
    fleet = make()
    values = np.concatenate([s.values for s in run(fleet, 30)])

    for at, channel in enumerate(fleet.channels):
        seen = values[:, at][~np.isnan(values[:, at])]
        assert channel.low is not None
        assert channel.high is not None
        assert seen.min() >= channel.low, channel.name
        assert seen.max() <= channel.high, channel.name


def test_every_component_that_a_channel_speaks_of_is_fitted(make: Callable[..., AnyFleet]) -> None:
    fleet = make()

    named = {c.component for c in fleet.channels if c.component is not None}

    assert named <= {c.instance for c in fleet.components(0)}


def test_a_failed_device_stands_still_and_says_so(make: Callable[..., AnyFleet]) -> None:
    fleet = make()
    steps = run(fleet, 16)
    truth = fleet.failed()[0]
    after = [s for s in steps if s.ts_ms >= (truth.failed_ms or 0)]

    assert {int(s.phase[0]) for s in after} <= {Phase.ERROR, Phase.STOPPED}
    severe = [e for s in steps for e in s.events if e.severity is Severity.CRITICAL]
    assert [(e.device_index, e.ts_ms) for e in severe] == [(0, truth.failed_ms)]
    assert Phase.RUNNING in {int(s.phase[1]) for s in after}


def test_fitting_the_right_part_cures(make: Callable[..., AnyFleet]) -> None:
    fleet = make()
    truth = until_failed(fleet)
    before = {c.instance: c for c in fleet.components(0)}

    fitting = fleet.replace(0, truth.component)

    after = run(fleet, 12)
    assert (fitting.as_found, fitting.cured) == (AsFound.FAILED, True)
    assert fleet.failed() == ()
    assert Phase.RUNNING in {int(s.phase[0]) for s in after}
    fitted = {c.instance: c for c in fleet.components(0)}[truth.component]
    assert fitted.serial != before[truth.component].serial
    assert fitted.installed_at_ms == after[0].ts_ms - 600_000
    replaced = [e for e in after[0].events if e.code == PART_REPLACED]
    assert [(e.device_index, e.component) for e in replaced] == [(0, truth.component)]
    assert replaced[0].ts_ms == fitted.installed_at_ms
    assert replaced[0].details["serial"] == fitted.serial


def test_fitting_a_wrong_part_cures_nothing(make: Callable[..., AnyFleet]) -> None:
    fleet = make()
    truth = until_failed(fleet)
    wrong = next(c.instance for c in fleet.components(0) if c.instance != truth.component)

    fitting = fleet.replace(0, wrong)

    after = run(fleet, 3)
    assert (fitting.as_found, fitting.cured) == (AsFound.NO_FAULT_FOUND, False)
    assert fleet.failed() == (truth,)
    assert Phase.RUNNING not in {int(s.phase[0]) for s in after}


def test_a_part_changed_in_time_is_found_degraded_and_never_fails(
    make: Callable[..., AnyFleet],
) -> None:
    fleet = make()
    run(fleet, 5)
    truth = fleet.truth()[0]

    fitting = fleet.replace(0, truth.component)
    run(fleet, 10)

    assert fitting.as_found is AsFound.DEGRADED
    closed = fleet.truth()[0]
    assert closed.preventive
    assert closed.failed_ms is None
    assert closed.repaired_ms is not None
    assert closed.repaired_ms < closed.due_ms
    assert fleet.failed() == ()


def test_an_unknown_component_is_refused(make: Callable[..., AnyFleet]) -> None:
    with pytest.raises(NotFound, match="flux_capacitor"):
        make().replace(0, "flux_capacitor")


@pytest.mark.parametrize("where", [("d", "hotend_fan"), ("a", "seal")])
def test_a_plan_for_something_that_is_not_there_is_refused(where: tuple[str, str]) -> None:
    device, component = where
    fault = ScheduledFault(device=device, component=component, onset_h=1.0, hours_to_failure=1.0)

    with pytest.raises(NotFound, match=component):
        PrinterFleet(names=["a"], seed=1, plan=FaultPlan(scheduled=(fault,)))


def test_the_hours_that_remain_run_down_to_the_failure(make: Callable[..., AnyFleet]) -> None:
    fleet = make()
    component = next(
        plan.scheduled[0].component for kind, plan in MAKERS.values() if isinstance(fleet, kind)
    )
    assert fleet.remaining_h(0, component) is None
    run(fleet, 3)

    left_h = fleet.remaining_h(0, component)

    assert left_h == pytest.approx(4.0)
    assert fleet.truth()[0].due_ms == fleet.now_ms + 4 * 3_600_000
    assert until_failed(fleet).failed_ms == fleet.now_ms
    assert fleet.remaining_h(0, component) == 0.0


def test_a_repair_leaves_other_devices_as_they_were(make: Callable[..., AnyFleet]) -> None:
    touched, untouched = make(), make()
    run(touched, 2), run(untouched, 2)

    touched.replace(0, touched.components(0)[0].instance)

    ours, theirs = run(touched, 12), run(untouched, 12)
    assert all(
        np.array_equal(a.values[1:], b.values[1:], equal_nan=True)
        for a, b in zip(ours, theirs, strict=True)
    )


def test_what_a_device_sends_holds_no_truth() -> None:
    assert set(Step.__slots__) == {"ts_ms", "phase", "quality", "values", "events"}


def test_old_parts_develop_faults_sooner() -> None:
    mode = specs.load("printer").modes[0]
    rng = np.random.Generator(np.random.PCG64(1))

    def typical_wait_h(age_h: float) -> float:
        lives = [faults.draw_life(mode, FaultPlan(), rng, age_h=age_h) for _ in range(300)]
        return float(np.median([life.to_onset_h for life in lives]))

    assert typical_wait_h(mode.life_h) < 0.5 * typical_wait_h(0.0)


def test_a_part_that_ages_faster_fails_sooner() -> None:
    mode = specs.load("printer").modes[0]

    def wait_h(scale: float) -> float:
        plan = FaultPlan(hazard_scale=scale)
        return faults.draw_life(mode, plan, faults.fate(1, 2, 3, 0), age_h=0.0).to_onset_h

    assert wait_h(10.0) == pytest.approx(wait_h(1.0) / 10.0)


def test_the_demonstration_keeps_its_promises() -> None:
    plans = demo.plans(seed=11)
    scheduled = [*plans.printers.scheduled, *plans.machines.scheduled]
    due_h = sorted(f.onset_h + f.hours_to_failure for f in scheduled)

    assert 62.0 <= due_h[0] <= 66.0
    assert due_h[-1] < 110.0
    assert len(due_h) >= 6
    assert len({f.component for f in scheduled}) == len(scheduled)
    assert len(demo.PRINTERS) + len(demo.MACHINES) - len({f.device for f in scheduled}) >= 5
    assert plans.printers.random_from_h == 120.0


def test_the_demonstration_fails_as_planned_and_goes_on_failing() -> None:
    printers, machines = demo.fleets(seed=11, step_s=STEP_S)
    for fleet, plan in ((printers, demo.plans(11).printers), (machines, demo.plans(11).machines)):
        run(fleet, 114)
        planned = {(f.device, f.component) for f in plan.scheduled}
        failed = {(t.device, t.component) for t in fleet.truth() if t.failed_ms}
        assert failed == planned
    for truth in printers.failed():
        printers.replace(printers.names.index(truth.device), truth.component)
    run(printers, 300)
    assert len(printers.truth()) > 7
