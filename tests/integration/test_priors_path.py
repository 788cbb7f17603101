"""Priors from training to scoring: signed, announced at a place in the log, and followed there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from foremend.errors import SignatureRefused
from foremend.settings import Settings
from ingest.store import PostgresStore
from models.registry import PostgresShelf
from models.scoring.engine import Engine
from models.scoring.service import Follower
from models.scoring.store import ScoringStore
from models.signing import trusted_keys
from models.trials.promotion import Policy
from stack import learning, promotion
from stack.parallel import Backend, Workers
from stack.verified import VerifiedModels
from tests.taught_fleet import TENANT, TIMELINE, birth, put_findings, put_fleet, says_hourly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.registry import Record


class Site:
    """A fleet, a model that was learnt from it with its priors, and scoring that follows."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = Settings(database_url=url, data_dir=folder, tenant=TENANT)
        self.connection = connect(url, name="test")
        put_findings(self.connection, put_fleet(self.connection))
        self.first = self.train(seed=7)

    def train(self, seed: int) -> Record:
        alone = Workers(backend=Backend.SEQUENTIAL, jobs=1)
        ask = learning.Ask(tenant=TENANT, timeline=TIMELINE, at_least=10, seed=seed, workers=alone)
        return learning.train_stored(self.settings, ask)[0]

    @property
    def shelf(self) -> PostgresShelf:
        return PostgresShelf(self.connection)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with transaction(self.connection, tenant=EVERY_TENANT):
            cursor = self.connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def follower(self, connection: Connection, consumer: str = "live") -> Follower:
        store = ScoringStore(connection, consumer)
        assert store.claim()
        follower = Follower(store, Engine(VerifiedModels(self.settings)))
        follower.catch_up()
        return follower

    def logged(self, kind: str) -> list[tuple[int, int, str]]:
        return self.rows(
            "SELECT partition, pos, payload ->> 'version' FROM input_log WHERE kind = %s"
            " ORDER BY partition, pos",
            kind,
        )


@pytest.fixture(scope="module")
def site(new_migrated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(new_migrated().app, tmp_path_factory.mktemp("site"))
    with made.connection:
        yield made


def test_priors_are_registered_with_their_model_and_announced_before_it(site: Site) -> None:
    prior = site.first.meta["prior"]
    assert site.shelf.champion("prior", "toy") == prior
    assert site.shelf.get(prior).meta["lists_of_channels"] == 1
    first = [(p, pos) for p, pos, version in site.logged("prior") if version == prior][:64]
    model = [(p, pos) for p, pos, v in site.logged("model") if v == site.first.version][:64]
    assert len(first) == len(model) == 64
    assert all(one[1] + 1 == two[1] for one, two in zip(first, model, strict=True))


def test_a_new_device_is_judged_on_its_first_day(site: Site) -> None:
    """It was born after training; without priors nothing would be known of it for a day."""
    store = PostgresStore(site.connection)
    store.commit([birth("newcomer")], [], wall_ms())
    store.commit([says_hourly("newcomer", hours=12, slower=9.0)], [], wall_ms())
    with connect(site.settings.database_url.get_secret_value(), name="scoring") as link:
        follower = site.follower(link)
        while follower.step():
            pass
        follower.save()
    alarms = site.rows(
        "SELECT a.top_channel FROM anomaly a JOIN device d ON d.id = a.device_id"
        " WHERE d.name = 'newcomer' AND a.kind = 'alarm'"
    )
    assert alarms == [("speed",)]


def test_a_restarted_process_has_the_state_of_one_that_read_the_whole_log(site: Site) -> None:
    url = site.settings.database_url.get_secret_value()
    with connect(url, name="scoring") as link, connect(url, name="other") as other:
        restarted, whole = site.follower(link), site.follower(other, "replay")
        while whole.step():
            pass
        partitions = sorted(restarted._at)
        assert [restarted.engine.snapshot(p) for p in partitions] == [
            whole.engine.snapshot(p) for p in partitions
        ]
        assert any("priors" in restarted.engine.snapshot(p) for p in partitions)


def test_a_later_models_prior_waits_for_its_model_and_goes_back_with_it(site: Site) -> None:
    second = site.train(seed=8)
    assert site.shelf.champion("prior", "toy") == site.first.meta["prior"]
    asked = promotion.Asked(tenant=TENANT, why="test", force=True, policy=Policy())
    trusted = trusted_keys(site.settings.trusted_keys_dir)
    promotion.promote(site.connection, second.version, trusted, asked)
    assert site.shelf.champion("prior", "toy") == second.meta["prior"]
    promotion.roll_back(site.connection, "failure", "toy", asked)
    assert site.shelf.champion("prior", "toy") == site.first.meta["prior"]


def test_tampered_priors_are_named_and_nothing_is_scored_with_them(site, migrated_urls) -> None:
    version = site.first.meta["prior"]
    record = site.shelf.get(version)
    with connect(migrated_urls.app, name="test") as connection:
        PostgresShelf(connection).put(replace(record, artefact=record.artefact[:-1] + b"\xff"))
        settings = Settings(
            database_url=migrated_urls.app, trust_keys=site.settings.trusted_keys_dir
        )
        with pytest.raises(SignatureRefused, match=f"model {version}: "):
            VerifiedModels(settings).priors(version)
