"""The composition root of the ingest process."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import stamina

from foremend.clock import wall_ms
from foremend.db import connect
from foremend.errors import ConfigurationError, Unavailable
from foremend.log import get_logger
from ingest.aside import LateLane
from ingest.inbox import Inbox
from ingest.late import Lane
from ingest.metrics import METRICS
from ingest.mqtt import Subscriber
from ingest.sparkplug.app import front_door
from ingest.store import PostgresStore, alive
from ingest.tasks import Watch
from ingest.worker import Worker

if TYPE_CHECKING:
    import threading

    from foremend.settings import Settings

_log = get_logger(__name__)


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop` is set.

    Raises:
        ConfigurationError: no database is named.
        Unavailable: the broker did not come up within a minute.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("ingest needs FOREMEND_DATABASE_URL")
    _calm_collector()
    watch, inbox = Watch(stop), Inbox()
    subscriber = Subscriber(settings, inbox, "foremend-ingest", died=watch.died)
    late = LateLane(lambda: _open(url, Lane.LATE), subscriber, wall_ms)
    worker = Worker(lambda: _open(url, Lane.LIVE), subscriber, wall_ms, inbox, late)
    METRICS.watch(inbox)
    for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=60):
        with attempt:
            subscriber.start()
    try:
        with front_door(settings, stop), watch.task("late", late.run):
            worker.run(stop)
    finally:
        subscriber.stop()
    watch.check()


def _open(url: str, lane: Lane) -> PostgresStore:
    return PostgresStore(connect(alive(url), name=f"ingest-{lane.value}"), lane)


def _calm_collector() -> None:
    """Look for cycles seldom: a batch makes a hundred thousand lists and not one cycle.

    At the usual threshold decoding spends three quarters of its time being looked at.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
