"""What has happened since the last look: new predictions, steps of alerts and of work orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import dict_row

from foremend.db import EVERY_TENANT, Queries, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.accounts import User
    from foremend.db import Connection

SQL: Final = Queries.load("api", "stream.sql")
KINDS: Final = ("prediction", "alert", "work_order")
RESYNC: Final = "resync"
"""Some news was lost on the way: whoever hears this reads everything again."""
BACK: Final = 500
"""How many ids behind the newest may still be committed late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that happened, and who may hear of it."""

    kind: str
    id: str
    tenant: str
    region: str
    body: dict[str, Any] = field(default_factory=dict)

    def concerns(self, user: User) -> bool:
        """Tell whether the user may hear of it; resync concerns everybody."""
        if self.kind == RESYNC:
            return True
        return self.tenant == user.tenant and user.region in {None, self.region}


@dataclass(slots=True)
class Mark:
    """How far one kind has been read."""

    newest: int
    told: set[int] = field(default_factory=set)

    @property
    def floor(self) -> int:
        """Rows up to here are settled."""
        return max(self.newest - BACK, 0)

    def pass_(self, ids: Iterable[int]) -> None:
        """Remember what was read, and forget what is settled."""
        self.told.update(ids)
        self.newest = max(self.newest, *self.told) if self.told else self.newest
        self.told = {i for i in self.told if i > self.floor}


class Reader:
    """Reads news in the order of their ids, each once; begins at the present."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] | None = None

    def read(self, connection: Connection) -> list[News]:
        """Give what is new for every tenant."""
        with transaction(connection, tenant=EVERY_TENANT):
            if self._marks is None:
                self._marks = _present(connection)
            return [
                one for kind, mark in self._marks.items() for one in _read(connection, kind, mark)
            ]


def _present(connection: Connection) -> dict[str, Mark]:
    row = connection.cursor(row_factory=dict_row).execute(SQL["newest"]).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM gives one row
    marks = {kind: Mark(newest=row[kind]) for kind in KINDS}
    for kind, mark in marks.items():
        mark.pass_(item["id"] for item in _rows(connection, kind, mark))
    return marks


def _read(connection: Connection, kind: str, mark: Mark) -> list[News]:
    rows = _rows(connection, kind, mark)
    mark.pass_(row["id"] for row in rows)
    return [
        News(
            kind=kind,
            id=f"{kind}-{row['id']}",
            tenant=row.pop("tenant"),
            region=row["region"],
            body=row,
        )
        for row in rows
    ]


def _rows(connection: Connection, kind: str, mark: Mark) -> list[dict[str, Any]]:
    return (
        connection.cursor(row_factory=dict_row)
        .execute(SQL[kind], {"floor": mark.floor, "told": list(mark.told)})
        .fetchall()
    )
