"""The front door's own composition root, beside the ingest worker in the same process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from foremend.clock import wall_ms
from foremend.db import connect
from foremend.log import get_logger
from ingest.late import Lane
from ingest.sparkplug.aside import Aside
from ingest.sparkplug.door import Door
from ingest.sparkplug.host import Host, Ruling
from ingest.sparkplug.link import Link
from ingest.sparkplug.place import Place
from ingest.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    aside = Aside(lambda: _late_store(settings), wall_ms)
    door = make_door(settings, aside)
    threads = [
        threading.Thread(target=_serve, args=(run, stop), name=name)
        for name, run in (("sparkplug", door.run), ("sparkplug-late", aside.run))
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _open_store(settings: Settings, lane: Lane) -> PostgresStore:
    url = settings.database_url.get_secret_value()
    return PostgresStore(connect(url, name=f"sparkplug-{lane.value}"), lane)


@contextmanager
def _late_store(settings: Settings) -> Iterator[PostgresStore]:
    store = _open_store(settings, Lane.LATE)
    with store.connection:
        yield store


def make_door(settings: Settings, aside: Aside) -> Door:
    """Put the front door together."""

    def open_place() -> Place:
        store = _open_store(settings, Lane.LIVE)
        return Place(store.connection, store)

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
        aside=aside,
        now_ms=wall_ms,
    )


def _serve(run: Callable[[threading.Event], None], stop: threading.Event) -> None:
    try:
        run(stop)
    finally:
        if not stop.is_set():
            _log.critical("the Sparkplug front door died; ingest stops")
            stop.set()
