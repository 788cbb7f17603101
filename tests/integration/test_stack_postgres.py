"""The embedded PostgreSQL comes up from whatever state a crash left, and loses nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from stack.command import Account
from stack.embedded import pg_install, residents
from stack.embedded.datadir import DataDir, open_data_dir
from stack.embedded.pg_settings import NOBODY
from stack.embedded.ports import LOOPBACK, PortTaken, free_port
from stack.embedded.postgres import EmbeddedPostgres, PostgresFailed
from stack.embedded.server import Running, ServerFailed, serving, start

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
ROOT = Account(uid=0, gid=0)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DataDir]:
    with open_data_dir(tmp_path / "var") as home:
        yield home


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a cluster in it, to copy: initdb is the slow part."""
    path = tmp_path_factory.mktemp("cluster") / "var"
    with open_data_dir(path) as home:
        EmbeddedPostgres(home, durable=False).prepare()
    return path


@pytest.fixture
def made_path(cluster: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "var"
    subprocess.run(("cp", "-a", cluster, copy), check=True)
    return copy


@pytest.fixture
def made(made_path: Path) -> Iterator[DataDir]:
    with open_data_dir(made_path) as home:
        yield home


def write(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")


def read(server: EmbeddedPostgres) -> object:
    with psycopg.connect(server.url()) as connection:
        return connection.execute("SELECT n FROM kept").fetchone()


def kill(running: Running) -> None:
    running.process.kill()
    running.process.wait()


def test_a_fresh_start_takes_a_password_and_loopback_only(home: DataDir) -> None:
    with serving(EmbeddedPostgres(home)) as server:
        assert server.ready()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace(home.secret("postgres"), "guess"))
        with psycopg.connect(server.url()) as connection:
            listens = connection.execute("SHOW listen_addresses").fetchone()
    assert listens == (LOOPBACK,)
    assert home.secret("postgres") not in server.log.read_text()


def test_an_orderly_stop_leaves_nothing_to_recover(made: DataDir) -> None:
    server = EmbeddedPostgres(made)
    with serving(server):
        write(server)
    with serving(server):
        assert read(server) == (7,)

    assert "not properly shut down" not in server.log.read_text()
    assert residents.residents(server.cluster, "postgres") == ()


def test_a_killed_postmaster_comes_back_with_every_commit(made: DataDir) -> None:
    server = EmbeddedPostgres(made)
    first = start(server)
    write(server)
    kill(first)

    with serving(server):
        assert read(server) == (7,)
    assert "automatic recovery in progress" in server.log.read_text()


def test_a_server_dies_with_its_supervisor_in_good_order(made_path: Path) -> None:
    supervisor = subprocess.Popen(
        (sys.executable, "-c", SUPERVISOR, made_path), stdout=subprocess.PIPE, cwd=PROJECT
    )
    assert supervisor.stdout is not None
    assert int(supervisor.stdout.readline()) > 0
    supervisor.kill()
    supervisor.communicate()

    with open_data_dir(made_path) as home, serving(EmbeddedPostgres(home)) as server:
        assert server.ready()
    log = server.log.read_text()
    assert "received fast shutdown request" in log
    assert "not properly shut down" not in log


SUPERVISOR = """
import signal, sys
from pathlib import Path
from stack.embedded.datadir import open_data_dir
from stack.embedded.postgres import EmbeddedPostgres
from stack.embedded.server import start
with open_data_dir(Path(sys.argv[1])) as home:
    print(start(EmbeddedPostgres(home)).pid, flush=True)
    signal.pause()
"""


def test_a_stale_pid_file_that_names_a_living_stranger_does_not_matter(made: DataDir) -> None:
    server = EmbeddedPostgres(made)
    stranger = subprocess.Popen(("sleep", "60"))
    pid_file = server.cluster / "postmaster.pid"
    pid_file.write_text(f"{stranger.pid}\n{server.cluster}\n1\n5432\n\n127.0.0.1\n0\n\n")
    shutil.copystat(server.cluster / "PG_VERSION", pid_file)

    with serving(server):
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_initdb_that_was_cut_short_is_done_again(home: DataDir) -> None:
    (home.path / "postgres.partial").mkdir()
    (home.path / "postgres.partial" / "PG_VERSION").write_text("18")

    server = EmbeddedPostgres(home, durable=False)
    server.prepare()

    assert (server.cluster / "PG_VERSION").is_file()
    assert not (home.path / "postgres.partial").exists()


def test_a_cluster_of_another_version_is_named(made: DataDir) -> None:
    server = EmbeddedPostgres(made)
    (server.cluster / "PG_VERSION").write_text("12\n")

    with pytest.raises(PostgresFailed, match=r"made by PostgreSQL 12, .* FOREMEND_PG_BIN"):
        server.prepare()


def test_a_port_taken_before_and_after_choosing_is_one_sentence(made: DataDir) -> None:
    port = free_port()
    server = EmbeddedPostgres(made, port=port)
    # Bound but not listening: taken, and no probe is kept waiting for an answer.
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, port))
        with pytest.raises(PortTaken, match=f"Port {port} for the database is taken by"):
            EmbeddedPostgres(made, port=port)
        with pytest.raises(ServerFailed, match="its port was taken meanwhile; start again"):
            start(server)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another user")


@needs_root
def test_as_root_the_server_is_nobody_and_reaches_a_folder_it_may_not_walk_to(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with open_data_dir(closed / "var") as home, serving(EmbeddedPostgres(home)) as server:
        write(server)
        (pid, *_) = residents.residents(server.cluster, "postgres")
        assert Path(f"/proc/{pid}").stat().st_uid == NOBODY.uid
        assert read(server) == (7,)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.stat().st_uid == 0


@needs_root
def test_as_root_programs_that_nobody_may_run_are_copied_to_where_they_may(
    tmp_path: Path, home: DataDir
) -> None:
    found = pg_install.find_install({})
    assert found.source is pg_install.Source.WHEEL
    closed, open_place = tmp_path / "closed", Path(f"/var/tmp/foremend-test-{os.getpid()}")
    closed.mkdir(mode=0o700)
    package = found.bin_dir.parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.name, ignore=shutil.ignore_patterns("include"))
    hidden = pg_install._require(
        closed / found.bin_dir.relative_to(package.parent), pg_install.Source.CHOSEN
    )
    open_place.mkdir(mode=0o755)
    try:
        staged = pg_install.stage(hidden, NOBODY, places=(tmp_path, open_place))

        assert not pg_install.runnable_by(hidden, NOBODY)
        assert staged.bin_dir.is_relative_to(open_place)
        assert pg_install.stage(hidden, NOBODY, places=(open_place,)) == staged
        with serving(EmbeddedPostgres(home, install=staged, durable=False)) as server:
            assert server.ready()
    finally:
        shutil.rmtree(open_place)


@needs_root
def test_a_copy_that_others_may_write_to_is_never_run(tmp_path: Path) -> None:
    found = pg_install.find_install({})
    place = tmp_path / "place"
    place.mkdir()
    staged = pg_install.stage(found, ROOT, places=(place,))
    (place / staged.bin_dir.relative_to(place).parts[0]).chmod(0o777)

    with pytest.raises(pg_install.NoPostgres, match="cannot be run by uid"):
        pg_install.stage(found, ROOT, places=(place,))
