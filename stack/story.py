"""The running system told in lines that a person would read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api import evidence, wording
from api.story import subject
from field_service import application
from field_service.postgres import postgres_desk
from foremend.db import EVERY_TENANT, Queries, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psycopg

SQL: Final = Queries.load("stack", "story.sql")
_SAID: Final = {
    "accept": "accepted by the owner",
    "ship": "kit on its way",
    "start": "kit arrived, work begun",
    "close": "closed, telemetry says it runs well again; the finding is a label now",
    "reopen": "reopened, telemetry says it is not repaired",
    "lapse": "withdrawn, nobody took it up and its time has passed",
    "cancel": "cancelled",
    "cannot_complete": "cannot be completed",
    "part_seen": "part replaced before the order was taken up",
}


class Teller:
    """Tells what has happened on one timeline since it was last asked."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]], timeline: str) -> None:
        self._connection = connection
        self._timeline = timeline
        with transaction(connection, tenant=EVERY_TENANT):
            last = connection.execute(SQL["last_told"]).fetchone() or {"alerts": 0, "moves": 0}
        self._alerts, self._moves = last["alerts"], last["moves"]

    def go_on(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        """Ask over another connection from now on; what was told is not told again."""
        self._connection = connection

    def news(self) -> list[str]:
        """Give the lines that are new, oldest first."""
        with transaction(self._connection, tenant=EVERY_TENANT):
            return [*self._alerted(), *self._moved()]

    def _alerted(self) -> Iterator[str]:
        asked = {"after": self._alerts, "timeline": self._timeline}
        for row in self._connection.execute(SQL["alerted"], asked).fetchall():
            self._alerts = row["id"]
            yield foreseen(row) if row["kind"] == "failure" else reported(row)

    def _moved(self) -> Iterator[str]:
        asked = {"after": self._moves, "timeline": self._timeline}
        for row in self._connection.execute(SQL["moves"], asked).fetchall():
            self._moves = row["id"]
            if row["action"] == "open":
                desk = postgres_desk(self._connection)
                yield application.describe(desk, desk.orders.get(row["tenant"], row["number"]))
            elif row["action"] == "fit":
                yield f"WO-{row['number']}: fitted, the old part was {found(row)}"
            elif row["action"] in _SAID:
                yield f"WO-{row['number']}: {_SAID[row['action']]}"


def foreseen(row: Mapping[str, Any]) -> str:
    """Say what is foreseen.

    `printer-07 hot-end fan: failure in 5-9 h (p = .93), hot-end fan speed -31%`
    """
    when = (
        f"in {wording.span(row['p10_h'], row['p90_h'])}"
        if row["p10_h"] is not None and row["p90_h"] is not None
        else f"within {wording.hours(row['horizon_h'])}"
    )
    chance = f"{row['probability']:.2f}".removeprefix("0")
    why = evidence.headline(row["evidence"])
    line = f"{row['device']} {wording.words(row['component'])}: failure {when} (p = {chance})"
    return f"{line}, {why}" if why else line


def reported(row: Mapping[str, Any]) -> str:
    """Say what a device itself told.

    `printer-07 hot-end heater: heater not heating, as the device says`
    """
    told = subject(row["kind"], row["component"], row["failure_mode"])
    sign = " " if row["component"] else ": "
    return f"{row['device']}{sign}{told}, as the device says"


def found(row: Mapping[str, Any]) -> str:
    """Say in which condition a part was found."""
    return wording.words(row["as_found"])
