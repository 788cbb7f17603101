"""A short year of few devices: sums that agree, and the same seed giving the same figures."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from typer.testing import CliRunner

from foremend.errors import ConfigurationError
from stack.cli import app
from stack.year.run import POLICIES, Part, lived, parts_of, report, run
from stack.year.table import tables
from stack.year.terms import Terms

SMALL = Terms(
    devices=12, days=14.0, window_min=60, ageing=1.0, pilot_devices=12, pilot_days=36.0, seed=3
)
"""A hurried world of few devices, with a pilot of as many."""
LOOP = Part("foremend", "rotating_machine")
WAIT = Part("run_to_failure", "rotating_machine")


def lived_again(part: Part, terms: Terms = SMALL) -> str:
    outcome = lived(terms, part, lambda share: None)
    told = report(terms, {part: outcome})
    return json.dumps([told[part.policy], told["quarters"], told["lessons"]])


@cache
def heard() -> list[dict[Part, float]]:
    return []


@cache
def figures() -> dict[str, Any]:
    return run(SMALL, news=heard().append)


@cache
def first() -> str:
    return lived_again(LOOP)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_failure_was_foreseen_or_missed(policy) -> None:
    told = figures()[policy]
    assert told["failures"] > 0
    assert told["foreseen"] + told["missed"] == told["failures"]


def test_who_waits_for_failures_foresees_none_and_sends_nobody_in_vain() -> None:
    told = figures()["run_to_failure"]
    assert (told["foreseen"], told["false_orders"]) == (0, 0)


def test_the_whole_system_foresees_some_and_is_down_less_than_if_it_did_not() -> None:
    told = figures()
    assert told["foremend"]["foreseen"] > 0
    assert told["foremend"]["downtime_h"] < told["run_to_failure"]["downtime_h"]


def test_the_same_seed_gives_the_same_figures() -> None:
    assert lived_again(LOOP) == first()


def test_another_seed_gives_other_figures() -> None:
    assert lived_again(WAIT) != lived_again(WAIT, replace(SMALL, seed=4))


def test_each_part_tells_how_far_it_has_come_and_that_it_is_over() -> None:
    figures()
    for part in parts_of(SMALL):
        shares = [told[part] for told in heard() if part in told]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_a_year_has_each_policy_over_each_family_there_is() -> None:
    assert len(parts_of(SMALL)) == 6
    assert {part.family for part in parts_of(Terms(devices=1))} == {"fdm_printer"}


def test_figures_can_be_told_to_programs_and_to_people() -> None:
    told = figures()
    assert json.loads(json.dumps(told))["quarters"] == told["quarters"]
    assert len(told["quarters"]) == 4
    policies, quarters = tables(told)
    assert (policies.row_count, quarters.row_count) == (3, 4)


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
