"""A backup restored elsewhere is the same to the last row, on both layouts; and what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from foremend.db import bootstrap, connect, storage
from foremend.db.storage import Layout
from foremend.errors import ConfigurationError
from ingest.upkeep.store import RollupStore
from stack.embedded.datadir import open_data_dir
from stack.embedded.pg_install import Install
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import serving
from stack.keeping import contents, manifest
from stack.keeping.backup import backup
from stack.keeping.manifest import BackupUnusable, RestoreRefused
from stack.keeping.programs import ProgramFailed, ProgramMissing, program
from stack.keeping.restore import RestoreDiffers, restore, restore_into_folder
from stack.keeping.verify import Scope, verify
from tests.kept_log import KeptLog, Reading, at
from tests.layouts import Urls, empty, install_of, migrated, serving_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def silent(line: str) -> None:
    assert line


@pytest.fixture(scope="module", params=[Layout.NATIVE, Layout.TIMESCALEDB], ids=lambda x: x.value)
def layout(request) -> Layout:
    return request.param


@pytest.fixture(scope="module")
def server(request, layout: Layout, tmp_path_factory) -> Iterator[EmbeddedPostgres]:
    with serving_layout(layout, tmp_path_factory.mktemp("kept") / "var") as server:
        yield server


@pytest.fixture(scope="module")
def source(server: EmbeddedPostgres, layout: Layout) -> Urls:
    """A fleet over three weeks, rolled up, an old week compressed where that is possible."""
    urls = migrated(server, layout, "source")
    with connect(urls.app, name="test") as link:
        log = KeptLog(connection=link)
        one, two = log.device("printer-01"), log.device("printer-02", timeline="live", partition=5)
        for device in (one, two):
            told = [(at(7200 * i), (0.1 * i, None if i % 2 else -i)) for i in range(250)]
            log.commit(
                [Reading(device=device, at=t, seq=i, values=v) for i, (t, v) in enumerate(told)]
            )
        RollupStore(link).roll()
        RollupStore(link).roll_hours()
        log.scored()
        compressed = storage.compress(link, storage.sections(link)[0].name)
        assert compressed is storage.in_use(link).compresses
        log.run(
            "INSERT INTO anomaly (device_id, tenant, timeline, kind, ts, score) VALUES"
            " (%s, 'demo', 'sim:test', 'alarm', now(), 3), (%s, 'demo', 'live', 'alarm', now(), 4)",
            one, two,
        )  # fmt: skip
    return urls


@pytest.fixture(scope="module")
def kept(source: Urls, layout: Layout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("backups") / "monday"
    backup(source.owner, folder, silent, install_of(layout))
    return folder


def test_a_backup_says_what_it_holds(kept: Path, layout: Layout) -> None:
    told = manifest.read(kept)

    assert told.schema == bootstrap.newest_revision()
    assert told.layout == layout.value
    assert (told.timescaledb is not None) is (layout is Layout.TIMESCALEDB)
    assert told.tables["frame"].rows == 500
    assert told.tables["anomaly"].rows == 2  # behind the walls between tenants
    assert "frame_2026w02" not in told.tables
    assert any("trusted" in part for part in told.leaves_out)
    assert kept.stat().st_mode & 0o077 == 0


def restorer(urls: Urls, layout: Layout) -> str:
    """The least role that may restore."""
    return urls.superuser if layout is Layout.TIMESCALEDB else urls.owner


def test_it_comes_back_the_same_and_goes_on(
    server: EmbeddedPostgres, layout: Layout, source: Urls, kept: Path
) -> None:
    urls = empty(server, "back")
    told = restore(kept, restorer(urls, layout), silent, install_of(layout))

    with contents.frozen(urls.superuser) as here, contents.frozen(source.superuser) as there:
        assert contents.contents_of(here, silent) == contents.contents_of(there, silent)
        assert contents.sequences_of(here) == told.sequences
        assert storage.in_use(here).layout is layout
    assert verify(urls.owner, Scope(), silent).passed
    assert bootstrap.migrate(urls.owner) == told.schema
    with connect(urls.app, name="test") as link:
        log = KeptLog(connection=link, partitions={1: 0})
        log.commit([Reading(device=1, at=at(2e6), seq=999, values=(1.0, 2.0))])
        assert RollupStore(link).roll().minutes == 1


def test_what_is_stored_while_a_backup_is_made_is_not_in_it_and_does_no_harm(
    server: EmbeddedPostgres, layout: Layout, tmp_path: Path
) -> None:
    urls = migrated(server, layout, "busy")
    with connect(urls.app, name="test") as link:
        log = KeptLog(connection=link)
        device = log.device("printer-01")
        seqs = itertools.count()

        def store_more(line: str) -> None:
            assert line
            seq = next(seqs)
            log.commit([Reading(device=device, at=at(seq), seq=seq, values=(seq, None))])

        store_more("before")
        made = backup(urls.owner, tmp_path / "b", store_more, install_of(layout))
    told = restore(
        tmp_path / "b", restorer(empty(server, "quiet"), layout), silent, install_of(layout)
    )

    assert made == told
    assert told.tables["frame"].rows == 1
    assert next(seqs) > 50


def test_it_comes_back_in_a_data_folder_of_its_own(
    layout: Layout, kept: Path, tmp_path: Path
) -> None:
    install = install_of(layout)
    told = restore_into_folder(kept, tmp_path / "var", silent, install)

    with open_data_dir(tmp_path / "var") as home:
        server = EmbeddedPostgres(home, install=install)
        with serving(server), contents.frozen(server.url("foremend")) as here:
            assert contents.contents_of(here, silent) == told.tables
            ((owner,),) = here.execute(
                "SELECT tableowner FROM pg_tables WHERE tablename = 'device'"
            ).fetchall()
            assert owner == bootstrap.OWNER
        server.close()
    with pytest.raises(RestoreRefused, match="has a database already"):
        restore_into_folder(kept, tmp_path / "var", silent, install)


def test_a_table_that_is_not_what_it_was_is_named(
    server: EmbeddedPostgres, layout: Layout, kept: Path, tmp_path: Path
) -> None:
    told = manifest.read(kept)
    forged = told.tables | {"anomaly": manifest.Content(rows=2, hash="0" * 32)}
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / manifest.DUMP).symlink_to(kept / manifest.DUMP)
    manifest.write(copy, manifest.Manifest(**{**_fields(told), "tables": forged}))

    with pytest.raises(RestoreDiffers, match="anomaly: 2 rows"):
        restore(copy, restorer(empty(server, "differs"), layout), silent, install_of(layout))


def _fields(told: manifest.Manifest) -> dict[str, object]:
    return {name: getattr(told, name) for name in told.__struct_fields__}


def test_hashes_see_a_changed_value_and_not_the_order_of_rows(source: Urls) -> None:
    with psycopg.connect(source.superuser) as link:
        before = contents.content_of(link, "anomaly")
        link.execute("CREATE TEMP TABLE turned AS SELECT * FROM anomaly ORDER BY id DESC")
        link.execute("DELETE FROM anomaly")
        link.execute("INSERT INTO anomaly OVERRIDING SYSTEM VALUE SELECT * FROM turned")
        assert contents.content_of(link, "anomaly") == before
        link.execute("UPDATE anomaly SET score = score + 0.0001 WHERE kind = 'alarm'")
        assert contents.content_of(link, "anomaly").hash != before.hash
        link.rollback()


def test_a_target_that_holds_something_is_left_alone(source: Urls, kept: Path) -> None:
    with pytest.raises(RestoreRefused, match="holds tables already"):
        restore(kept, source.owner, silent)


def test_a_folder_that_is_there_is_left_alone(source: Urls, kept: Path) -> None:
    with pytest.raises(ConfigurationError, match="is there already"):
        backup(source.owner, kept, silent)


def test_a_database_without_a_schema_is_no_backup(
    server: EmbeddedPostgres, layout: Layout, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="no Foremend schema"):
        backup(empty(server, "nothing").owner, tmp_path / "b", silent, install_of(layout))
    assert not (tmp_path / "b").exists()


def test_who_may_not_read_everything_makes_no_backup(
    source: Urls, layout: Layout, tmp_path: Path
) -> None:
    with psycopg.connect(source.superuser, autocommit=True) as link:
        link.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        link.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger")
        link.execute("REVOKE SELECT ON session FROM stranger")
    url = source.owner.replace(source.owner.split("//")[1].split("@")[0], "stranger:x")

    with pytest.raises((ProgramFailed, psycopg.errors.InsufficientPrivilege)):
        backup(url, tmp_path / "b", silent, install_of(layout))
    assert not (tmp_path / "b").exists()


def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable, match="no manifest"):
        restore(tmp_path, "postgresql://nowhere", silent)


def test_programs_that_are_missing_or_older_are_named(layout: Layout, tmp_path: Path) -> None:
    found = install_of(layout)
    with pytest.raises(ProgramMissing, match="FOREMEND_PG_BIN"):
        program(
            "pg_dump", server=18, install=Install(bin_dir=tmp_path, major=18, source=found.source)
        )
    with pytest.raises(ProgramMissing, match="is of PostgreSQL 18 and the server runs 19"):
        program("pg_dump", server=19, install=replace(found, major=18))
