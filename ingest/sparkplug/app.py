"""The front door's own composition root, beside the ingest worker in the same process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from foremend.clock import wall_ms
from foremend.db import connect
from foremend.log import get_logger
from ingest.sparkplug.door import Door
from ingest.sparkplug.host import Host, Ruling
from ingest.sparkplug.link import Link
from ingest.sparkplug.place import Place
from ingest.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foremend.settings import Settings

_log = get_logger(__name__)


@contextmanager
def front_door(settings: Settings, stop: threading.Event) -> Iterator[None]:
    """Serve Sparkplug edge nodes, where the settings say so, until `stop` is set.

    Should its thread die, `stop` is set, so that the process ends rather than serve half.
    """
    if not settings.sparkplug:
        yield
        return
    door = make_door(settings)
    thread = threading.Thread(target=_serve, args=(door, stop), name="sparkplug")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def make_door(settings: Settings) -> Door:
    """Put the front door together."""
    url = settings.database_url.get_secret_value()

    def open_place() -> Place:
        connection = connect(url, name="sparkplug")
        return Place(connection, PostgresStore(connection))

    ruling = Ruling(
        tenant=settings.tenant,
        groups=settings.sparkplug_groups,
        family=settings.sparkplug_family,
        reorder_ms=round(settings.sparkplug_reorder_s * 1000),
    )
    return Door(
        host=Host(ruling),
        open_place=open_place,
        open_link=lambda inbox: Link(settings, inbox, wall_ms),
        now_ms=wall_ms,
    )


def _serve(door: Door, stop: threading.Event) -> None:
    try:
        door.run(stop)
    finally:
        if not stop.is_set():
            _log.critical("the Sparkplug front door died; ingest stops")
            stop.set()
