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


def drilled(folder: Path, name: str, programs: Programs, *, spoil: str = "") -> Report:
    scenario = BY_NAME[name]
    habits = replace(scenario.habits, rate_hz=40.0, first_resend_s=0.5)
    with ThrowAway(folder, devices=2, programs=programs) as ground:
        if spoil:
            with connect(ground.owner_url, name="test") as owner:
                owner.execute(spoil.encode())
        scenario = replace(scenario, habits=habits, hold_s=(0.6, 0.8))
        return rehearse(scenario, ground, Course(loops=1, patience_s=20))


@pytest.mark.parametrize("name", ["kill-ingest", "kill-database"])
def test_an_acknowledgement_before_the_commit_is_found_out(name: str, tmp_path: Path) -> None:
    report = drilled(tmp_path, name, EARLY)

    assert report.verdict.lost > 0
    assert not report.passed


def test_an_agent_that_trusts_the_broker_is_found_out(tmp_path: Path) -> None:
    report = drilled(tmp_path, "broker-wiped", HASTY)

    assert report.verdict.lost > 0
    assert not report.passed


def test_a_store_without_receipts_is_found_out(tmp_path: Path) -> None:
    report = drilled(tmp_path, "shuffled", Programs(), spoil=NO_RECEIPTS)

    assert report.verdict.duplicates > 0
    assert report.verdict.lost == 0
    assert not report.passed
