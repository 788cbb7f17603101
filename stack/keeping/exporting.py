"""One device's frames to a file, from the command line; the writing itself is the API's."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from api.export import export as written
from foremend.db import Queries, connect, transaction
from foremend.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    import psycopg

    from api.export import Format

TOLD_EVERY: Final = 2**25
"""Bytes."""
_SQL: Final = Queries.load("stack.keeping", "export.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be exported."""

    tenant: str
    device: str
    timeline: str | None
    since: datetime | None
    until: datetime | None
    form: Format


def export(url: str, wanted: Wanted, out: Path, tell: Callable[[str], None]) -> int:
    """Write the file whole or not at all, and give its size in bytes.

    Raises:
        NotFound: no device has the name, or several have and no timeline was given.
        Unavailable: the database does not answer.
    """
    partial = out.with_name(f"{out.name}.partial")
    with connect(url, name="export") as plain:
        connection: psycopg.Connection[Any] = plain
        connection.row_factory = dict_row

        @contextmanager
        def work() -> Iterator[psycopg.Connection[dict[str, Any]]]:
            with transaction(connection, tenant=wanted.tenant) as walled:
                yield walled

        with work() as walled:
            device = _identify(walled, wanted)
        parts = written(work, device, since=wanted.since, until=wanted.until, form=wanted.form)
        size = told = 0
        with partial.open("wb") as file:
            for part in parts:
                size += file.write(part)
                if size - told > TOLD_EVERY:
                    told = size
                    tell(f"{size >> 20} MiB")
    partial.rename(out)
    return size


def _identify(connection: psycopg.Connection[dict[str, Any]], wanted: Wanted) -> int:
    told = {"tenant": wanted.tenant, "name": wanted.device, "timeline": wanted.timeline}
    rows = connection.execute(_SQL["devices"], told).fetchall()
    if not rows:
        raise NotFound(f"no device {wanted.device!r} of {wanted.tenant}")
    if len(rows) > 1:
        names = ", ".join(row["timeline"] for row in rows)
        raise NotFound(f"{wanted.device!r} is on several timelines ({names}): say --timeline")
    return int(rows[0]["id"])
