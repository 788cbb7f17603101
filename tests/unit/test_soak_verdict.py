"""A soak that cannot fail proves nothing: each thing that may go wrong is found out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from foremend.values import SOURCE_BACK as BACK
from foremend.values import SOURCE_LOST as LOST
from stack.commands.drill import for_people, in_json
from stack.soak.report import Report, wrong_with
from stack.soak.run import gcode
from stack.soak.verdict import Entry, Found, Pulled, Row, Verdict, judge

AT = 1_700_000_000_000
TOLD = [Entry(at_ms=AT + 1000 * n, values=(200.0 + n, 200.0, 60.0, 60.0)) for n in range(60)]
ROWS = tuple(
    Row(boot="b", seq=n, ts_ms=AT + 1000 * n + 300, values=(200.0 + n, 200.0, 60.0, None, 7.0))
    for n in range(60)
)
ACKED = {("b", row.seq): (row,) for row in ROWS}
PULLED = Pulled(began_ms=AT + 10_000, ended_ms=AT + 20_000, noticed=True)
TOLD_OF = ((LOST, AT + 10_050), (BACK, AT + 21_000))


def verdict(rows: tuple[Row, ...] = ROWS, happened: tuple = TOLD_OF) -> Verdict:
    found = Found(rows=rows, happened=happened)
    return judge(found, ACKED, TOLD, [PULLED], stale_after_ms=10_000)


def test_what_is_stored_as_it_was_told_passes() -> None:
    found = verdict()
    assert (found.frames, found.acked, found.reconnects) == (60, 60, 1)
    assert wrong_with(found, 1.0) == []


def test_an_acknowledged_frame_that_is_missing_is_lost_and_so_is_one_with_other_values() -> None:
    assert verdict(ROWS[:-1]).lost == 1
    assert (
        verdict((*ROWS[:-1], replace(ROWS[-1], values=(259.0, 200.0, 60.0, 60.0, 7.0)))).lost == 1
    )


@pytest.mark.parametrize("value", [123.0, 200.0 + 45, 0.0])
def test_a_value_that_was_not_told_at_that_time_is_invented(value: float) -> None:
    false = replace(ROWS[20], values=(value, *ROWS[20].values[1:]))
    assert verdict((*ROWS[:20], false, *ROWS[21:])).invented == 1


def test_a_value_that_is_believed_for_too_long_is_invented() -> None:
    late = replace(ROWS[20], ts_ms=AT + 20_000 + 13_000)
    assert verdict((*ROWS[:20], late, *ROWS[21:])).invented == 1


def test_a_frame_that_stands_twice_is_a_duplicate() -> None:
    assert verdict((*ROWS, replace(ROWS[3], seq=99))).duplicates == 1


def test_a_pulled_cable_must_be_told_of() -> None:
    assert verdict(happened=((LOST, AT + 40_000),)).untold == 1
    assert wrong_with(verdict(happened=()), 0.0) == ["1 pulled cables were not told of"]


def test_an_agent_that_grows_fails() -> None:
    assert wrong_with(verdict(), 20.0) == ["the agent grew by 20 MiB"]


def test_a_print_lasts_as_long_as_it_is_to() -> None:
    assert gcode(80.0).count("G4 P2000") * 2.0 >= 80.0


def test_a_report_has_the_fields_of_every_scenario_and_its_own(capsys) -> None:
    report = Report(
        verdict=verdict(),
        pulled={"cut": 1},
        recovery_s=(1.0, 2.5),
        rss_mb=43.04,
        rss_growth_mb=0.41,
        complaints=(),
    )
    assert in_json([report])
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["reconnects"], told["invented"]) == (60, 1, 0)
    assert (told["recovery_s_max"], told["rss_growth_mb"], told["passed"]) == (2.5, 0.4, True)
    assert for_people([report])
    assert "soak-octoprint" in capsys.readouterr().out
    assert not for_people([replace(report, complaints=("it broke",))])
