"""What can be told of a `foremend up` that runs on this machine, from its data folder alone."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from foremend.db import bootstrap
from stack.embedded.ports import LOOPBACK
from stack.site import DATABASE

if TYPE_CHECKING:
    from pathlib import Path

_PORT_LINE: Final = 3
"""Of postmaster.pid, counted from 0 (PostgreSQL's documentation, section 66.1)."""


def app_url(data_dir: Path) -> str:
    """Give the runtime role's URL of the database that runs there; nothing where none does."""
    with suppress(OSError, IndexError, ValueError):
        lines = (data_dir / "postgres" / "postmaster.pid").read_text(encoding="ascii").split("\n")
        port = int(lines[_PORT_LINE])
        password = (data_dir / "keys" / bootstrap.APP).read_text(encoding="ascii").strip()
        return f"postgresql://{bootstrap.APP}:{quote(password)}@{LOOPBACK}:{port}/{DATABASE}"
    return ""
