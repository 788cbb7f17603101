"""Shows out who may no longer stay: at each notice of the database, and in rounds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from foremend.log import get_logger
from ingest.gate import store

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from foremend.db import Connection
    from ingest.gate.decide import Credential, Session

SWEEP_S: Final = 20.0
"""All sessions are looked over so often: a gate that was away may have missed a revocation."""
RECENT_S: Final = 60.0

_log = get_logger(__name__)


class Sessions(Protocol):
    """The sessions of devices at a broker."""

    async def sessions_of(self, logins: Iterable[str]) -> list[Session]:
        """Give those of some logins."""

    async def everybody(self) -> list[Session]:
        """Give them all."""

    async def cut(self, sessions: Sequence[Session], valid: Mapping[str, Credential]) -> int:
        """End those that may not stay; gives their number."""


class Usher:
    """Holds the broker's sessions against the database."""

    def __init__(
        self,
        sessions: Sessions,
        ask: Callable[[Coroutine[Any, Any, Any]], Any],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._ask = ask
        self._steady = steady
        self._swept_at: float | None = None

    def look(self, connection: Connection) -> bool:
        """Cut off whose credentials have changed; gives False, since nothing more is waiting."""
        if self._sweep_is_due():
            found = self._ask(self._sessions.everybody())
            self._swept_at = self._steady()
        else:
            logins = store.changed(connection, within_s=RECENT_S)
            found = self._ask(self._sessions.sessions_of(logins))
        if found:
            valid = store.credentials(connection, [session.login for session in found])
            self._ask(self._sessions.cut(found, valid))
        return False

    def _sweep_is_due(self) -> bool:
        return self._swept_at is None or self._steady() - self._swept_at >= SWEEP_S
