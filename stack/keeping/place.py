"""Where the database is: named by the settings, or the embedded one of a data folder."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from foremend.errors import ConfigurationError
from stack.embedded.datadir import DataDirInUse, open_data_dir
from stack.embedded.ports import LOOPBACK
from stack.embedded.postgres import SUPERUSER, EmbeddedPostgres
from stack.embedded.server import serving
from stack.site import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from foremend.settings import Settings

_PORT_LINE = 3
"""Of postmaster.pid, counted from 0 (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PORT)."""


@contextmanager
def reached(settings: Settings, data_dir: Path) -> Iterator[str]:
    """Give the URL by which all of the database can be read.

    That is FOREMEND_OWNER_URL where it is set; else the superuser's of the data folder's own
    server, which is started for the length of the block where it does not run.

    Raises:
        ConfigurationError: neither is there.
    """
    url = settings.owner_url.get_secret_value()
    if url:
        yield url
        return
    path = data_dir.expanduser().absolute()
    if not (path / "postgres").is_dir():
        raise ConfigurationError(
            f"{path} holds no database: name it with --data-dir, or set FOREMEND_OWNER_URL"
        )
    try:
        home = open_data_dir(path)
    except DataDirInUse:
        yield running_url(path)
        return
    with home:
        server = EmbeddedPostgres(home)
        with serving(server):
            yield server.url(DATABASE)
        server.close()


def running_url(path: Path) -> str:
    """Give the superuser's URL of the server that runs on a data folder.

    Raises:
        ConfigurationError: it does not say where it listens.
    """
    try:
        told = (path / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        port = int(told[_PORT_LINE])
        password = (path / "keys" / "postgres").read_text(encoding="ascii").strip()
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError(
            f"{path} is in use, and its database is not up: try again in a moment"
        ) from error
    return f"postgresql://{SUPERUSER}:{quote(password)}@{LOOPBACK}:{port}/{DATABASE}"
