"""An own PostgreSQL: made in the data folder, started, probed and stopped; also as root."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import psutil
import psycopg

from foremend.db import Queries
from foremend.errors import ForemendError
from stack.command import Account, Command, spawn
from stack.embedded import pg_install, residents
from stack.embedded.logtail import diagnose
from stack.embedded.pg_settings import (
    Decision,
    Reason,
    decide_account,
    initdb_options,
    server_options,
)
from stack.embedded.ports import LOOPBACK, claim_port

if TYPE_CHECKING:
    from stack.embedded.datadir import DataDir

SUPERUSER: Final = "postgres"
PORT_OPTION: Final = "--postgres-port"
NOTE: Final = "foremend-timescaledb.json"
"""Beside PostgreSQL's own files, so that it goes where the cluster goes."""

_SQL: Final = Queries.load("stack.embedded", "postgres.sql")


class PostgresFailed(ForemendError):
    """The embedded PostgreSQL did not come up; its log says why."""


class EmbeddedPostgres:
    """One server for one data folder.

    As root the server runs as another user, who may not be allowed to walk to the data folder
    (under /root, say). It is handed the cluster as an open directory instead of a path, so no
    folder's mode need be loosened and the data stay where they were asked for.

    >>> with open_data_dir(Path("var")) as home, serving(EmbeddedPostgres(home)) as postgres:
    ...     url = postgres.url()

    Raises NoPostgres, PortTaken or PostgresFailed, each saying what to do.
    """

    name = "postgres"

    def __init__(
        self,
        home: DataDir,
        *,
        port: int = 0,
        install: pg_install.Install | None = None,
        durable: bool = True,
        max_connections: int = 100,
    ) -> None:
        self.cluster: Final = home.path / "postgres"
        self.log: Final = home.folder("log") / "postgres.log"
        self.port: Final = claim_port(port, purpose="the database", option=PORT_OPTION)
        self._password: Final = home.secret("postgres")
        self._account: Final = self._choose_account()
        self._found: Final = install or pg_install.find_install()
        self._install: Final = self._choose_install(self._found)
        self._durable = durable
        self._max_connections = max_connections
        self._open_cluster: int | None = None

    @property
    def version(self) -> int:
        """The major version of the server's programs."""
        return self._install.major

    @property
    def timescaledb(self) -> str | None:
        """The version of TimescaleDB that came with the server, None without one."""
        return pg_install.timescaledb_version(self._install)

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's URL for a database."""
        return f"postgresql://{SUPERUSER}:{quote(self._password)}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear away what a crash left; call each time."""
        if not self.cluster.exists():
            self._make_cluster()
        self._require_same_version()
        self._require_same_timescaledb()
        residents.move_out(self.cluster, "postgres", now=time.monotonic)
        # Nobody lives here and the folder is locked, so the file tells of a dead server. Left
        # alone it would stop the next one whenever its number has been given to somebody else.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def remember_timescaledb(self, version: str) -> None:
        """Note in the cluster that it holds this version, so that no server without it opens it.

        Such a server starts, and then leaves out of every answer what is compressed.
        """
        text = json.dumps({"version": version, "bin_dir": str(self._found.bin_dir)})
        (self.cluster / NOTE).write_text(f"{text}\n", encoding="utf-8")
        if self._account is not None:
            os.chown(self.cluster / NOTE, self._account.uid, self._account.gid)

    def command(self) -> Command:
        """Describe the server process; `prepare` comes first."""
        if self._open_cluster is None:
            self._open_cluster = os.open(self.cluster, os.O_PATH | os.O_DIRECTORY)
        place = _through(self._open_cluster)
        options = server_options(
            port=self.port,
            memory=psutil.virtual_memory().total,
            max_connections=self._max_connections,
            durable=self._durable,
            timescaledb=self.timescaledb is not None,
        )
        settings = (part for k, v in options.items() for part in ("-c", f"{k}={v}"))
        return Command(
            argv=(self._install.program("postgres"), "-D", place, *settings),
            env=_clean_environment(),
            cwd=Path("/"),
            account=self._account,
            pass_fds=(self._open_cluster,),
            # Fast shutdown, then immediate: the second leaves recovery to the next start.
            stop_signals=(SIGINT, SIGQUIT, SIGKILL),
        )

    def ready(self) -> bool:
        """Whether the server lets the superuser in and answers."""
        with suppress(psycopg.OperationalError), self._connect() as connection:
            return connection.execute(_SQL["probe"]).fetchone() == (1,)
        return False

    def close(self) -> None:
        """Let go of the cluster's folder, once the server has been stopped."""
        if self._open_cluster is not None:
            os.close(self._open_cluster)
            self._open_cluster = None

    @property
    def _unfinished(self) -> Path:
        return self.cluster.with_suffix(".partial")

    def _choose_account(self) -> Account | None:
        decision = account_for(self.cluster)
        if decision.reason is Reason.FOREIGN:
            raise PostgresFailed(
                f"The database in {self.cluster} belongs to uid {self.cluster.stat().st_uid}; "
                "start Foremend as the user who made it (or as root), or choose another folder "
                "with --data-dir."
            )
        return decision.account

    def _choose_install(self, found: pg_install.Install) -> pg_install.Install:
        if self._account is None or pg_install.runnable_by(found, self._account):
            return found
        return pg_install.stage(found, self._account)

    def _make_cluster(self) -> None:
        """Run initdb beside the final place and move its work there once it is whole."""
        unfinished = self.cluster.with_suffix(".partial")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        folder = os.open(unfinished, os.O_PATH | os.O_DIRECTORY)
        password = os.memfd_create("password")
        try:
            os.write(password, self._password.encode())
            if self._account is not None:
                os.chown(unfinished, self._account.uid, self._account.gid)
                os.chown(password, self._account.uid, self._account.gid)
            self._run_initdb(folder, password)
        finally:
            os.close(folder)
            os.close(password)
        unfinished.rename(self.cluster)

    def _run_initdb(self, folder: int, password: int) -> None:
        options = initdb_options(
            major=self._install.major, superuser=SUPERUSER, durable=self._durable
        )
        place = f"--pgdata={_through(folder)}", f"--pwfile={_through(password)}"
        command = Command(
            argv=(self._install.program("initdb"), *place, *options),
            env=_clean_environment(),
            cwd=Path("/"),
            account=self._account,
            pass_fds=(folder, password),
        )
        with self.log.open("ab") as sink:
            before = sink.tell()
            status = spawn(command, stdout=sink).wait()
        if status != 0:
            raise PostgresFailed(diagnose("initdb", self.log, before))

    def _require_same_version(self) -> None:
        made_by = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if made_by != str(self._install.major):
            raise PostgresFailed(
                f"The database in {self.cluster} was made by PostgreSQL {made_by}, and the one "
                f"found is {self._install.major} ({self._install.bin_dir}); set "
                f"{pg_install.BIN_VARIABLE} to the programs of PostgreSQL {made_by}, or choose "
                "another folder with --data-dir."
            )

    def _require_same_timescaledb(self) -> None:
        note = self.cluster / NOTE
        if not note.exists():
            return
        kept = json.loads(note.read_text(encoding="utf-8"))
        if not pg_install.runs_timescaledb(self._install, kept["version"]):
            raise PostgresFailed(
                f"The database in {self.cluster} keeps its frames in TimescaleDB "
                f"{kept['version']}, which the PostgreSQL found ({self._found.bin_dir}) has not; "
                f"set {pg_install.BIN_VARIABLE}={kept['bin_dir']} as before, or choose another "
                "folder with --data-dir."
            )

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url(), connect_timeout=2, autocommit=True)


def account_for(cluster: Path) -> Decision:
    """Look up who owns what, and decide which user a cluster's server would run as."""
    ours = Account(uid=os.geteuid(), gid=os.getegid())
    folder = _owner(cluster.parent) if cluster.parent.exists() else ours
    return decide_account(
        ours=ours,
        cluster=_owner(cluster) if cluster.exists() else None,
        folder=folder,
        folder_has_name=_has_name(folder.uid),
    )


def _through(descriptor: int) -> str:
    """Name what a descriptor has open, in a way that needs no right to walk there."""
    return f"/proc/self/fd/{descriptor}"


def _owner(path: Path) -> Account:
    found = path.stat()
    return Account(uid=found.st_uid, gid=found.st_gid)


def _has_name(uid: int) -> bool:
    with suppress(KeyError):
        pwd.getpwuid(uid)
        return True
    return False


def _clean_environment() -> dict[str, str]:
    """Return our environment without what would change PostgreSQL's mind."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
