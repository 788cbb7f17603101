"""The Marlin emulator answers as the firmware does."""

from __future__ import annotations

from functools import reduce
from operator import xor

import pytest

from simulators.emulators.marlin import KILLED, Marlin
from simulators.emulators.printer import ObedientPrinter, Setting


def numbered(number: int, code: str) -> str:
    line = f"N{number} {code}"
    return f"{line}*{reduce(xor, line.encode(), 0)}"


@pytest.fixture
def marlin() -> Marlin:
    return Marlin(ObedientPrinter(Setting(jobs=False, step_s=1.0)))


@pytest.fixture
def printing() -> Marlin:
    return Marlin(ObedientPrinter(Setting(at_once=True, step_s=10.0)))


def after(marlin: Marlin, steps: int) -> dict[str, float]:
    for _ in range(steps):
        marlin.printer.step()
    return marlin.printer.values


def said(marlin: Marlin, line: str, now_s: float = 0.0) -> list[str]:
    return marlin.receive(line, now_s=now_s)


def test_temperatures_are_told_with_powers_as_pwm(marlin: Marlin) -> None:
    marlin.printer.values |= {"hotend_temp": 21.3, "hotend_power": 0.5, "bed_temp": 22.0}
    assert said(marlin, "M105") == ["ok T:21.30 /0.00 B:22.00 /0.00 @:64 B@:0"]


def test_reports_come_by_themselves_as_often_as_was_asked(marlin: Marlin) -> None:
    assert said(marlin, "M155 S2") == ["ok"]
    counts = [len(marlin.beat(now_s=float(second))) for second in range(1, 9)]
    assert sum(counts) == 4
    said(marlin, "M155 S0")
    assert marlin.beat(now_s=99.0) == []


def test_numbered_lines_are_taken_in_order_and_asked_for_again_where_they_are_not(
    marlin: Marlin,
) -> None:
    assert said(marlin, numbered(0, "M110")) == ["ok"]
    assert said(marlin, numbered(1, "M105"))[0].startswith("ok T:")
    mismatch = "Error:Line Number is not Last Line Number+1, Last Line: 1"
    assert said(marlin, numbered(5, "M105")) == [mismatch, "Resend: 2", "ok"]
    wrong = "Error:checksum mismatch, Last Line: 1"
    assert said(marlin, "N2 M105*1") == [wrong, "Resend: 2", "ok"]
    assert said(marlin, "N2 M105")[0].startswith("Error:No Checksum")


def test_while_it_dwells_it_says_so_and_answers_later(marlin: Marlin) -> None:
    assert said(marlin, "G4 S5") == []
    assert said(marlin, "M27", now_s=1.0) == []
    assert marlin.beat(now_s=2.5) == ["echo:busy: processing"]
    assert marlin.beat(now_s=5.1) == ["ok", "Not SD printing", "ok"]


def test_it_knows_where_it_is_and_what_it_does_not_know(marlin: Marlin) -> None:
    said(marlin, "G1 X10 Y5.5 F600")
    assert said(marlin, "M114")[0].startswith("X:10.00 Y:5.50 Z:0.00 E:0.00 Count X:800")
    assert said(marlin, "M999") == ['echo:Unknown command: "M999"', "ok"]


def test_a_heater_that_is_set_is_answered_at_once_and_warms_up(marlin: Marlin) -> None:
    assert said(marlin, "M104 S80") == ["ok"]
    assert said(marlin, "M140 S40") == ["ok"]
    assert "/80.00" in said(marlin, "M105")[0]
    warm = after(marlin, 120)
    assert warm["hotend_temp"] == pytest.approx(80, abs=0.5)
    assert warm["bed_temp"] == pytest.approx(40, abs=0.5)


@pytest.mark.parametrize(
    ("line", "share"),
    [("M106 S127", 0.5), ("M106", 1.0), ("M106 P1 S255", 0.2), ("M107", 0.0), ("M106 S9e9", 0.04)],
)
def test_the_part_fan_obeys_and_no_other_does(marlin: Marlin, line: str, share: float) -> None:
    said(marlin, "M106 S51")
    assert said(marlin, line) == ["ok"]
    assert marlin.printer.values["part_fan_cmd"] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("line", "target"), [("M104 S900", 300.0), ("M104 S-5", 0.0), ("M104", 50.0), ("M104 Sx", 50.0)]
)
def test_a_target_that_cannot_be_is_cut_off_or_changes_nothing(
    marlin: Marlin, line: str, target: float
) -> None:
    said(marlin, "M104 S50")
    assert said(marlin, line) == ["ok"]
    assert marlin.printer.values["hotend_target"] == target


def test_the_hot_end_s_fan_is_counted_in_whole_turns_a_second(marlin: Marlin) -> None:
    assert said(marlin, "M123") == ["E0:0 RPM E0@:0 ", "ok"]
    said(marlin, "M104 S80")
    assert after(marlin, 60)["hotend_fan_rpm"] > 3000
    marlin.printer.values["hotend_fan_rpm"] = 5999.0
    assert said(marlin, "M123") == ["E0:5940 RPM E0@:255 ", "ok"]


def test_a_print_is_told_is_paused_and_is_ended(printing: Marlin) -> None:
    after(printing, 100)
    under_way = said(printing, "M27")[0]
    assert under_way.startswith("SD printing byte ")
    assert not under_way.startswith("SD printing byte 0/")
    said(printing, "M25")
    assert said(printing, "M27")[0] == "Not SD printing"
    said(printing, "M24")
    assert said(printing, "M27")[0] == under_way
    said(printing, "M524")
    assert said(printing, "M27")[0] == "Not SD printing"
    assert printing.printer.values["hotend_target"] == 0.0


def test_a_simulated_print_keeps_its_own_targets_and_says_so(printing: Marlin) -> None:
    target = printing.printer.values["hotend_target"]
    note, ok = said(printing, "M104 S50")
    assert (note[:5], ok) == ("echo:", "ok")
    assert printing.printer.values["hotend_target"] == target > 150


def test_it_can_be_killed_and_is_switched_off_for_good(marlin: Marlin) -> None:
    said(marlin, "M104 S80")
    assert said(marlin, "M112") == [KILLED]
    assert marlin.printer.values["hotend_target"] == 0.0
    assert said(marlin, "M105") == []


@pytest.mark.parametrize(
    ("component", "error"),
    [
        ("hotend_heater", "Error:Heating failed, system stopped! Heater_ID: 0"),
        ("hotend_thermistor", "Error:MAXTEMP triggered, system stopped! Heater_ID: 0"),
    ],
)
@pytest.mark.parametrize("jobs", [False, True])
def test_a_part_that_has_failed_halts_it_once_it_is_used(
    component: str, error: str, jobs: bool
) -> None:
    ill = Setting(jobs=jobs, at_once=True, step_s=10.0, faults=(component,), hours_to_failure=0.1)
    marlin = Marlin(ObedientPrinter(ill))
    after(marlin, 40)
    if not jobs:
        assert marlin.beat(now_s=0.0) == []
        said(marlin, "M104 S80")
        after(marlin, 5)
    assert marlin.beat(now_s=0.0) == [error, KILLED]
    assert said(marlin, "M105") == []


def test_a_worn_heater_takes_longer_and_a_failed_part_fan_stands_still() -> None:
    faults = ("hotend_heater", "part_fan")
    new = Marlin(ObedientPrinter(Setting(jobs=False, step_s=1.0)))
    worn = Marlin(
        ObedientPrinter(Setting(jobs=False, step_s=1.0, faults=faults[:1], hours_to_failure=0.02))
    )
    after(worn, 60)
    for one in (new, worn):
        said(one, "M104 S200")
    assert 30 < after(worn, 10)["hotend_temp"] < after(new, 10)["hotend_temp"] - 5
    fan = ObedientPrinter(Setting(jobs=False, faults=faults[1:], hours_to_failure=0.01))
    said(Marlin(fan), "M106 S255")
    for _ in range(20):
        fan.step()
    assert fan.values["part_fan_rpm"] > 2000
    for _ in range(200):
        fan.step()
    assert fan.values["part_fan_rpm"] == 0.0
