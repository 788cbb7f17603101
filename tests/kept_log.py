"""An input log for tests of what follows it: devices, and batches as ingest commits them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from foremend.db import EVERY_TENANT, Connection, storage, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday, where a week's section begins."""
CHANNELS = ({"name": "temp", "unit": "Cel"}, {"name": "power", "unit": "1"})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One frame of one device."""

    device: int
    at: datetime
    seq: int
    values: Sequence[float | None]
    phase: int = 3
    schema: int = 1
    boot: int | None = None


@dataclass(kw_only=True)
class KeptLog:
    """Writes to one migrated database; numbers of boots are those of their devices."""

    connection: Connection
    partitions: dict[int, int] = field(default_factory=dict)

    def run(self, sql: str, *parameters: object) -> list[tuple]:
        with transaction(self.connection, tenant=EVERY_TENANT):
            cursor = self.connection.execute(sql.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def schema(self, channels: Sequence[dict[str, str]] = CHANNELS) -> int:
        text = json.dumps(list(channels))
        sql = "INSERT INTO channel_schema (hash, channels) VALUES (md5(%s), %s) RETURNING id"
        return self.run(sql, text, text)[0][0]

    def device(self, name: str, *, timeline: str = "sim:test", partition: int = 0) -> int:
        """Make a device and its boot, and the first schema where there is none."""
        if not self.run("SELECT 1 FROM channel_schema"):
            self.schema()
        self.run(
            "INSERT INTO timeline (name, kind) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            timeline, timeline.split(":", maxsplit=1)[0],
        )  # fmt: skip
        ((device,),) = self.run(
            "INSERT INTO device (tenant, timeline, name, partition, last_seen_at)"
            " VALUES ('demo', %s, %s, %s, now()) RETURNING id",
            timeline, name, partition,
        )  # fmt: skip
        self.run(
            "INSERT INTO boot (id, device_id, name, booted_at, clock, schema_id, birth)"
            " OVERRIDING SYSTEM VALUE VALUES (%s, %s, 'b1', %s, 'ntp', 1, '')",
            device, device, START,
        )  # fmt: skip
        self.partitions[device] = partition
        return device

    def commit(self, readings: Sequence[Reading]) -> int:
        """Store readings, their receipts and log entries in one transaction; gives the batch."""
        with transaction(self.connection, tenant=EVERY_TENANT) as link:
            ((batch,),) = link.execute(b"SELECT nextval('batch_id')").fetchall()
            for day in {r.at.date(): r.at for r in readings}.values():
                storage.ensure_room(link, day, day)
            rows = [
                (
                    r.device,
                    r.at,
                    r.boot or r.device,
                    r.seq,
                    r.schema,
                    r.phase,
                    batch,
                    [v if v is None else float(v) for v in r.values],
                )
                for r in readings
            ]
            link.cursor().executemany(
                b"INSERT INTO frame (device_id, ts, boot_id, seq, schema_id, phase, quality,"
                b" batch_id, vals) VALUES (%s, %s, %s, %s, %s, %s, 0, %s, %s)",
                rows,
            )
            self._settle(link, readings)
            self._log(link, sorted({self.partitions[r.device] for r in readings}), batch)
            self._advance(link, readings)
        return batch

    def settle(self, device: int, first: int, end: int) -> None:
        """Give a receipt for [first, end) without storing anything."""
        self.run(
            "INSERT INTO receipt AS r VALUES (%s, %s, int8multirange(int8range(%s, %s)))"
            " ON CONFLICT (device_id, boot_id) DO UPDATE SET got = r.got + excluded.got",
            device, device, first, end,
        )  # fmt: skip

    def scored(self) -> None:
        """Let scoring's snapshots stand at the end of the log."""
        self.run("DELETE FROM scoring_cursor")
        self.run(
            "INSERT INTO scoring_cursor (consumer, partition, output_pos, snapshot_pos)"
            " SELECT 'live', partition, pos, pos FROM partition_head"
        )

    @staticmethod
    def _settle(link: Connection, readings: Sequence[Reading]) -> None:
        got = Counter((r.device, r.boot or r.device, r.seq) for r in readings)
        link.cursor().executemany(
            b"INSERT INTO receipt AS r VALUES (%s, %s, int8multirange(int8range(%s, %s)))"
            b" ON CONFLICT (device_id, boot_id) DO UPDATE SET got = r.got + excluded.got",
            [(device, boot, seq, seq + 1) for device, boot, seq in got],
        )

    @staticmethod
    def _log(link: Connection, partitions: list[int], batch: int) -> None:
        for partition in partitions:
            ((pos,),) = link.execute(
                b"UPDATE partition_head SET pos = pos + 1 WHERE partition = %s RETURNING pos",
                (partition,),
            ).fetchall()
            link.execute(
                b"INSERT INTO input_log (partition, pos, kind, batch_id)"
                b" VALUES (%s, %s, 'batch', %s)",
                (partition, pos, batch),
            )

    @staticmethod
    def _advance(link: Connection, readings: Sequence[Reading]) -> None:
        for reading in readings:
            link.execute(
                b"UPDATE timeline t SET now_at = greatest(t.now_at, %s) FROM device d"
                b" WHERE d.id = %s AND t.name = d.timeline AND t.kind <> 'live'",
                (reading.at, reading.device),
            )


def at(seconds: float) -> datetime:
    """Give the moment so long after the start."""
    return START + timedelta(seconds=seconds)
