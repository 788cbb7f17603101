"""The composition root of the ingest process."""

from __future__ import annotations

import gc
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

import stamina

from foremend import ready, wire
from foremend.clock import wall_ms
from foremend.db import connect
from foremend.errors import ConfigurationError, Unavailable
from ingest.aside import LateLane
from ingest.inbox import Inbox
from ingest.keeper import Keeper
from ingest.late import Lane
from ingest.lease_store import PostgresLeases
from ingest.leases import RANGES, partitions
from ingest.metrics import METRICS
from ingest.mqtt import Subscriber, forget_sessions
from ingest.shares import Shares, session_name
from ingest.sparkplug.app import front_door
from ingest.store import PostgresStore, alive
from ingest.tasks import Watch
from ingest.worker import Worker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from foremend.settings import Settings

ALONE: Final = "foremend-ingest"
"""The broker's session of a worker that has all partitions."""


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve until `stop` is set, alone or beside others that share the partitions.

    Raises:
        ConfigurationError: no database is named.
        Unavailable: the broker did not come up within a minute.
        TaskDied: a part of this process died.
    """
    url = settings.database_url.get_secret_value()
    if not url:
        raise ConfigurationError("ingest needs FOREMEND_DATABASE_URL")
    _calm_collector()
    watch, inbox = Watch(stop), Inbox()
    METRICS.watch(inbox)
    (_run_leased if settings.ingest_leased else _run_alone)(settings, url, inbox, watch)
    watch.check()


def _run_alone(settings: Settings, url: str, inbox: Inbox, watch: Watch) -> None:
    """Take in every partition by one filter."""
    subscriber = Subscriber(settings, inbox, ALONE, died=watch.died)
    late = LateLane(lambda: _open(url, Lane.LATE), subscriber, wall_ms)
    worker = Worker(lambda: _open(url, Lane.LIVE), subscriber, wall_ms, inbox, late)
    for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=60):
        with attempt:
            subscriber.start()
    forget_sessions(settings, map(session_name, range(RANGES)))
    try:
        with front_door(settings, watch.stop), watch.task("late", late.run):
            worker.run(watch.stop)
    finally:
        subscriber.stop()


def _run_leased(settings: Settings, url: str, inbox: Inbox, watch: Watch) -> None:
    """Take in the partitions that are leased, each range by a session that outlives its holder."""
    forget_sessions(settings, [ALONE])

    def session(number: int) -> Subscriber:
        filters = [wire.up_filter(partition) for partition in partitions(number)]
        name = session_name(number)
        return Subscriber(
            settings, inbox, name, filters=filters, died=watch.died, welcome=lambda: None
        )

    shares = Shares(session)
    leases = PostgresLeases(lambda: connect(alive(url), name="ingest-leases"))
    keeper = Keeper(leases, shares, worker_name(), ready.announce)
    late = LateLane(
        lambda: _open(url, Lane.LATE, keeper.fences), shares, wall_ms, holds=keeper.holds
    )
    worker = Worker(
        lambda: _open(url, Lane.LIVE, keeper.fences),
        shares,
        wall_ms,
        inbox,
        late,
        holds=keeper.holds,
    )
    try:
        with (
            front_door(settings, watch.stop),
            watch.task("leases", keeper.run),
            watch.task("late", late.run),
        ):
            worker.run(watch.stop)
    finally:
        shares.stop()
        keeper.leave()
        leases.close()


def worker_name() -> str:
    """Name this process as no other one is or was named."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _open(
    url: str, lane: Lane, fences: Callable[[], Mapping[int, int] | None] = lambda: None
) -> PostgresStore:
    return PostgresStore(connect(alive(url), name=f"ingest-{lane.value}"), lane, fences)


def _calm_collector() -> None:
    """Look for cycles seldom: a batch makes a hundred thousand lists and not one cycle.

    At the usual threshold decoding spends three quarters of its time being looked at.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
