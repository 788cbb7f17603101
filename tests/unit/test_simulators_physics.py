from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremend.values import Phase
from simulators import excavator_build, machine_build, printer_build, specs
from simulators.fleets import MachineFleet, PrinterFleet
from simulators.steps import FaultPlan
from simulators.thermal import Heated, Plant, hold, pid, regulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

WELL = FaultPlan(random_from_h=None)


def held(dt_s: float = 120.0, **changes: float) -> Heated:
    values = {
        "temp": 25.0,
        "setpoint": 210.0,
        "ambient": 25.0,
        "loss": 0.1,
        "capacity": 12.0,
        "limit": 42.0,
        **changes,
    }
    given = {k: np.array([v]) for k, v in values.items()}
    temp, setpoint = given.pop("temp"), given.pop("setpoint")
    return hold(Plant(**given), temp=temp, setpoint=setpoint, dt_s=dt_s)


def test_a_heater_reaches_its_setpoint_and_then_pays_the_loss() -> None:
    heated = held(temp=210.0)

    assert heated.temp[0] == heated.mean_temp[0] == pytest.approx(210.0)
    assert heated.mean_watts[0] == pytest.approx(0.1 * (210.0 - 25.0))


def test_a_heater_that_is_too_weak_sags_towards_its_balance() -> None:
    heated = held(dt_s=36_000.0, temp=210.0, limit=15.0)

    assert heated.temp[0] == pytest.approx(25.0 + 15.0 / 0.1)
    assert heated.mean_watts[0] == pytest.approx(15.0)


def test_a_heater_that_is_off_cools_to_the_room() -> None:
    heated = held(dt_s=36_000.0, temp=210.0, setpoint=0.0)

    assert heated.temp[0] == pytest.approx(25.0)
    assert heated.mean_watts[0] == 0.0


@given(
    temp=st.floats(10.0, 300.0),
    setpoint=st.one_of(st.just(0.0), st.floats(30.0, 300.0)),
    ambient=st.floats(5.0, 60.0),
    loss=st.floats(0.03, 3.0),
    capacity=st.floats(5.0, 1500.0),
    limit=st.floats(1.0, 300.0),
    dt_s=st.floats(1.0, 3600.0),
)
def test_energy_is_conserved(dt_s: float, **values: float) -> None:
    heated = held(dt_s=dt_s, **values)

    stored = values["capacity"] * (heated.temp[0] - values["temp"])
    lost = values["loss"] * (heated.mean_temp[0] - values["ambient"]) * dt_s
    brought = heated.mean_watts[0] * dt_s
    scale = abs(stored) + abs(lost) + brought + 1.0
    assert brought == pytest.approx(stored + lost, abs=1e-6 * scale)
    assert 0.0 <= heated.mean_watts[0] <= values["limit"] * (1.0 + 1e-9)


@given(
    temp=st.floats(10.0, 300.0),
    setpoint=st.floats(30.0, 300.0),
    split=st.floats(0.05, 0.95),
    limit=st.floats(1.0, 100.0),
)
def test_two_short_frames_are_one_long_one(
    temp: float, setpoint: float, split: float, limit: float
) -> None:
    whole = held(dt_s=300.0, temp=temp, setpoint=setpoint, limit=limit)
    first = held(dt_s=300.0 * split, temp=temp, setpoint=setpoint, limit=limit)
    second = held(dt_s=300.0 * (1.0 - split), temp=first.temp[0], setpoint=setpoint, limit=limit)

    assert second.temp[0] == pytest.approx(whole.temp[0], abs=1e-6)


def regulated(seconds: int, **changes: float) -> list[Heated]:
    """Let a PID with the shipped gains heat a hot end from cold, in frames of a second."""
    values = {"ambient": 25.0, "loss": 0.1, "capacity": 12.0, "limit": 42.0, **changes}
    plant = Plant(**{k: np.array([[v]]) for k, v in values.items()})
    gains = pid(specs.load("printer").control, ("hotend",))
    zero = np.zeros((1, 1))
    seen = [Heated(temp=zero + 25.0, mean_temp=zero, mean_watts=zero, integral=zero, rate=zero)]
    for _ in range(seconds):
        last = seen[-1]
        after = regulate(
            plant,
            gains,
            temp=last.temp,
            integral=last.integral,
            rate=last.rate,
            setpoint=zero + 210.0,
            dt_s=1.0,
        )
        seen.append(after)
    return seen[1:]


def test_a_pid_overshoots_a_little_and_settles() -> None:
    temps = np.array([float(h.temp[0, 0]) for h in regulated(600)])

    assert 210.2 < temps.max() < 222.0
    assert np.abs(temps[-120:] - 210.0).max() < 0.5


@pytest.mark.parametrize("loss", [0.07, 0.1, 0.14])
def test_a_settled_pid_pays_what_the_exact_mean_says(loss: float) -> None:
    late = regulated(900, loss=loss)[-300:]

    paid = np.mean([float(h.mean_watts[0, 0]) for h in late])

    assert paid == pytest.approx(float(held(temp=210.0, loss=loss).mean_watts[0]), rel=0.02)


def test_a_weak_heater_under_a_pid_ends_where_the_exact_mean_does() -> None:
    last = regulated(1800, limit=15.0)[-1]

    assert last.temp[0, 0] == pytest.approx(25.0 + 15.0 / 0.1, abs=0.5)


def test_a_fleet_of_short_frames_prints_as_one_of_long_frames_does() -> None:
    def powers(step_s: float) -> float:
        fleet = PrinterFleet(names=["p"], seed=3, step_s=step_s, plan=WELL)
        steps = [fleet.step() for _ in range(round(5 * 3600 / step_s))]
        at = [c.name for c in fleet.channels].index("hotend_power")
        running = [s.values[0, at] for s in steps if s.phase[0] == Phase.RUNNING]
        return float(np.median(running))

    assert powers(10.0) == pytest.approx(powers(60.0), rel=0.15)


def channel(values: NDArray[np.float64], fleet: PrinterFleet, name: str) -> NDArray[np.float64]:
    return values[:, :, [c.name for c in fleet.channels].index(name)]


def test_a_healthy_printer_holds_its_targets_while_it_prints() -> None:
    fleet = PrinterFleet(names=[f"p{i}" for i in range(8)], seed=2, plan=WELL)
    steps = [fleet.step() for _ in range(900)]
    values, phase = np.stack([s.values for s in steps]), np.stack([s.phase for s in steps])
    settled = (phase[1:] == Phase.RUNNING) & (phase[:-1] == Phase.RUNNING)

    for heater in ("hotend", "bed"):
        off = channel(values, fleet, f"{heater}_temp") - channel(values, fleet, f"{heater}_target")
        assert np.nanquantile(np.abs(off[1:][settled]), 0.99) < 2.0
    assert np.nanmax(channel(values, fleet, "hotend_power")[1:][settled]) < 1.0
    assert set(np.unique(phase)) == {Phase.IDLE, Phase.HEATING, Phase.RUNNING, Phase.COOLING}


def test_healthy_units_differ() -> None:
    fleet = PrinterFleet(names=[f"p{i}" for i in range(30)], seed=2, plan=WELL)
    steps = [fleet.step() for _ in range(120)]
    values = np.stack([s.values for s in steps])

    tones = np.nanmean(channel(values, fleet, "belt_x_hz"), axis=0)

    assert tones.std() / tones.mean() > 0.04


def test_a_healthy_fleet_has_no_failure_but_missing_readings() -> None:
    fleet = MachineFleet(names=[f"m{i}" for i in range(20)], seed=2, plan=WELL)
    steps = [fleet.step() for _ in range(30 * 48)]
    missing = np.stack([np.isnan(s.values).any(axis=1) for s in steps])
    suspect = np.stack([s.quality for s in steps]) != 0

    assert fleet.truth() == ()
    assert 0.0 < missing.mean() < 0.005
    np.testing.assert_array_equal(missing, suspect)


@pytest.mark.parametrize(
    ("family", "wear"),
    [
        ("printer", printer_build.Wear),
        ("machine", machine_build.Wear),
        ("excavator", excavator_build.Wear),
    ],
)
def test_the_data_file_lists_modes_as_the_physics_takes_them(family: str, wear: type) -> None:
    assert wear._fields == tuple(m.defect for m in specs.load(family).modes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", ["printer", "machine", "excavator"])
def test_every_figure_names_its_source_and_unit(family: str) -> None:
    loaded = specs.load(family)

    assert all(mode.source for mode in loaded.modes)
    for table in (loaded.units, loaded.effects, loaded.habits, loaded.control):
        assert all(row["source"] and row["unit"] for row in table.values())
