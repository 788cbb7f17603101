"""A short year of few devices: sums that agree, and the same seed giving the same figures."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from foremend.errors import ConfigurationError
from stack.cli import app
from stack.year.run import POLICIES, Outcome, Part, live, lived, parts_of, report
from stack.year.table import tables
from stack.year.terms import Terms

SMALL = Terms(
    devices=12, days=14.0, window_min=60, ageing=1.0, pilot_devices=12, pilot_days=36.0, seed=3
)
"""A hurried world of few devices, with a pilot of as many."""
LOOP = Part("foremend", "rotating_machine")
WAIT = Part("run_to_failure", "rotating_machine")


def told(part: Part, outcome: Outcome) -> str:
    figures = report(SMALL, {part: outcome})
    return json.dumps([figures[part.policy], figures["quarters"], figures["lessons"]])


@cache
def heard() -> list[dict[Part, float]]:
    return []


@cache
def outcomes() -> dict[Part, Outcome]:
    return live(SMALL, jobs=1, news=heard().append)


@cache
def figures() -> dict[str, Any]:
    return report(SMALL, outcomes())


@pytest.mark.parametrize("policy", POLICIES)
def test_every_failure_was_foreseen_or_missed(policy) -> None:
    mine = figures()[policy]
    assert mine["failures"] > 0
    assert mine["foreseen"] + mine["missed"] == mine["failures"]


def test_who_waits_for_failures_foresees_none_and_sends_nobody_in_vain() -> None:
    mine = figures()["run_to_failure"]
    assert (mine["foreseen"], mine["false_orders"]) == (0, 0)


def test_the_whole_system_foresees_some_and_is_down_less_than_if_it_did_not() -> None:
    whole, without = figures()["foremend"], figures()["run_to_failure"]
    assert whole["foreseen"] > 0
    assert whole["downtime_h"] < without["downtime_h"]


def test_the_same_seed_gives_the_same_figures() -> None:
    again = lived(SMALL, LOOP, lambda share: None)
    assert told(LOOP, again) == told(LOOP, outcomes()[LOOP])


def test_another_seed_gives_other_figures() -> None:
    other = lived(replace(SMALL, seed=4), WAIT, lambda share: None)
    assert told(WAIT, other) != told(WAIT, outcomes()[WAIT])


def test_each_part_tells_how_far_it_has_come_and_that_it_is_over() -> None:
    for part in outcomes():
        shares = [news[part] for news in heard() if part in news]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_a_year_has_each_policy_over_each_family_there_is() -> None:
    assert len(parts_of(SMALL)) == 6
    assert {part.family for part in parts_of(Terms(devices=1))} == {"fdm_printer"}


def test_figures_can_be_told_to_programs_and_to_people() -> None:
    mine = figures()
    assert json.loads(json.dumps(mine)) == mine
    assert len(mine["quarters"]) == 4
    policies, quarters = tables(mine)
    assert (policies.row_count, quarters.row_count) == (3, 4)


def test_a_year_of_large_figures_fits_a_terminal_of_eighty_columns() -> None:
    row = dict(
        zip(figures()["foremend"], (1020, 944, 76, 224, 71.2, 19122.1, 737415.2), strict=True)
    )
    large = figures() | dict.fromkeys(("foremend", "run_to_failure", "calendar"), row)
    console = Console(width=80, file=StringIO(), record=True)

    console.print(*tables(large))

    told = console.export_text()
    assert "737,415" in told
    assert "…" not in told


def test_a_window_must_divide_the_time_between_two_judgements() -> None:
    refused = CliRunner().invoke(app, ["simulate", "year", "--window", "25"])
    assert refused.exit_code == 2
    assert "240 minutes" in refused.output


def test_simulate_by_itself_is_the_fleet_process_as_before(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FOREMEND_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("FOREMEND_CREW_TOKEN", raising=False)
    asked = CliRunner().invoke(app, ["simulate", "--scale", "60"])
    assert isinstance(asked.exception, ConfigurationError)
    assert "FOREMEND_CREW_TOKEN" in str(asked.exception)
