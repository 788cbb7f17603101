"""The field-service process: alerts become orders, and time and telemetry move them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from field_service import application
from field_service.metrics import MOVED, OPENED
from field_service.postgres import LISTEN, postgres_desk
from field_service.watch import look_at
from foremend.db import EVERY_TENANT, transaction
from foremend.db.listen import attend
from foremend.log import get_logger

if TYPE_CHECKING:
    import threading

    from foremend.db import Connection
    from foremend.settings import Settings

_log = get_logger(__name__)


def run(settings: Settings, stop: threading.Event) -> None:
    """Open orders and watch over them until `stop` is set."""

    def work(connection: Connection) -> bool:
        while open_next(connection, settings.verify_hours):
            pass
        watch_all(connection, settings.verify_hours)
        return False

    attend(
        settings.database_url.get_secret_value(),
        name="field-service",
        listen=LISTEN,
        work=work,
        stop=stop,
    )


def open_next(connection: Connection, verify_hours: float) -> bool:
    """Act on the oldest waiting alert in one transaction; False where none waits."""
    with transaction(connection, tenant=EVERY_TENANT):
        desk = postgres_desk(connection, verify_hours)
        alert = desk.inbox.next_alert()
        if alert is None:
            return False
        order = application.open_from_alert(desk, alert)
        said = application.describe(desk, order) if order else None
    if order is not None:
        OPENED.labels(order.strategy.value if order.strategy else "none").inc()
        _log.info("work order opened", device=order.device, order=said)
    return True


def watch_all(connection: Connection, verify_hours: float) -> int:
    """Look once at every order that may move by itself, each in its own transaction."""
    last, moved = 0, 0
    while True:
        with transaction(connection, tenant=EVERY_TENANT):
            desk = postgres_desk(connection, verify_hours)
            order = desk.inbox.next_watched(last)
            if order is None:
                return moved
            after = look_at(desk, order)
        last = order.id
        if after.version != order.version:
            moved += 1
            MOVED.labels(after.state.value).inc()
            _log.info("work order moved", order=after.name, state=after.state.value)
