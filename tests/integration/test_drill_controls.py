"""A drill that cannot fail proves nothing: without its guard, each of these must find a loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from foremend.db import connect
from stack.drill.ground import Programs, ThrowAway
from stack.drill.run import Course, rehearse
from stack.drill.scenarios import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack.drill.run import Report

CONTROLS = str(Path(__file__).parents[1] / "drill_controls.py")
EARLY = Programs(ingest=(CONTROLS, "early-ingest"))
HASTY = Programs(devices=(CONTROLS, "hasty-devices"))
NO_RECEIPTS = """
DROP INDEX frame_identity;
ALTER TABLE event DROP CONSTRAINT event_pkey;
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.got := '{}'; RETURN NEW; END $$;
CREATE TRIGGER forget BEFORE INSERT OR UPDATE ON receipt
    FOR EACH ROW EXECUTE FUNCTION forget();
"""
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Iterator[ThrowAway]:
    """Servers with the real ingest."""
    with ThrowAway(tmp_path_factory.mktemp("drill"), devices=2) as ground:
        yield ground


@pytest.fixture(scope="module")
def early_ground(tmp_path_factory) -> Iterator[ThrowAway]:
    """Servers with an ingest that acknowledges before it commits."""
    with ThrowAway(tmp_path_factory.mktemp("drill"), devices=2, programs=EARLY) as ground:
        yield ground


def drilled(ground: ThrowAway, name: str) -> Report:
    scenario = BY_NAME[name]
    habits = replace(scenario.habits, rate_hz=40.0, first_resend_s=0.5)
    hurried = replace(scenario, habits=habits, hold_s=(0.6, 0.8))
    # What is crippled need not recover.
    return rehearse(hurried, ground, Course(loops=1, before_s=(0.4, 0.5), patience_s=8))


@pytest.mark.parametrize("name", ["kill-ingest", "kill-database"])
def test_an_acknowledgement_before_the_commit_is_found_out(
    name: str, early_ground: ThrowAway
) -> None:
    report = drilled(early_ground, name)

    assert report.verdict.lost > 0
    assert not report.passed


def test_an_agent_that_trusts_the_broker_is_found_out(ground: ThrowAway) -> None:
    ground.programs = HASTY
    report = drilled(ground, "broker-wiped")

    assert report.verdict.lost > 0
    assert not report.passed


def test_a_store_without_receipts_is_found_out(ground: ThrowAway) -> None:
    ground.programs = Programs()
    with connect(ground.owner_url, name="test") as owner:
        owner.execute(NO_RECEIPTS.encode())
    report = drilled(ground, "shuffled")

    assert report.verdict.duplicates > 0
    assert report.verdict.lost == 0
    assert not report.passed
