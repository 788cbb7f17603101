"""The Marlin emulator answers as the firmware does."""

from __future__ import annotations

from functools import reduce
from operator import xor

import pytest

from simulators.emulators.marlin import Marlin, Told
from simulators.emulators.printer_body import PrinterBody
from tests.peers.marlin import ScriptedBody

TOLD = Told(hotend=21.3, hotend_power=0.5, bed=22.0, bed_target=60.0, fan_rpm=6000)


def numbered(number: int, code: str) -> str:
    line = f"N{number} {code}"
    return f"{line}*{reduce(xor, line.encode(), 0)}"


@pytest.fixture
def marlin() -> Marlin:
    return Marlin(ScriptedBody(TOLD))


def said(marlin: Marlin, line: str, now_s: float = 0.0) -> list[str]:
    return marlin.receive(line, now_s=now_s)


def test_temperatures_are_told_with_powers_as_pwm(marlin: Marlin) -> None:
    assert said(marlin, "M105") == ["ok T:21.30 /0.00 B:22.00 /60.00 @:64 B@:0"]


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


def test_what_goes_wrong_halts_it_for_good(marlin: Marlin) -> None:
    marlin.body.wrong = ("MAXTEMP triggered",)
    told = marlin.beat(now_s=0.0)
    assert told == ["Error:MAXTEMP triggered", "Error:Printer halted. kill() called!"]
    assert said(marlin, "M105") == []


def test_it_knows_where_it_is_and_what_it_does_not_know(marlin: Marlin) -> None:
    said(marlin, "G1 X10 Y5.5 F600")
    assert said(marlin, "M114")[0].startswith("X:10.00 Y:5.50 Z:0.00 E:0.00 Count X:800")
    assert said(marlin, "M999") == ['echo:Unknown command: "M999"', "ok"]


def test_a_simulated_printer_prints_is_paused_and_is_ended() -> None:
    now = [0.0]
    body = PrinterBody(lambda: now[0], seed=10)
    body.until_it_prints()
    body.tell()
    now[0] = 60.0
    printing = body.tell()
    assert printing.printed
    assert printing.hotend_target > 150
    body.pause()
    now[0] = 120.0
    assert body.tell().printed is None
    body.resume()
    now[0] = 121.0
    assert body.tell().printed
    body.cancel()
    ended = body.tell()
    while ended.hotend_target and now[0] < 1000:
        now[0] += 1.0
        ended = body.tell()
    assert ended.printed is None
    assert ended.hotend_target == 0.0
