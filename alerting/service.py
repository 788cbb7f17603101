"""The alerting process: one loop decides, another delivers; either's death stops both."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx
import psycopg

from alerting.batch import BATCH, handle, look_at_clock
from alerting.courier import Courier
from alerting.outbox_store import LISTEN as LISTEN_OUTBOX
from alerting.outbox_store import PostgresOutbox
from alerting.postgres import LISTEN, PostgresAlerts
from alerting.send import TIMEOUT, AppriseSender, SenderByKind, WebhookSender
from foremend.db import EVERY_TENANT, connect, transaction
from foremend.db.listen import attend
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from foremend.db import Connection
    from foremend.settings import Settings

DELIVERY_POLL_S: Final = 0.25


def run(settings: Settings, stop: threading.Event) -> None:
    """Turn evaluations into alerts and deliver the outbox until `stop` is set."""
    url = settings.database_url.get_secret_value()
    failures: list[BaseException] = []

    def deliver() -> None:
        _deliver(url, sender(settings), stop)

    side = threading.Thread(
        target=_stopping, args=(deliver, stop, failures), name="alerting-delivery"
    )
    side.start()
    try:
        attend(url, name="alerting", listen=LISTEN, work=decide_once, stop=stop)
    finally:
        stop.set()
        side.join()
    if failures:
        raise failures[0]


def decide_once(connection: Connection) -> bool:
    """Handle one batch and look at the clock once; True where more rows wait."""
    with transaction(connection, tenant=EVERY_TENANT):
        handled = handle(PostgresAlerts(connection), BATCH)
    with transaction(connection, tenant=EVERY_TENANT):
        look_at_clock(PostgresAlerts(connection))
    return handled == BATCH


def sender(settings: Settings) -> SenderByKind:
    """Build the ways out as the settings allow them."""
    private = settings.allow_private_destinations
    # Proxies of the environment would be asked to resolve the name again, past the guard.
    client = httpx.Client(timeout=TIMEOUT, trust_env=False)
    return SenderByKind(
        {
            "webhook": WebhookSender(
                client=client, clock=lambda: datetime.now(UTC), allow_private=private
            ),
            "apprise": AppriseSender(allow_private=private),
        }
    )


def _deliver(url: str, way: SenderByKind, stop: threading.Event) -> None:
    courier = Courier(sender=way, chance=random.random)

    def work(connection: Connection) -> bool:
        return courier.step(PostgresOutbox(connection))

    attend(
        url,
        name="alerting-delivery",
        listen=LISTEN_OUTBOX,
        work=work,
        stop=stop,
        poll_s=DELIVERY_POLL_S,
    )
    if courier.waits():
        # Outcomes that cannot be written any more come back when their leases end.
        with suppress(Unavailable, psycopg.OperationalError), connect(url, name="delivery") as last:
            courier.close(PostgresOutbox(last))


def _stopping(
    task: Callable[[], None], stop: threading.Event, failures: list[BaseException]
) -> None:
    """Run a side task; however it ends, the process ends with it, and with its error."""
    try:
        task()
    except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
        failures.append(error)
    finally:
        stop.set()
