"""Looking at an installation: gathers the facts that the checks judge. Changes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from foremend.db import bootstrap, connect, storage
from foremend.errors import ForemendError
from stack.checks import Broker, Database, Facts, Finding, Folder, Port, Programs, diagnose
from stack.embedded import pg_install
from stack.embedded.broker import find_program
from stack.embedded.datadir import LOCK, lock_holder, refuse_foreign
from stack.embedded.mqtt_probe import Login, probe
from stack.embedded.ports import holder, is_free
from stack.embedded.postgres import account_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from foremend.settings import Settings


def examine(settings: Settings, ports: Mapping[int, str] | None = None) -> tuple[Finding, ...]:
    """Check an installation; `ports` are those it must have free, with what each is for."""
    wanted = {settings.api_port: "the console"} if ports is None else ports
    return diagnose(gather(settings, wanted))


def gather(settings: Settings, ports: Mapping[int, str]) -> Facts:
    """Look everything up once."""
    folder = settings.data_dir.expanduser().absolute()
    # Who names a database runs the services apart, against a broker that is given, too.
    given = bool(settings.database_url.get_secret_value())
    return Facts(
        python=sys.version_info[:2],
        euid=os.geteuid(),
        folder=look_at_folder(folder),
        programs=look_at_programs(folder),
        ports=tuple(look_at_port(n, purpose) for n, purpose in ports.items() if n),
        database=look_at_database(settings) if given else None,
        broker=look_at_broker(settings) if given or settings.broker_user else None,
    )


def look_at_folder(path: Path) -> Folder:
    """See whose the data folder is, and whether it can be used."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if existing != path:
        return Folder(path=path, exists=False, free=free)
    found, refusal = path.stat(), None
    try:
        refuse_foreign(path)
    except ForemendError as error:
        refusal = str(error)
    except OSError as error:
        refusal = f"{path} cannot be read ({error.strerror}); choose another with --data-dir."
    return Folder(
        path=path,
        exists=True,
        owner=found.st_uid,
        mode=found.st_mode,
        refusal=refusal,
        used_by=lock_holder(path) if _locked(path) else None,
        free=free,
    )


def look_at_programs(folder: Path) -> Programs:
    """Find the servers that come along, as a start would."""
    broker, broker_refusal = None, ""
    try:
        program = find_program()
        broker = f"{program.kind.value} from {program.source} ({program.path})"
    except ForemendError as error:
        broker_refusal = str(error)
    try:
        install = pg_install.find_install()
    except ForemendError as error:
        return Programs(
            postgres=None,
            postgres_refusal=str(error),
            broker=broker,
            broker_refusal=broker_refusal,
        )
    account = account_for(folder / "postgres").account
    return Programs(
        postgres=f"{install.major} from {install.source.value} ({install.bin_dir})",
        timescaledb=pg_install.timescaledb_version(install),
        runs_as=None if account is None else account.uid,
        runs_in_place=account is None or pg_install.runnable_by(install, account),
        broker=broker,
        broker_refusal=broker_refusal,
    )


def look_at_port(number: int, purpose: str) -> Port:
    """See whether a port is free, and who has it where it is not."""
    free = is_free(number)
    return Port(number=number, purpose=purpose, free=free, holder=None if free else holder(number))


def look_at_database(settings: Settings) -> Database:
    """Ask the given database who it is and where its schema stands."""
    wanted = bootstrap.newest_revision()
    try:
        with connect(settings.database_url.get_secret_value(), name="doctor") as connection:
            return Database(
                revision=bootstrap.present_revision(connection),
                wanted=wanted,
                timescaledb=storage.in_use(connection).timescaledb,
            )
    except ForemendError as error:
        return Database(refusal=str(error), wanted=wanted)


def look_at_broker(settings: Settings) -> Broker:
    """Ask the given broker to let us in."""
    password = settings.broker_password.get_secret_value() if settings.broker_password else ""
    login = Login(user=settings.broker_user, password=password) if settings.broker_user else None
    tls = ssl.create_default_context() if settings.broker_tls else None
    answer = probe(settings.broker_host, settings.broker_port, login, tls=tls)
    return Broker(address=f"{settings.broker_host}:{settings.broker_port}", answer=answer)


def _locked(path: Path) -> bool:
    """Whether a living process holds the folder's lock; it is tried for a moment, and let go."""
    with suppress(OSError):
        lock = os.open(path / LOCK, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False
