"""Where a drill takes place: the servers that devices and ingest use, and what may be harmed."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol, Self

from psycopg import sql

from foremend.db import connect
from foremend.errors import ForemendError
from stack import site
from stack.drill.parts import Part, ProcessPart
from stack.drill.relay import Relay
from stack.drill.small_disk import mounted
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.datadir import open_data_dir
from stack.embedded.ports import LOOPBACK, free_port
from stack.embedded.postgres import EmbeddedPostgres
from stack.readiness import answers
from stack.service import Service
from stack.services import RUN, foremend_service, service_environment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stack.drill.small_disk import SmallDisk
    from stack.embedded.datadir import DataDir

TENANT: Final = "drill"
POSTGRES, BROKER, INGEST = "postgres", "broker", "ingest"
SCORING, API, GATE = "scoring", "api", "gate"
SECOND = "ingest-2"
WORKERS: Final = (INGEST, SECOND)
SMALL_DATABASE_BYTES: Final = 96 * 1024**2


class Kind(Enum):
    """What servers a scenario needs."""

    PLAIN = "plain"
    """One of each."""
    SMALL_DATABASE = "small database"
    """The database lies on a tmpfs of its own, which `database_disk` can fill."""
    TWO_WORKERS = "two workers"
    """Two processes of ingest share the partitions by leases."""


class NotHere(ForemendError):
    """This scenario harms what is not ours to harm here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What runs as ingest and as devices; None for our own. A control names a crippled one."""

    ingest: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None


class Ground(Protocol):
    """What a scenario is run on.

    The throw-away one below offers everything. On a broker and a database of one's own, only the
    parts that may be harmed are offered, and scenarios that need others are left out.
    """

    @property
    def folder(self) -> Path:
        """Where trials keep their files."""

    @property
    def passwords(self) -> Mapping[str, str]:
        """Each device's own, for the broker."""

    @property
    def relay(self) -> Relay:
        """A way to the broker that can be made to fail."""

    @property
    def programs(self) -> Programs:
        """What runs as ingest and as devices."""

    @property
    def database_disk(self) -> SmallDisk | None:
        """What the database lies on, where that can be filled."""

    @property
    def app_url(self) -> str:
        """The database, as the runtime role."""

    def part(self, name: str) -> Part:
        """Give what may be harmed, running; raises NotHere where it is not offered."""

    def dismiss(self, needed: Collection[str]) -> None:
        """Stop what was started for an earlier scenario and is not among the parts needed."""

    def tend(self) -> None:
        """Start again whatever died by itself, as a supervisor would."""

    def wipe_broker(self) -> None:
        """Delete the state of the broker, which does not run; raises NotHere."""


@dataclass(slots=True)
class ThrowAway:
    """Servers in a folder of their own, gone when its `with` block ends.

    >>> with ThrowAway(folder, devices=4) as ground:
    ...     ground.part("ingest").kill()
    """

    folder: Path
    devices: int = 4
    programs: Programs = field(default_factory=Programs)
    seed: int = 0
    kind: Kind = Kind.PLAIN
    passwords: dict[str, str] = field(init=False, default_factory=dict)
    relay: Relay = field(init=False)
    database_disk: SmallDisk | None = field(init=False, default=None)
    postgres: EmbeddedPostgres = field(init=False)
    broker: EmbeddedBroker = field(init=False)
    _site: site.Site = field(init=False)
    _home: DataDir = field(init=False)
    _parts: dict[str, ProcessPart] = field(init=False, default_factory=dict)
    _undo: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._open(stack)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._undo.close()

    @property
    def app_url(self) -> str:
        """The database, as the runtime role."""
        return self._site.app_url

    @property
    def owner_url(self) -> str:
        """The database, as the schema's owner."""
        return self._site.owner_url

    @property
    def home(self) -> DataDir:
        """The servers' data folder."""
        return self._home

    def part(self, name: str) -> ProcessPart:
        """Give a part; scoring, api and gate are started when they are first asked for."""
        if name not in self._parts:
            if name not in {SCORING, API, GATE}:
                raise NotHere(f"there is no part named {name!r}")
            self._add(self._service(name)).wait_ready()
        return self._parts[name]

    def dismiss(self, needed: Collection[str]) -> None:
        """Stop what was started for an earlier scenario and is not among the parts needed."""
        for name in {SCORING, API, GATE} - set(needed):
            if name in self._parts:
                self._parts.pop(name).stop()

    def tend(self) -> None:
        """Start again whatever died by itself, as a supervisor would."""
        for part in self._parts.values():
            part.tend()

    def wipe_broker(self) -> None:
        """Delete the state of the broker, which does not run."""
        for entry in self.broker.store.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _open(self, stack: ExitStack) -> None:
        self._home = home = stack.enter_context(open_data_dir(self.folder / "var"))
        home.folder(RUN)
        names = [f"drill-{number}" for number in range(1, self.devices + 1)]
        self.passwords = {name: home.secret(f"device-{name}") for name in names}
        self.postgres = EmbeddedPostgres(home)
        stack.callback(self.postgres.close)
        self.broker = EmbeddedBroker(home, devices=self.passwords)
        stack.callback(self._stop_all)
        for server in (self.postgres, self.broker):
            self._add(Service.of(server)).wait_ready()
        self._site = site.prepare_database(home, self.postgres, TENANT)
        if self.kind is Kind.SMALL_DATABASE:
            self._move_database(stack)
        self.relay = stack.enter_context(Relay(self.broker.host, self.broker.port, seed=self.seed))
        for name in WORKERS if self.kind is Kind.TWO_WORKERS else (INGEST,):
            self._add(self._service(name)).wait_ready()

    def _move_database(self, stack: ExitStack) -> None:
        """Put the database's tables on a tmpfs; the write-ahead log stays where it is.

        A full log makes PostgreSQL stop; that is a supervisor's business, and kill-database's.
        """
        # PostgreSQL may run as another user, who must be able to walk there.
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="foremend-drill-")))
        folder.chmod(0o711)
        disk = stack.enter_context(mounted(folder / "database", SMALL_DATABASE_BYTES))
        account = self.postgres.cluster.stat()
        os.chown(disk.folder, account.st_uid, account.st_gid)
        statements = (
            sql.SQL("CREATE TABLESPACE drill LOCATION {}").format(str(disk.folder)),
            sql.SQL("ALTER DATABASE {} SET TABLESPACE drill").format(sql.Identifier(site.DATABASE)),
        )
        with connect(self.postgres.url(), name="drill") as superuser:
            for statement in statements:
                superuser.execute(statement)
        self.database_disk = disk

    def _add(self, service: Service) -> ProcessPart:
        log = self._home.folder("log") / f"{service.name}.log"
        part = self._parts[service.name] = ProcessPart(service, log)
        part.start()
        return part

    def _service(self, name: str) -> Service:
        told = service_environment(self._home, self._site, self.broker, tenant=TENANT)
        if name == API:
            return _api(told)
        if name in WORKERS:
            return self._ingest(name, told)
        return foremend_service(name, told)

    def _ingest(self, name: str, told: dict[str, str]) -> Service:
        told["FOREMEND_INGEST_LEASED"] = str(self.kind is Kind.TWO_WORKERS).lower()
        service = foremend_service(name, told)
        argv = self.programs.ingest or ("-m", "stack", INGEST)
        return replace(
            service, command=lambda: replace(service.command(), argv=(sys.executable, *argv))
        )

    def _stop_all(self) -> None:
        for part in reversed(self._parts.values()):
            part.resume()
            part.stop()


def _api(told: dict[str, str]) -> Service:
    port = free_port()
    told["FOREMEND_API_PORT"] = str(port)
    return foremend_service(API, told, ready=lambda: answers(f"http://{LOOPBACK}:{port}/readyz"))
