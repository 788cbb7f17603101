"""Work as soon as the database says that there is some, and now and then without being told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from foremend import ready
from foremend.db.connection import connect
from foremend.errors import Unavailable
from foremend.log import get_logger

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from foremend.db.connection import Connection

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 10.0
_log = get_logger(__name__)


def attend(
    url: str,
    *,
    name: str,
    listen: bytes,
    work: Callable[[Connection], bool],
    stop: threading.Event,
    poll_s: float = 0.5,
) -> None:
    """Call `work` at once, at each notice and every `poll_s` seconds, until `stop` is set.

    `listen` is a LISTEN statement; `work` gives True where more may be waiting, and is then called
    again without a pause. A lost database is waited for, 0.2 s doubling to 10 s.
    """
    wait = _FIRST_WAIT_S
    while not stop.is_set():
        try:
            with connect(url, name=name) as connection:
                connection.execute(listen)
                ready.announce()
                while not stop.is_set():
                    _work_off(connection, work, stop)
                    wait = _FIRST_WAIT_S
                    _pause(connection, poll_s)
        except (Unavailable, psycopg.OperationalError) as error:
            _log.warning("database lost, trying again", wait_s=wait, error=str(error).strip())
            stop.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)


def _work_off(
    connection: Connection, work: Callable[[Connection], bool], stop: threading.Event
) -> None:
    while work(connection) and not stop.is_set():
        pass


def _pause(connection: Connection, poll_s: float) -> None:
    for _ in connection.notifies(timeout=poll_s, stop_after=1):
        pass
