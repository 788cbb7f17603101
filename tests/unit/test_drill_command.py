"""What `foremend drill` tells people and programs, and with which status it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from foremend.errors import ConfigurationError
from stack.commands.drill import for_people, in_json, soaked, table
from stack.drill.programme import Skipped, chosen
from stack.drill.run import Report, wrong_with
from stack.drill.scenarios import BY_NAME, SCENARIOS
from stack.drill.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

FIGURES = {
    "generated": 90,
    "acked": 80,
    "stored": 85,
    "lost": 0,
    "altered": 0,
    "duplicates": 0,
    "unkept": 0,
    "gaps_recorded": 2,
}
PROMISED = (
    "scenario",
    "loops",
    "acked",
    "stored",
    "lost",
    "duplicates",
    "gaps_recorded",
    "recovery_s_p50",
    "recovery_s_max",
    "rss_growth_mb",
    "passed",
)


def verdict(**changed: int) -> Verdict:
    return Verdict(**(FIGURES | changed))


def report(*complaints: str) -> Report:
    return Report(
        scenario="kill-ingest",
        loops=3,
        verdict=verdict(),
        recovery_s=(0.5, 2.25, 1.0),
        flowing_s=(0.4, 2.0, 0.9),
        rss_growth_mb=1.04,
        complaints=complaints,
    )


def test_each_scenario_is_one_line_with_the_promised_fields(capsys) -> None:
    assert in_json([report(), Skipped(scenario="database-full", reason="no tmpfs")])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())

    assert tuple(first)[: len(PROMISED)] == PROMISED
    assert (first["recovery_s_p50"], first["recovery_s_max"]) == (1.0, 2.25)
    assert (second["scenario"], second["passed"]) == ("database-full", None)


@pytest.mark.parametrize("show", [in_json, for_people])
def test_one_failure_fails_the_whole_and_is_told_like_the_rest(show, capsys) -> None:
    assert not show([report("3 readings were lost without a recorded gap"), report()])
    assert "3 readings were lost" in "".join(capsys.readouterr())


def test_the_table_fits_a_terminal() -> None:
    found = [report("x").figures(), Skipped(scenario="database-full", reason="y").figures()]
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table(found))

    assert "…" not in captured.get()
    assert "1.0 / 2.2" in captured.get()
    assert "FAILED" in captured.get()
    assert "not run" in captured.get()


@pytest.mark.parametrize("field", ["lost", "altered", "duplicates", "unkept"])
def test_each_of_these_alone_fails_a_scenario(field: str) -> None:
    assert wrong_with(verdict(), BY_NAME["kill-ingest"]) == []
    assert len(wrong_with(verdict(**{field: 1}), BY_NAME["kill-ingest"])) == 1


def test_what_an_agent_had_in_memory_when_it_was_killed_is_excused() -> None:
    assert wrong_with(verdict(unkept=5), BY_NAME["kill-agent"]) == []


def test_a_drill_in_which_nothing_was_acknowledged_proves_nothing() -> None:
    assert wrong_with(verdict(acked=0), BY_NAME["kill-agent"]) != []


def test_scenarios_are_chosen_by_name_and_all_means_all() -> None:
    assert chosen(["all"]) == SCENARIOS
    assert [one.name for one in chosen(["shuffled", "kill-all"])] == ["shuffled", "kill-all"]
    with pytest.raises(ConfigurationError, match="no scenario 'nope'; there are all, kill-"):
        chosen(["nope"])


def test_a_soak_without_octoprint_says_how_to_get_it(tmp_path: Path, capsys) -> None:
    nowhere = tmp_path / "octoprint"
    assert in_json(soaked(1.0, 1, nowhere, lambda _line: None))
    told = json.loads(capsys.readouterr().out)
    assert (told["scenario"], told["passed"]) == ("soak-octoprint", None)
    assert "pip install OctoPrint" in told["skipped"]
