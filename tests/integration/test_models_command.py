"""`foremend models`: what is in force changes by a gate or by a person who says why, and shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from models import registry, signing
from models.registry import PostgresShelf, Record
from stack.cli import app
from stack.training import admit
from tests.scoring_log import HOUR, START, models
from tests.taught_fleet import TENANT, put_findings, put_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

HELD_OUT = {
    "precision": {"value": 0.9, "hits": 9, "total": 10, "low": 0.6, "high": 0.98},
    "event_recall": {"value": 0.8, "hits": 8, "total": 10, "low": 0.5, "high": 0.94},
    "median_lead_h": 14.0,
    "false_per_100_machine_weeks": 2.0,
    "failures": 10,
}


@dataclass
class Registry:
    """A database, its models and the command line on it."""

    url: str
    folder: Path
    connection: Connection
    one: Record
    two: Record

    def run(self, *words: str) -> Result:
        environment = {
            "FOREMEND_DATABASE_URL": self.url,
            "FOREMEND_DATA_DIR": str(self.folder),
            "FOREMEND_TENANT": TENANT,
        }
        return CliRunner().invoke(app, ["models", *words], env=environment)

    def told(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.output.splitlines()[-1])

    def stages(self) -> dict[str, str]:
        return {m["version"]: m["stage"] for m in self.told("list")}

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with transaction(self.connection, tenant=EVERY_TENANT):
            cursor = self.connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def site(migrated_urls, tmp_path: Path) -> Iterator[Registry]:
    """Give a fleet whose parts were found bad, a model in force and a challenger."""
    key = signing.local_key(tmp_path / "keys", tmp_path / "keys" / "trusted")

    def sealed(name: str) -> Record:
        meta = {"metrics": {"later_slices": HELD_OUT}, "failures": {"fan": 5, "belt": 5}}
        artefact = models().failure_model(name).dumps()
        return registry.seal(artefact, kind="failure", cohort="toy", meta=meta, key=key)

    with connect(migrated_urls.app, name="test") as connection:
        put_findings(connection, put_fleet(connection))
        one, two = sealed("v1"), sealed("v2")
        assert admit(connection, one).in_force
        assert not admit(connection, two).in_force
        yield Registry(migrated_urls.app, tmp_path, connection, one, two)


def let_both_speak(site: Registry, *, shadow_ahead_h: float, false: int = 0) -> None:
    """Let the model in force foresee each finding 12 h ahead, and its challenger so far ahead."""
    until = to_datetime(START + 84 * HOUR)
    site.rows(
        "INSERT INTO shadow_seen SELECT %s, id, tenant, %s, %s FROM device",
        site.two.version, to_datetime(START), until,
    )  # fmt: skip
    common = "device_id, tenant, timeline, component, failure_mode, ts, above, probability,"
    ahead = "occurred_at - make_interval(hours => %s)"
    site.rows(
        f"INSERT INTO prediction ({common} threshold, horizon_h, reasons, model_version)"
        f" SELECT device_id, tenant, timeline, component, failure_mode, {ahead}, true, 0.9, 0.5,"
        " 24, %s, %s FROM finding",
        12, Jsonb([]), site.one.version,
    )  # fmt: skip
    site.rows(
        f"INSERT INTO shadow_prediction (version, {common} threshold, horizon_h)"
        f" SELECT %s, device_id, tenant, timeline, component, failure_mode, {ahead}, true, 0.9,"
        " 0.5, 24 FROM finding",
        site.two.version, int(shadow_ahead_h),
    )  # fmt: skip
    site.rows(
        f"INSERT INTO shadow_prediction (version, {common} threshold, horizon_h)"
        " SELECT %s, id, tenant, timeline, 'lamp', 'dark', %s, true, 0.9, 0.5, 24 FROM device"
        " ORDER BY id LIMIT %s",
        site.two.version, to_datetime(START + HOUR), false,
    )  # fmt: skip


def test_a_list_tells_versions_in_words_and_in_json(site: Registry) -> None:
    done = site.run("list")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].split()[:4] == ["version", "kind", "family", "stage"]
    assert site.one.version in lines[1]
    assert "champion" in lines[1]
    assert "0.90 (9 of 10)" in lines[1]
    assert site.stages() == {site.one.version: "champion", site.two.version: "shadow"}


def test_a_sheet_tells_lineage_metrics_and_the_trial(site: Registry) -> None:
    let_both_speak(site, shadow_ahead_h=20)
    done = site.run("show", site.two.version)
    assert done.exit_code == 0, done.output
    for part in ("fan 5, belt 5", "scikit-learn", "held out", "12.0 h", "20.0 h", site.two.sha256):
        assert part in done.output
    told = site.told("show", site.two.version)["trial"]
    assert told["shadow"]["median_lead_h"] == 20.0
    assert told["in_force"]["foreseen"] == told["shadow"]["foreseen"] == 16
    assert told["in_force"]["device_weeks"] == told["shadow"]["device_weeks"] == 8.0


def test_two_versions_are_compared_by_what_was_held_out_and_by_the_trial(site: Registry) -> None:
    let_both_speak(site, shadow_ahead_h=6)
    told = site.told("compare", site.one.version, site.two.version)
    assert told["held_out"][site.one.version]["median_lead_h"] == 14.0
    both = told["trials"][site.two.version]
    assert (both["in_force"]["median_lead_h"], both["shadow"]["median_lead_h"]) == (12.0, 6.0)
    assert site.one.version not in told["trials"]
    assert "would-be orders" in site.run("compare", site.one.version, site.two.version).output


def test_a_challenger_that_is_as_good_takes_over_and_scoring_is_told(site: Registry) -> None:
    let_both_speak(site, shadow_ahead_h=12)
    done = site.run("promote", site.two.version)
    assert done.exit_code == 0, done.output
    assert site.stages() == {site.one.version: "retired", site.two.version: "champion"}
    assert site.rows(
        "SELECT count(*) FROM input_log WHERE kind = 'model' AND payload ->> 'version' = %s",
        site.two.version,
    ) == [(64,)]
    ((actor, details),) = site.rows(
        "SELECT actor, details FROM audit_log WHERE tenant = %s", TENANT
    )
    assert (actor, details["gate"], details["forced"]) == ("command line", "as_good", False)
    ended = site.rows("SELECT ended_at IS NOT NULL FROM shadow_trial")
    assert ended == [(True,)]


@pytest.mark.parametrize(
    ("ahead_h", "false", "why"),
    [(4, 0, "it foresees them later"), (12, 5, "send people for nothing more often")],
)
def test_a_challenger_that_is_worse_is_refused_with_the_reason(site, ahead_h, false, why) -> None:
    let_both_speak(site, shadow_ahead_h=ahead_h, false=false)
    # An order of which nothing is found counts as false once its time is over.
    site.rows("UPDATE shadow_seen SET until = until + interval '8 days'")
    done = site.run("promote", site.two.version)
    assert done.exit_code == 1
    assert why in str(done.exception)
    assert site.stages()[site.two.version] == "shadow"
    assert site.rows("SELECT 1 FROM audit_log") == []


def test_without_a_trial_a_challenger_is_refused_unless_somebody_says_why(site: Registry) -> None:
    refused = site.run("promote", site.two.version)
    assert "was not tried" in str(refused.exception)
    silent = site.run("promote", site.two.version, "--force")
    assert silent.exit_code == 2
    assert site.stages()[site.two.version] == "shadow"
    forced = site.run("promote", site.two.version, "--force", "--why", "the old one is broken")
    assert forced.exit_code == 0, forced.output
    ((subject, details),) = site.rows("SELECT subject, details FROM audit_log")
    assert (subject, details["forced"], details["why"]) == (
        site.two.version, True, "the old one is broken",
    )  # fmt: skip


def test_a_rollback_is_one_step_and_noted(site: Registry) -> None:
    site.run("promote", site.two.version, "--force", "--why", "to see")
    done = site.run("rollback", "toy", "--why", "worse than it looked")
    assert done.exit_code == 0, done.output
    assert site.stages() == {site.one.version: "champion", site.two.version: "retired"}
    noted = site.rows("SELECT action FROM audit_log ORDER BY id")
    assert noted == [("model.promote",), ("model.rollback",)]
    last = site.rows("SELECT payload ->> 'version' FROM input_log ORDER BY pos DESC LIMIT 1")
    assert last == [(site.one.version,)]
    again = site.run("rollback", "toy")
    assert "no earlier failure model of toy" in str(again.exception)


def test_a_tampered_model_is_not_put_in_force_even_by_force(site, migrated_urls) -> None:
    with connect(migrated_urls.owner, name="thief") as thief:
        thief.execute(
            "UPDATE model_version SET artefact = artefact || '\\x00'::bytea WHERE version = %s",
            (site.two.version,),
        )
    done = site.run("promote", site.two.version, "--force", "--why", "now")
    assert f"model {site.two.version}: the artefact is not the one signed" in str(done.exception)
    assert site.stages()[site.one.version] == "champion"


def test_a_version_is_carried_to_another_installation_that_trusts_its_key(
    site: Registry, new_migrated, tmp_path: Path
) -> None:
    file = tmp_path / "two.model"
    assert site.run("export", site.two.version, str(file)).exit_code == 0
    assert site.run("export", site.two.version, str(file)).exit_code == 2, "it must not overwrite"
    url, folder = new_migrated().app, tmp_path / "elsewhere"
    with connect(url, name="test") as connection:
        other = Registry(url, folder, connection, site.one, site.two)
        stranger = other.run("import", str(file))
        assert stranger.exit_code == 1
        assert other.stages() == {}
        trusted = folder / "keys" / "trusted"
        trusted.mkdir(parents=True)
        for public in (tmp_path / "keys" / "trusted").iterdir():
            (trusted / public.name).write_bytes(public.read_bytes())
        done = other.run("import", str(file))
        assert done.exit_code == 0, done.output
        assert PostgresShelf(connection).get(site.two.version) == site.two


def test_what_is_not_there_is_named(site: Registry) -> None:
    for words in (("show", "0" * 12), ("compare", site.one.version, "0" * 12)):
        assert "there is no model 000000000000" in str(site.run(*words).exception)


def test_a_second_challenger_ends_the_trial_of_the_first(site: Registry, tmp_path: Path) -> None:
    key = signing.local_key(tmp_path / "keys", tmp_path / "keys" / "trusted")
    let_both_speak(site, shadow_ahead_h=12)
    third = registry.seal(b"third", kind="failure", cohort="toy", meta={}, key=key)
    admit(site.connection, third)
    running = site.rows("SELECT version FROM shadow_trial WHERE ended_at IS NULL")
    assert running == [(third.version,)]
    assert site.rows("SELECT count(*) FROM shadow_seen") == [(16,)], "what it said is kept"
    assert site.run("try", site.two.version).exit_code == 0
    running = site.rows("SELECT version FROM shadow_trial WHERE ended_at IS NULL")
    assert running == [(site.two.version,)]
    forgotten = site.rows("SELECT count(*) FROM shadow_seen")
    assert forgotten == [(0,)], "it is not judged on the time between its trials"
