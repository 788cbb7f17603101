"""What ingest, scoring and a receiving system would do, for tests of alerting and field service."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from field_service import application
from field_service.network import place, seed_network
from field_service.postgres import postgres_desk
from foremend.db import EVERY_TENANT, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)

Row = dict[str, Any]


RESET = """
DELETE FROM part_movement; DELETE FROM finding; DELETE FROM work_order_event;
DELETE FROM work_order; DELETE FROM work_order_counter; DELETE FROM outbox;
DELETE FROM destination; DELETE FROM silence; DELETE FROM alert_event; DELETE FROM alert;
DELETE FROM prediction; DELETE FROM anomaly; DELETE FROM component_hazard; DELETE FROM event;
DELETE FROM frame; DELETE FROM placement; DELETE FROM org_node;
ALTER TABLE alert ALTER id RESTART; ALTER TABLE destination ALTER id RESTART;
"""


class World:
    """One printer on a simulated timeline, and what scoring and ingest would write of it.

    `url` is the runtime role's; one world serves a module, emptied between its tests.
    """

    def __init__(self, superuser_url: str) -> None:
        self.superuser_url = superuser_url
        sign = "&" if "?" in superuser_url else "?"
        self.url = f"{superuser_url}{sign}options=-c%20role%3Dforemend_app"
        self.connection = psycopg.connect(self.url, autocommit=True, row_factory=dict_row)
        self.seq = 0
        with self.transaction():
            self._build()
        self.reset()

    def _build(self) -> None:
        self.run("INSERT INTO timeline VALUES ('sim:t', 'sim', %s)", START)
        self.device = self.run(
            "INSERT INTO device (tenant, timeline, name, partition, family, state)"
            " VALUES ('demo', 'sim:t', 'printer-07', 1, 'fdm_printer', 'online') RETURNING id"
        )[0]["id"]
        self.schema = self.run(
            "INSERT INTO channel_schema (hash, channels) VALUES ('s', '[]') RETURNING id"
        )[0]["id"]
        self.boot = self.run(
            "INSERT INTO boot (device_id, name, booted_at, clock, schema_id, birth)"
            " VALUES (%s, 'b', %s, 'trusted', %s, '') RETURNING id",
            self.device,
            START,
            self.schema,
        )[0]["id"]
        self.run("SELECT ensure_frame_partitions(%s, %s)", START, START + 24 * HOUR)

    def reset(self) -> None:
        """Empty what a test may have filled, and seed the network again."""
        with psycopg.connect(self.superuser_url, autocommit=True) as superuser:
            superuser.execute(RESET)
            superuser.execute("UPDATE timeline SET now_at = %s", [START])
            superuser.execute("UPDATE device SET last_frame_at = NULL")
        with self.transaction():
            seed_network(self.connection, "demo", at=START)
            place(
                self.connection,
                device_id=self.device,
                region="north_america",
                org_node="na-lakeside",
                at=START,
            )

    def close(self) -> None:
        self.connection.close()

    def transaction(self, tenant: str = EVERY_TENANT) -> Any:
        return transaction(self.connection, tenant=tenant)

    def run(self, sql: str, *parameters: object) -> list[Row]:
        cursor = self.connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []

    def query(self, sql: str, *parameters: object) -> list[Row]:
        with self.transaction():
            return self.run(sql, *parameters)

    def rewrite(self, sql: str, *parameters: object) -> None:
        """Change what the runtime role may not: a ledger."""
        with psycopg.connect(self.superuser_url, autocommit=True) as superuser:
            superuser.execute(sql, parameters)

    def now(self, hours: float) -> datetime:
        at = START + hours * HOUR
        self.query("UPDATE timeline SET now_at = greatest(now_at, %s)", at)
        return at

    def predict(self, hours: float, probability: float, mode: str = "fan_wear") -> None:
        at = self.now(hours)
        component = "hotend_fan" if mode == "fan_wear" else "psu"
        with self.transaction():
            self.run(
                "INSERT INTO prediction (device_id, tenant, timeline, component, failure_mode, ts,"
                " above, probability, threshold, horizon_h, p10_h, p50_h, p90_h, reasons,"
                " model_version) VALUES (%s, 'demo', 'sim:t', %s, %s, %s, %s, %s, 0.5, 24, 5, 7,"
                " 9, %s, 'm1')",
                self.device,
                component,
                mode,
                at,
                probability >= 0.5,
                probability,
                Jsonb([{"code": "channel_low", "channel": "fan_speed", "change": -0.31}]),
            )
            self.run(
                "INSERT INTO component_hazard (device_id, component, failure_mode, ts,"
                " probability, horizon_h, model_version) VALUES (%s, %s, %s, %s, %s, 24, 'm1')"
                " ON CONFLICT (device_id, component, failure_mode) DO UPDATE"
                " SET ts = excluded.ts, probability = excluded.probability",
                self.device,
                component,
                mode,
                at,
                probability,
            )
            self.run("SELECT pg_notify('foremend_prediction', '')")

    def frames(self, first: float, last: float, phase: int = 3) -> None:
        with self.transaction():
            self.run(
                "INSERT INTO frame SELECT %s, t, %s, (extract(epoch FROM t))::int8, %s, %s, 0, 1,"
                " '{}' FROM generate_series(%s::timestamptz, %s, '2 minutes') t",
                self.device,
                self.boot,
                self.schema,
                phase,
                START + first * HOUR,
                START + last * HOUR,
            )
            self.run(
                "UPDATE device SET last_frame_at = (SELECT max(ts) FROM frame"
                " WHERE device_id = device.id) WHERE id = %s",
                self.device,
            )
        self.now(last)

    def event(self, hours: float, code: str, component: str | None, severity: str = "info") -> None:
        self.seq += 1
        with self.transaction():
            self.run(
                "INSERT INTO event (device_id, boot_id, seq, ts, code, severity, component,"
                " batch_id) VALUES (%s, %s, %s, %s, %s, %s, %s, 1)",
                self.device,
                self.boot,
                self.seq,
                START + hours * HOUR,
                code,
                severity,
                component,
            )
        self.now(hours)

    def orders(self) -> list[Row]:
        return self.query("SELECT * FROM work_order ORDER BY id")

    def move(self, action: str, **ask: object) -> Any:
        number = self.orders()[-1]["number"]
        with self.transaction("demo"):
            desk = postgres_desk(self.connection)
            return application.move(
                desk, tenant="demo", number=number, action=action, actor="crew", ask=ask
            )


class Receiver:
    """A system that takes webhooks on a free loopback port."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.taken.append((dict(self.headers), body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Give what `check` gives as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > end:
            raise AssertionError("it never came to be")
        time.sleep(0.01)
    return found
