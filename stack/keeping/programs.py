"""PostgreSQL's own programs for carrying a database away and back: found, told, and followed."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from foremend.db import EVERY_TENANT
from foremend.errors import ForemendError
from stack.command import Command, spawn
from stack.embedded import pg_install

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stack.embedded.pg_install import Install

_STEP: Final = re.compile(r"(?:dumping contents of|processing data for) table \"([^\"]+)\"")
_KEPT_LINES: Final = 5


class ProgramMissing(ForemendError):
    """PostgreSQL's programs lack one that is needed."""


class ProgramFailed(ForemendError):
    """One of PostgreSQL's programs gave up; its last words say why."""


def program(name: str, *, server: int, install: Install | None = None) -> str:
    """Give the path of `pg_dump` or `pg_restore`, fit for a server of this major version.

    Raises:
        ProgramMissing: there is none, or an older one.
    """
    found = install or pg_install.find_install()
    path = found.bin_dir / name
    if not os.access(path, os.X_OK):
        raise ProgramMissing(
            f"{found.bin_dir} has no {name}: set {pg_install.BIN_VARIABLE} to the programs of a "
            f"PostgreSQL {server} that has it (Debian: postgresql-client-{server})"
        )
    if found.major < server:
        raise ProgramMissing(
            f"{path} is of PostgreSQL {found.major} and the server runs {server}: set "
            f"{pg_install.BIN_VARIABLE} to the programs of PostgreSQL {server}"
        )
    return str(path)


def run(argv: tuple[str, ...], url: str, tell: Callable[[str], None], cwd: Path) -> None:
    """Run one of them on a database, telling of each table it comes to.

    Neither the password nor the tenant stands in its arguments, where others could read it.

    Raises:
        ProgramFailed: it ended badly.
    """
    parts = {k: str(v) for k, v in conninfo_to_dict(url).items() if v is not None}
    password = parts.pop("password", None)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PG")},
        "PGOPTIONS": f"-c foremend.tenant={EVERY_TENANT} -c lock_timeout=60s",
        **({"PGPASSWORD": password} if password else {}),
    }
    command = Command(
        argv=(*argv, "--dbname", make_conninfo(**parts)),
        env=environment,
        cwd=cwd,
    )
    said: list[str] = []
    process = spawn(command, stdout=subprocess.PIPE)
    assert process.stdout is not None  # noqa: S101 - asked for above
    with process.stdout as lines:
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            step = _STEP.search(text)
            if step:
                tell(step[1])
            said = [*said[-_KEPT_LINES:], text]
    if process.wait() != 0:
        raise ProgramFailed(f"{urlsplit(argv[0]).path.rsplit('/', 1)[-1]}: {' | '.join(said)}")
