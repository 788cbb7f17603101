"""The API and the console tell of models: lineage, trials, and what is proposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from foremend.db import EVERY_TENANT, connect, transaction
from tests.api_fleet import HOUR, START, TIMELINE, seed
from tests.api_server import Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator

SHADOW = "5ead00000000"


def put_trial(url: str) -> None:
    """Let a challenger be tried on the seeded printers, and propose to learn the machines anew."""
    meta = {
        "parent": "seed00000001",
        "labels": {"failed": 31, "degraded": 12, "censored": 0, "unplaced": 0},
        "source": {"timeline": TIMELINE, "devices": 12},
        "metrics": {},
    }
    with connect(url, name="test") as link, transaction(link, tenant=EVERY_TENANT):
        link.execute(
            "INSERT INTO model_version (version, kind, cohort, stage, sha256, artefact, kid,"
            " signature, meta) VALUES (%s, 'failure', 'fdm_printer', 'shadow', %s, '', 'local-1',"
            " '', %s)",
            (SHADOW, SHADOW * 5, Jsonb(meta)),
        )
        link.execute(
            "INSERT INTO shadow_trial (version, cohort) VALUES (%s, 'fdm_printer')", (SHADOW,)
        )
        link.execute(
            "INSERT INTO shadow_seen SELECT %s, id, tenant, %s, %s FROM device"
            " WHERE family = 'fdm_printer'",
            (SHADOW, START, START + 60 * HOUR),
        )
        link.execute(
            "INSERT INTO retrain_proposal (tenant, timeline, cohort, kind, reason, version,"
            " drifted_at, before, now, devices) SELECT tenant, timeline, 'rotating_machine',"
            " 'score_tail', 'mean_rose', 'seed00000002', %s, 0.42, 0.93, 4 FROM device"
            " WHERE family = 'rotating_machine' LIMIT 1",
            (START + 40 * HOUR,),
        )


@pytest.fixture(scope="module")
def site(new_migrated: Any) -> Iterator[Site]:
    url = new_migrated().app
    seed(url, step_s=3600).connection.close()
    put_trial(url)
    with running(url) as console:
        yield console


def test_a_challenger_is_told_with_its_trial(site: Site) -> None:
    with site.program("engineer") as engineer:
        models = engineer.get("/models").json()
    trial = {m["version"]: m["trial"] for m in models}
    assert trial["seed00000001"] is None
    told = trial[SHADOW]
    assert told["shadow"]["device_weeks"] == told["in_force"]["device_weeks"]
    assert told["shadow"]["device_weeks"] == pytest.approx(12 * 60 / 168)
    assert told["shadow"]["orders"] == 0
    assert told["ended_at"] is None


def test_proposals_are_told_to_those_who_may_read_models(site: Site) -> None:
    with site.program("engineer") as engineer:
        (proposal,) = engineer.get("/models/proposals").json()
    assert (proposal["cohort"], proposal["kind"]) == ("rotating_machine", "score_tail")
    with site.program("technician") as technician:
        assert technician.get("/models/proposals").status_code == 403


def test_the_page_shows_lineage_trial_and_proposal(site: Site) -> None:
    person = site.browser()
    person.sign_in("admin", site.password)
    page = person.get("/models").text
    for part in (
        "Learning anew is proposed",
        "from 0.42 to 0.93",
        "foremend train --family rotating_machine",
        "31 failed, 12 degraded",
        "On trial",
        "would-be orders",
        "failures foreseen",
    ):
        assert part in page
