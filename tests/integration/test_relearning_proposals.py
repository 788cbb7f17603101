"""Drift of a family is noticed, proposed once, shown to people, and never acted on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from models import proposals, registry, signing
from models.scoring.shadowing import LOOK_S, DriftLook
from stack.cli import app
from stack.training import admit
from tests.scoring_log import HOUR, START
from tests.taught_fleet import TENANT, TIMELINE, birth_of_fleet, put_finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOURS, DRIFTS_AT = 300, 200


class Site:
    """A family in use, whose scores are given and not scored."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.connection: Connection = connect(url, name="test")
        self.key = signing.local_key(folder / "keys", folder / "keys" / "trusted")
        birth_of_fleet(self.connection, 8)
        self.first = self.learn(b"first")

    def learn(self, artefact: bytes, **source: Any) -> registry.Record:
        meta = {"source": source} | ({"known_by_ms": START} if source else {})
        record = registry.seal(artefact, kind="failure", cohort="toy", meta=meta, key=self.key)
        admit(self.connection, record)
        return record

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with transaction(self.connection, tenant=EVERY_TENANT):
            cursor = self.connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def score(self, *, rise: float, devices: int = 8, since_h: int = 0) -> None:
        """Let so many devices score higher from an hour on."""
        rng = np.random.default_rng(3)
        told = rng.exponential(0.43, (HOURS, 8, 30)).mean(axis=2)
        told[DRIFTS_AT:, :devices] += rise
        ids = [number for (number,) in self.rows("SELECT id FROM device ORDER BY id")]
        with transaction(self.connection, tenant=EVERY_TENANT):
            self.connection.cursor().executemany(
                "INSERT INTO health VALUES (%s, %s, %s, false, NULL, 0)",
                [
                    (device, to_datetime(START + (since_h + hour) * HOUR), float(told[hour, i]))
                    for hour in range(HOURS)
                    for i, device in enumerate(ids)
                ],
            )
        last = to_datetime(START + (since_h + HOURS) * HOUR)
        self.rows("UPDATE device SET last_frame_at = %s", last)

    def find(self, count: int, *, foreseen_until: int) -> None:
        """Let a part be found failed every day; up to one of them a prediction had stood before."""
        ids = [number for (number,) in self.rows("SELECT id FROM device ORDER BY id")]
        for number in range(1, count + 1):
            device, at = ids[number % 8], START + number * 24 * HOUR
            with transaction(self.connection, tenant=EVERY_TENANT):
                put_finding(
                    self.connection, number=number, device=device, component="fan", at_ms=at,
                    known_ms=at + HOUR,
                )  # fmt: skip
            if number <= foreseen_until:
                self.rows(
                    "INSERT INTO prediction (device_id, tenant, timeline, component, failure_mode,"
                    " ts, above, probability, threshold, horizon_h, reasons, model_version)"
                    " VALUES (%s, %s, %s, 'fan', 'fan_wear', %s, true, 0.9, 0.5, 24, '[]', %s)",
                    device, TENANT, TIMELINE, to_datetime(at - 9 * HOUR), self.first.version,
                )  # fmt: skip

    def run(self, *words: str) -> Any:
        environment = {
            "FOREMEND_DATABASE_URL": self.url,
            "FOREMEND_DATA_DIR": str(self.folder),
            "FOREMEND_TENANT": TENANT,
        }
        return CliRunner().invoke(app, ["models", *words], env=environment)


@pytest.fixture
def site(migrated_urls, tmp_path: Path) -> Iterator[Site]:
    made = Site(migrated_urls.app, tmp_path)
    with made.connection:
        yield made


def test_a_family_that_scores_higher_is_proposed_for_learning_anew_once(site: Site) -> None:
    site.score(rise=0.5)
    assert [sign.kind.value for sign in proposals.look(site.connection)] == ["score_tail"]
    assert proposals.look(site.connection) == []
    (open_one,) = proposals.listed(site.connection)
    assert (open_one.tenant, open_one.timeline, open_one.cohort) == (TENANT, TIMELINE, "toy")
    assert open_one.version == site.first.version
    drifted_h = (open_one.drifted_at.timestamp() * 1000 - START) / HOUR
    assert DRIFTS_AT <= drifted_h < DRIFTS_AT + 48


@pytest.mark.parametrize(("rise", "devices"), [(0.0, 8), (5.0, 3)])
def test_no_drift_and_a_few_devices_drift_propose_nothing(site: Site, rise, devices) -> None:
    site.score(rise=rise, devices=devices)
    assert proposals.look(site.connection) == []


def test_failures_that_nobody_foresaw_propose_it_too(site: Site) -> None:
    site.find(60, foreseen_until=45)
    assert [sign.kind.value for sign in proposals.look(site.connection)] == ["residual"]


def test_failures_that_were_foreseen_do_not(site: Site) -> None:
    site.find(60, foreseen_until=60)
    assert proposals.look(site.connection) == []


def test_it_is_shown_and_nothing_is_learnt_behind_anybodys_back(site: Site) -> None:
    site.score(rise=0.5)
    before = site.rows("SELECT version, stage FROM model_version")
    proposals.look(site.connection)
    assert site.rows("SELECT version, stage FROM model_version") == before
    shown = site.run("list").output
    assert f"proposed: toy on {TIMELINE} drifted by" in shown
    assert "foremend train --family toy" in shown


def test_learning_settles_it_and_the_same_drift_is_not_proposed_again(site: Site) -> None:
    site.score(rise=0.5)
    proposals.look(site.connection)
    second = site.learn(b"second")
    assert proposals.listed(site.connection) == []
    assert site.rows("SELECT settled_by FROM retrain_proposal") == [(second.version,)]
    assert proposals.look(site.connection) == []


def test_it_can_be_declined_and_a_later_drift_is_proposed_again(site: Site) -> None:
    site.score(rise=0.5)
    proposals.look(site.connection)
    done = site.run("decline", "toy", "--why", "a new supplier, we know")
    assert done.exit_code == 0, done.output
    assert proposals.look(site.connection) == []
    site.score(rise=1.5, since_h=HOURS)
    assert len(proposals.look(site.connection)) == 1


def test_what_was_before_the_training_of_the_model_in_force_is_its_own_past(site: Site) -> None:
    site.score(rise=0.5)
    until = START + (DRIFTS_AT + 60) * HOUR
    site.rows(
        "UPDATE model_version SET meta = %s::jsonb",
        f'{{"source": {{"timeline": "{TIMELINE}"}}, "known_by_ms": {until}}}',
    )
    assert proposals.look(site.connection) == []


def test_a_look_comes_round_after_its_time(site: Site) -> None:
    site.score(rise=0.5)
    now = iter([0.0, 0.0, LOOK_S / 2, LOOK_S + 1, LOOK_S + 1])
    look = DriftLook(site.connection, clock=lambda: next(now))
    look.turn()
    site.rows("DELETE FROM retrain_proposal")
    look.turn()
    assert proposals.listed(site.connection) == []
    look.turn()
    assert len(proposals.listed(site.connection)) == 1
