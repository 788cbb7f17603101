"""Each drill, in small: nothing that was kept or acknowledged is lost, and nothing is stored twice.

`foremend drill` runs the same with longer faults and more of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stack.drill.ground import Kind, ThrowAway
from stack.drill.run import Course, rehearse
from stack.drill.scenarios import BY_NAME, SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

COURSE = Course(loops=2, before_s=(0.1, 0.4), patience_s=60.0)
LOOPS = {"link-down": 3} | dict.fromkeys(
    (
        "kill-database",
        "kill-scoring",
        "kill-api",
        "kill-all",
        "flapping",
        "database-full",
        "kill-worker",
        "outbox-full",
    ),
    1,
)
HERE = [one.name for one in SCENARIOS if one.ground is Kind.PLAIN]
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Iterator[ThrowAway]:
    with ThrowAway(tmp_path_factory.mktemp("drill"), devices=2) as ground:
        yield ground


def hurried(scenario: Scenario) -> Scenario:
    """The same fault for a moment only, and devices that do not wait half a minute to resend."""
    low, high = scenario.hold_s
    habits = replace(scenario.habits, first_resend_s=0.5)
    return replace(
        scenario, hold_s=(min(low, 0.4), min(high, 0.8)), habits=habits, flows_within_s=60.0
    )


@pytest.mark.parametrize("name", HERE)
def test_nothing_is_lost_and_nothing_doubled(name: str, ground: ThrowAway) -> None:
    assert_harmless(name, ground)


@pytest.mark.parametrize("name", ["database-full", "kill-worker"])
def test_nothing_is_lost_where_it_takes_servers_of_its_own(name: str, tmp_path) -> None:
    kind = BY_NAME[name].ground
    with ThrowAway(tmp_path, devices=2, kind=kind) as ground:
        assert_harmless(name, ground)


def assert_harmless(name: str, ground: ThrowAway) -> None:
    loops = LOOPS.get(name, COURSE.loops)
    report = rehearse(hurried(BY_NAME[name]), ground, replace(COURSE, loops=loops))

    assert report.complaints == ()
    assert (report.verdict.lost, report.verdict.duplicates, report.verdict.altered) == (0, 0, 0)
    assert report.verdict.stored >= report.verdict.acked > 0
    assert len(report.recovery_s) == loops
