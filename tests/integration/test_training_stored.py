"""Training on the real database: what devices said and what was found, no more and no less."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from field_service.labels import labels
from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from foremend.errors import ConfigurationError, NotFound
from foremend.settings import Settings
from models import stored
from models.failure import FailureModel
from models.history import Marks, rows_of
from models.registry import PostgresShelf, opened
from models.signing import trusted_keys
from models.training import TooFewFailures
from stack import findings, learning
from stack.cli import app
from stack.parallel import Backend, Workers
from tests.scoring_log import HOUR, START
from tests.taught_fleet import TENANT, TIMELINE, put_finding, put_findings, put_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History
    from models.registry import Record


class Fleet:
    """One database with a fleet whose failures were found."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = connect(url, name="test")
        self.told: History = put_fleet(self.connection)
        put_findings(self.connection, self.told)

    def lead_h(self, rows: Rows) -> NDArray[np.float64]:
        """Give the hours from each row to its device's failure; below 0 afterwards."""
        failed = dict(zip(self.told.findings.device, self.told.findings.ts_ms, strict=True))
        return np.array([failed[d] for d in rows.device.tolist()] - rows.ts_ms) / HOUR

    def window(self, until_h: float = 200.0) -> stored.Window:
        return stored.Window(
            timeline=TIMELINE,
            family="toy",
            since=to_datetime(START) - timedelta(days=1),
            until=min(
                to_datetime(START) + timedelta(hours=until_h), to_datetime(self.told.until_ms)
            ),
            live=False,
        )


@pytest.fixture(scope="module")
def fleet(new_migrated) -> Iterator[Fleet]:
    made = Fleet(new_migrated().app)
    with made.connection:
        yield made


def read(connection: Connection, window: stored.Window, at_once: int = 64) -> stored.Told:
    with transaction(connection, tenant=TENANT):
        cohort = stored.read_cohort(connection, window)
        return stored.read_rows(
            connection, cohort, devices_at_once=at_once, progress=lambda *_: None
        )


def in_order(rows: Rows) -> tuple[bytes, bytes, bytes]:
    order = np.lexsort((rows.device, rows.ts_ms))
    return tuple(getattr(rows, n)[order].tobytes() for n in ("device", "ts_ms", "values"))


def test_rows_are_those_that_the_online_state_makes_of_the_same_history(fleet: Fleet) -> None:
    told = read(fleet.connection, fleet.window())
    assert told.frames == len(fleet.told.frames.ts_ms)
    assert in_order(told.rows) == in_order(rows_of(as_stored(fleet)))


def as_stored(fleet: Fleet) -> History:
    """Give the history in the order in which the database names parts and codes."""
    with transaction(fleet.connection, tenant=TENANT):
        spec = stored.read_cohort(fleet.connection, fleet.window()).spec
    assert (spec.components, spec.codes) == (("belt", "fan"), ("E1",))
    assert spec.channel_component == (-1, 1, -1)
    swaps = fleet.told.replacements
    return replace(
        fleet.told,
        spec=spec,
        replacements=Marks.of(swaps.device, swaps.ts_ms, 1 - swaps.what),
    )


@pytest.mark.parametrize("at_once", [1, 7])
def test_how_many_devices_are_read_at_once_changes_nothing(fleet: Fleet, at_once: int) -> None:
    whole, parts = (read(fleet.connection, fleet.window(), n).rows for n in (64, at_once))
    assert [getattr(whole, n).tobytes() for n in ("device", "ts_ms", "values")] == [
        getattr(parts, n).tobytes() for n in ("device", "ts_ms", "values")
    ]


def test_fetches_may_end_anywhere(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = in_order(read(fleet.connection, fleet.window()).rows)
    monkeypatch.setattr(stored, "FRAMES_AT_ONCE", 37)
    assert in_order(read(fleet.connection, fleet.window()).rows) == whole


def known(connection: Connection, window: stored.Window) -> findings.Known:
    told = read(connection, window)
    with transaction(connection, tenant=TENANT):
        cohort = stored.read_cohort(connection, window)
        found = labels(connection, known_by=window.until, timeline=TIMELINE)
    return findings.known(
        found,
        told.replacements,
        devices=cohort.ids,
        components=cohort.spec.components,
        since_ms=START,
    )


def test_found_failed_and_found_degraded_both_end_a_life(fleet: Fleet) -> None:
    told = known(fleet.connection, fleet.window())
    assert told.counts == {"degraded": 8, "failed": 8, "unplaced": 0}
    assert told.failures == 16
    assert told.failure_modes == (("belt", "belt_wear"), ("fan", "fan_wear"))


def test_nothing_that_became_known_after_the_cut_is_used(fleet: Fleet) -> None:
    """The part that failed at the cut's own hour was reported an hour later."""
    at_h = (int(fleet.told.findings.ts_ms[9]) - START) / HOUR
    window = fleet.window(at_h + 0.5)
    until = window.until.timestamp() * 1000
    told, rows = known(fleet.connection, window), read(fleet.connection, window).rows
    assert told.failures == 9
    assert int(told.findings.known_ms.max()) <= until
    assert int(told.replacements.ts_ms.max()) <= until
    assert int(rows.ts_ms.max()) <= until
    assert told.failures < int((fleet.told.findings.ts_ms <= until).sum())


def test_on_a_live_timeline_what_arrived_after_the_cut_is_not_read(fleet: Fleet) -> None:
    """Everything is dated long before the cut, and was stored by ingest just now."""
    ((stored_at,),) = fleet.connection.execute("SELECT min(logged_at) FROM input_log").fetchall()
    begin = to_datetime(START) - timedelta(days=1)
    terms = {"timeline": TIMELINE, "family": "toy", "since": begin, "live": True}
    before, after = (
        read(fleet.connection, stored.Window(**terms, until=stored_at + timedelta(seconds=s)))
        for s in (-1, 600)
    )
    assert (before.frames, len(before.replacements)) == (0, 0)
    assert after.frames == len(fleet.told.frames.ts_ms)
    assert len(after.replacements) == len(fleet.told.replacements)


def ask(**changes: object) -> learning.Ask:
    terms = {"tenant": TENANT, "timeline": TIMELINE, "workers": Workers(jobs=1), "at_least": 10}
    return learning.Ask(**terms | changes)


def lesson_rows(fleet: Fleet) -> Rows:
    return read(fleet.connection, fleet.window()).rows


def forget_models(fleet: Fleet) -> None:
    with transaction(fleet.connection, tenant=EVERY_TENANT):
        fleet.connection.execute("UPDATE model_version SET replaces = NULL")
        fleet.connection.execute("DELETE FROM model_version")


@pytest.fixture(scope="module")
def settings(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        database_url=fleet.url, data_dir=tmp_path_factory.mktemp("train"), tenant=TENANT
    )


@pytest.fixture(scope="module")
def made(fleet: Fleet, settings: Settings) -> dict[int, Record]:
    """Train two models one after the other, each alone; by seed."""
    alone = Workers(backend=Backend.SEQUENTIAL, jobs=1)
    return {
        seed: learning.train_stored(settings, ask(workers=alone, seed=seed))[0] for seed in (7, 8)
    }


@pytest.fixture(scope="module")
def taught(fleet: Fleet, settings: Settings, made: dict[int, Record]) -> dict[int, bytes]:
    return {seed: predictions(fleet, settings, record) for seed, record in made.items()}


def predictions(fleet: Fleet, settings: Settings, record: Record) -> bytes:
    model = loaded(settings, record)
    forecast = model.predict(lesson_rows(fleet).values)
    return bytes(forecast.cumulative.tobytes()) + repr(model.thresholds).encode()


def loaded(settings: Settings, record: Record) -> FailureModel:
    return FailureModel.load(opened(record, trusted_keys(settings.trusted_keys_dir)))


def test_the_first_model_is_in_force_and_the_next_a_shadow_with_its_lineage(
    fleet: Fleet, made: dict[int, Record]
) -> None:
    first, second = made[7], made[8]
    shelf = PostgresShelf(fleet.connection)
    assert shelf.champion("failure", "toy") == first.version
    assert shelf.get(second.version).stage == "shadow"
    meta = second.meta
    assert meta["parent"] == first.version
    assert meta["labels"] == {"degraded": 8, "failed": 8, "unplaced": 0}
    assert meta["source"]["timeline"] == TIMELINE
    assert meta["source"]["frames"] == len(fleet.told.frames.ts_ms)
    assert meta["known_by_ms"] == fleet.told.until_ms
    assert {"scikit-learn", "numpy"} <= meta["libraries"].keys()
    assert meta["metrics"]["later_slices"]["failures"] >= 4


def test_a_model_of_findings_foresees_these_failures(
    fleet: Fleet, settings: Settings, made: dict[int, Record]
) -> None:
    """Shows that what was learnt is about the failures and not about nothing."""
    model, rows = loaded(settings, made[7]), lesson_rows(fleet)
    risk = model.at_order_horizon(model.predict(rows.values)).max(axis=1)
    lead_h = fleet.lead_h(rows)
    soon, calm = ((lead_h > 0) & (lead_h <= 6)), lead_h > 24
    judged = np.isfinite(risk)
    higher = risk[soon & judged][:, None] > risk[calm & judged][None, :]
    assert higher.mean() > 0.9


def test_the_same_seed_predicts_the_same_to_the_bit_whoever_works(
    fleet: Fleet, settings: Settings, taught: dict[int, bytes]
) -> None:
    for workers in (Workers(backend=Backend.LOKY, jobs=2), Workers(backend=Backend.DASK, jobs=2)):
        (record,) = learning.train_stored(settings, ask(workers=workers))
        assert predictions(fleet, settings, record) == taught[7]


def test_another_seed_predicts_otherwise(taught: dict[int, bytes]) -> None:
    """Shows that the comparison above can tell models apart."""
    assert taught[7] != taught[8]


def test_too_few_failures_are_refused_with_both_numbers(fleet: Fleet, settings: Settings) -> None:
    with pytest.raises(TooFewFailures, match=r"16 failures of toy .* and 17 are wanted"):
        learning.train_stored(settings, ask(at_least=17))


def test_what_is_not_there_is_named(settings: Settings) -> None:
    with pytest.raises(NotFound, match="no device of family 'else'"):
        learning.train_stored(settings, ask(family="else"))
    with pytest.raises(NotFound, match="timeline 'sim:none'"):
        learning.train_stored(settings, ask(timeline="sim:none"))


def test_another_tenants_devices_are_not_seen(settings: Settings) -> None:
    with pytest.raises(NotFound, match="no device"):
        learning.train_stored(settings, ask(tenant="other", family="toy"))


def test_a_cluster_that_is_not_there_is_named(settings: Settings, unused_tcp_port: int) -> None:
    workers = Workers(backend=Backend.DASK, cluster=f"127.0.0.1:{unused_tcp_port}", patience_s=0.3)
    with pytest.raises(ConfigurationError, match="no Dask scheduler answers"):
        learning.train_stored(settings, ask(workers=workers))


def test_the_command_trains_from_the_database(fleet: Fleet, tmp_path: Path) -> None:
    forget_models(fleet)
    environment = {
        "FOREMEND_DATABASE_URL": fleet.url,
        "FOREMEND_DATA_DIR": str(tmp_path),
        "FOREMEND_TENANT": TENANT,
    }
    words = ["train", "--timeline", TIMELINE, "--jobs", "1", "--at-least", "10"]
    done = CliRunner().invoke(app, words, env=environment)
    assert done.exit_code == 0, done.output
    assert PostgresShelf(fleet.connection).champion("failure", "toy") is not None


@pytest.fixture
def own(migrated_urls) -> Iterator[tuple[Connection, History, int]]:
    """Give a database of the test's own, its fleet, and the first device's number."""
    with connect(migrated_urls.app, name="test") as connection:
        told = put_fleet(connection, devices=2, hours=60)
        with transaction(connection, tenant=EVERY_TENANT):
            row = connection.execute("SELECT min(id) FROM device").fetchone()
        assert row is not None
        yield connection, told, int(row[0])


def own_window(told: History) -> stored.Window:
    return stored.Window(
        timeline=TIMELINE,
        family="toy",
        since=to_datetime(START) - timedelta(days=1),
        until=to_datetime(told.until_ms),
        live=False,
    )


def test_a_life_ends_when_the_device_told_of_the_new_part_not_when_the_report_was_written(
    own,
) -> None:
    connection, told, device = own
    swapped = int(told.replacements.ts_ms[0])
    with transaction(connection, tenant=EVERY_TENANT):
        put_finding(
            connection, number=1, device=device, component="fan", at_ms=swapped + 5 * HOUR,
            known_ms=swapped + 6 * HOUR,
        )  # fmt: skip
    found = known(connection, own_window(told))
    assert found.findings.ts_ms.tolist() == [swapped]
    assert len(found.replacements) == len(told.replacements)


def test_a_repair_that_no_device_told_of_ends_a_life_all_the_same(own) -> None:
    connection, told, device = own
    with transaction(connection, tenant=EVERY_TENANT):
        put_finding(
            connection, number=1, device=device, component="belt", at_ms=START + 20 * HOUR,
            known_ms=START + 21 * HOUR, as_found="degraded", replaced=False,
        )  # fmt: skip
    found = known(connection, own_window(told))
    assert found.failures == 1
    assert len(found.replacements) == len(told.replacements) + 1


@pytest.mark.parametrize(
    ("as_found", "verified", "counted"),
    [("no_fault_found", "recovered", "censored"), ("failed", "not_recovered", "censored")],
)
def test_what_proves_no_failure_is_counted_and_is_none(own, as_found, verified, counted) -> None:
    connection, told, device = own
    with transaction(connection, tenant=EVERY_TENANT):
        put_finding(
            connection, number=1, device=device, component="belt", at_ms=START + 20 * HOUR,
            known_ms=START + 21 * HOUR, as_found=as_found, verified=verified,
        )  # fmt: skip
    found = known(connection, own_window(told))
    assert (found.failures, found.counts[counted]) == (0, 1)
    assert len(found.replacements) == len(told.replacements) + 1
