"""What Marlin's lines mean, and what it is asked next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.live.words import Told
from edge_agent.source import Happening
from edge_agent.sources.marlin.talk import ANSWER_MS, ASK_EVERY_MS, Order, Talk
from edge_agent.sources.marlin.words import (
    LONGEST_LINE,
    Lines,
    Whole,
    error_in,
    fault_of,
    temperatures,
)

REPORT = "T:21.16 /0.00 B:22.00 /60.00 @:0 B@:127"
QUERIES = {"M115", "M155 S1", "M105", "M114", "M27", "M123"}


@pytest.mark.parametrize(
    "line",
    [
        f"ok {REPORT}",
        f" {REPORT} W:?",
        "ok N12 P15 B3 T:21.16 /0.00 B:22.00 /60.00 @:0 B@:127",
        "ok T:21.16 /0.00 B:22.00 /60.00 T0:21.16 /0.00 @:0 B@:127 P:0.0 A:28.4",
        "T:21.16/ 0.00 B:22.00/ 60.00 @:0 B@:127",
        "T:21.16 /0.00 (511.0) B:22.00 /60.00 (100.2) @:0 B@:127",
    ],
)
def test_reports_of_many_firmwares_are_read(line: str) -> None:
    told = temperatures(line)
    assert (told["tool0.actual"], told["bed.target"], told["bed.power"]) == (21.16, 60.0, 127.0)


def test_each_hot_end_has_its_number_and_the_one_in_use_gives_way() -> None:
    told = temperatures("T:30.0 /0.0 B:20.0 /0.0 T0:25.0 /0.0 T1:30.0 /9.0 @:5 B@:0 @0:1 @1:5")
    assert (told["tool0.actual"], told["tool1.actual"]) == (25.0, 30.0)
    assert (told["tool0.power"], told["tool1.power"]) == (1.0, 5.0)


@given(st.integers(0, len(REPORT) - 2))
def test_half_a_report_tells_nothing_once_a_whole_one_was_seen(cut: int) -> None:
    reports = Whole()
    true = reports.read(REPORT)
    half = REPORT[:cut]
    # The last figure alone may be cut short unseen: there is no checksum.
    assert reports.read(half) == {} or half.endswith(("B@:1", "B@:12"))
    assert reports.read(half + REPORT) in ({}, true)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Error:Thermal Runaway, system stopped! Heater_ID: bed", "thermal_runaway"),
        ("Error:Heating failed, system stopped! Heater_ID: 0", "heater_not_heating"),
        ("Error:MINTEMP triggered, system stopped! Heater_ID: 0", "thermistor_out_of_range"),
        ("Error:Printer halted. kill() called!", "firmware_halted"),
        ("Error:checksum mismatch, Last Line: 5", "communication_error"),
        ("!! Lost communication with MCU 'mcu'", "communication_error"),
        ("Error:Homing Failed", "homing_failed"),
        ("Error:SD read error", "sd_read_error"),
        ("Error:something else", "firmware_error"),
    ],
)
def test_errors_become_the_codes_of_the_family(line: str, code: str) -> None:
    error = error_in(line)
    assert error is not None
    assert fault_of(error).code == code


@pytest.mark.parametrize(
    ("error", "component"),
    [
        ("Heating failed, system stopped! Heater_ID: bed", "bed_heater"),
        ("Heating failed, system stopped! Heater_ID: 0", "hotend_heater"),
        ("MAXTEMP triggered, system stopped! Heater_ID: 0", "hotend_thermistor"),
        ("Thermal Runaway, system stopped! Heater_ID: 0", None),
        ("Fan speed E0", "hotend_fan"),
    ],
)
def test_an_error_that_names_its_heater_names_the_part(error: str, component: str | None) -> None:
    assert fault_of(error).component == component


@given(st.lists(st.binary(max_size=700), max_size=8))
def test_however_a_stream_is_cut_its_lines_are_the_same_and_short(chunks: list[bytes]) -> None:
    parts, whole = Lines(), Lines()
    cut = [line for chunk in chunks for line in parts.feed(chunk)]
    assert cut == whole.feed(b"".join(chunks))
    assert all(len(line) <= LONGEST_LINE for line in cut)
    assert len(parts._rest) <= LONGEST_LINE


def test_a_line_that_is_too_long_takes_nothing_with_it() -> None:
    assert Lines().feed(b"T:" + b"9" * 600 + b"\nok\n") == ["ok"]
    split = Lines()
    assert [line for at in range(70) for line in split.feed(b"9" * 10)] == []
    assert split.feed(b"9\nok\n") == ["ok"]


class Printer:
    """Answers a talk, and notes what it was sent."""

    def __init__(self, **answers: str) -> None:
        self.talk = Talk(report_ms=1000)
        self.answers = answers
        self.sent: list[str] = []
        self.words: list = []

    def says(self, *lines: str, now_ms: int = 0) -> None:
        for line in lines:
            self.words += self.talk.take(line, now_ms, 1_700_000_000_000 + now_ms)

    def lives(self, until_ms: int) -> None:
        for now_ms in range(0, until_ms, 100):
            line = self.talk.next_line(now_ms)
            if line is not None:
                self.sent.append(line)
                self.says(*self.answers.get(line.split()[0], "ok").split("|"), now_ms=now_ms)

    def holds(self) -> dict[str, object]:
        told = [word.values for word in self.words if isinstance(word, Told)]
        return {path: value for values in told for path, value in values.items()}


MARLIN = {
    "M115": "FIRMWARE_NAME:Marlin 2 SOURCE_CODE_URL:x UUID:abc|Cap:AUTOREPORT_TEMP:1|ok",
    "M105": f"ok {REPORT}",
    "M114": "X:1.00 Y:2.00 Z:3.00 E:0.00 Count X:80 Y:160 Z:1200|ok",
    "M27": "SD printing byte 50/200|ok",
    "M123": "E0:6000 RPM E0@:255|ok",
}


def test_the_fan_of_the_print_is_told_where_a_firmware_counts_its_turns() -> None:
    printer = Printer(**(MARLIN | {"M123": "E0:6000 RPM PRN1:4560 RPM E0@:255 PRN1@:128|ok"}))
    printer.lives(5_000)
    held = printer.holds()
    assert (held["fan0.rpm"], held["part_fan1.rpm"]) == ("6000", "4560")


def test_a_printer_is_asked_nothing_but_queries_and_each_answer_is_read() -> None:
    printer = Printer(**MARLIN)
    printer.lives(10_000)
    assert set(printer.sent) == QUERIES
    assert printer.sent[:2] == ["M115", "M155 S1"]
    held = printer.holds()
    assert (held["z"], held["sd.progress"], held["fan0.rpm"]) == ("3.00", 25.0, "6000")
    assert held["state"] == "printing"
    (firmware,) = (word for word in printer.words if isinstance(word, Happening))
    assert firmware.details == {"name": "Marlin 2", "uuid": "abc"}


def test_a_printer_that_reports_by_itself_is_asked_only_where_it_does_not() -> None:
    printer = Printer(**MARLIN)
    for second in range(10):
        printer.says(REPORT, now_ms=1000 * second)
        printer.lives(1)
    assert "M105" not in printer.sent


def test_what_a_printer_does_not_answer_it_is_not_asked_again() -> None:
    unknown = 'echo:Unknown command: "M123"|ok'
    printer = Printer(**(MARLIN | {"M123": unknown, "M27": "ok"}))
    printer.lives(5 * ASK_EVERY_MS)
    assert (printer.sent.count("M123"), printer.sent.count("M27")) == (1, 3)
    assert printer.sent.count("M114") == 5
    assert printer.holds()["state"] == "idle"


def test_a_query_without_an_answer_is_given_up_and_busy_gives_it_time() -> None:
    talk = Talk(report_ms=1000)
    assert talk.next_line(0) == "M115"
    assert talk.next_line(ANSWER_MS - 1) is None
    talk.take("echo:busy: processing", ANSWER_MS - 1, 0)
    assert talk.next_line(2 * ANSWER_MS - 2) is None
    assert talk.next_line(2 * ANSWER_MS) == "M115"


def test_a_halt_is_an_error_until_the_printer_starts_anew() -> None:
    printer = Printer(**MARLIN)
    printer.says("Error:MAXTEMP triggered, system stopped! Heater_ID: 0", "Error:Printer halted.")
    assert printer.holds()["state"] == "halted"
    printer.says("start", REPORT)
    assert printer.holds()["state"] == "unknown"
    printer.says("Not SD printing", REPORT)
    assert printer.holds()["state"] == "idle"
    codes = [word.code for word in printer.words if isinstance(word, Happening)]
    assert codes == ["thermistor_out_of_range", "firmware_halted", "printer_reset"]


def test_filament_that_runs_out_is_told() -> None:
    printer = Printer()
    printer.says("//action:out_of_filament T0", "//action:notification out_of_filament")
    assert [word.code for word in printer.words if isinstance(word, Happening)] == [
        "filament_runout"
    ]


def test_a_print_that_was_paused_stays_so_until_it_goes_on() -> None:
    printer = Printer()
    printer.says("SD printing byte 5/10", "//action:paused", "SD printing byte 5/10")
    assert printer.holds()["state"] == "paused"
    printer.says("Not SD printing")
    assert printer.holds()["state"] == "paused"
    printer.says("//action:resumed", "SD printing byte 6/10")
    assert printer.holds()["state"] == "printing"


def test_how_far_a_print_is_counts_once_its_size_was_told_twice() -> None:
    printer = Printer()
    printer.says("SD printing byte 9/12")
    assert printer.holds()["sd.progress"] is None
    printer.says("SD printing byte 9/1200", "SD printing byte 12/1200")
    assert printer.holds()["sd.progress"] == 1.0
    printer.says("SD printing byte 24/12")
    assert printer.holds()["sd.progress"] is None


def test_an_order_goes_first_and_who_gave_it_hears_the_answer() -> None:
    talk = Talk(report_ms=1000)
    answers: list = []
    talk.order(Order(line="M25", answered=answers.append))
    assert talk.next_line(0) == "M25"
    talk.take("ok", 10, 0)
    talk.order(Order(line="M24", answered=answers.append))
    talk.lost()
    assert answers == [("ok",), None]


@given(st.lists(st.text(max_size=80) | st.sampled_from(["ok", "start", REPORT, "wait"])))
def test_whatever_it_says_the_talk_goes_on(lines: list[str]) -> None:
    printer = Printer(**MARLIN)
    printer.says(*lines)
    printer.lives(3000)
    assert set(printer.sent) <= QUERIES
