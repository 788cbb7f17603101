"""Carries what is to be sent down, again and again, until it is answered or has expired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from psycopg.rows import dict_row

from foremend.db import EVERY_TENANT, Queries, transaction
from foremend.log import get_logger
from foremend.wire import Address, Down
from ingest.downlink import sealing

if TYPE_CHECKING:
    from foremend.db import Connection
    from foremend.keys import SigningKey

    Cursor = Any

MOST: Final = 200
"""Sendings in one round."""
_SQL: Final = Queries.load("ingest.downlink", "downlink.sql")
LISTEN: Final = _SQL["listen"]

_log = get_logger(__name__)


class Voice(Protocol):
    """Speaks to devices; does not wait for the network."""

    def say(self, topic: str, payload: bytes) -> None:
        """Send at QoS 0, so that nothing is kept for whoever is not there."""


class Courier:
    """Works off what stands in the database, one round at a time."""

    def __init__(self, voice: Voice, key: SigningKey) -> None:
        self._voice = voice
        self._key = key

    def round(self, connection: Connection) -> bool:
        """Follow the answers, end what has expired, send what is due; True where more is due."""
        with (
            transaction(connection, tenant=EVERY_TENANT),
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            for block in ("follow", "expire", "give_up", "follow_twins"):
                cursor.execute(_SQL[block])
            commands, twins = self._commands(cursor), self._twins(cursor)
        # What a crash keeps from being said is said again when it is due again.
        for address, kind, payload in [*commands, *twins]:
            self._voice.say(address.down(kind), payload)
        return max(len(commands), len(twins)) == MOST

    def _commands(self, cursor: Cursor) -> list[tuple[Address, Down, bytes]]:
        found = cursor.execute(_SQL["due_commands"], {"most": MOST}).fetchall()
        sent = []
        for row in found:
            payload = bytes(row["payload"] or sealing.command(row, self._key))
            again_s = sealing.again_after_s(row["sends"] + 1)
            values = {"id": row["id"], "payload": payload, "again_s": again_s}
            cursor.execute(_SQL["command_sent"], values)
            sent.append((_address(row), Down.COMMAND, payload))
            _log.info("command", id=row["id"], device=row["device"], sends=row["sends"] + 1)
        return sent

    def _twins(self, cursor: Cursor) -> list[tuple[Address, Down, bytes]]:
        found = cursor.execute(_SQL["due_twins"], {"most": MOST}).fetchall()
        sent = []
        for row in found:
            payload = bytes(row["payload"] or sealing.configuration(row, self._key))
            again_s = sealing.again_after_s(row["sends"] + 1)
            whose = {name: row[name] for name in ("tenant", "device", "version")}
            cursor.execute(_SQL["twin_sent"], {**whose, "payload": payload, "again_s": again_s})
            sent.append((_address(row), Down.CONFIG, payload))
        return sent


def _address(row: dict[str, Any]) -> Address:
    return Address(tenant=row["tenant"], device=row["device"])
