"""One batch, one transaction: births, receipts, frames, events, log positions, commit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from foremend import wire
from foremend.clock import to_datetime
from foremend.db import EVERY_TENANT, Queries, storage, transaction
from foremend.errors import Unavailable
from foremend.values import PART_REPLACED, Timeline
from ingest import acks, frames, rows, seqset
from ingest.plan import BootKey, KnownBoot, KnownSchema, Plan, boot_key, lost_boot_key, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from foremend.clock import Millis
    from foremend.db import Connection
    from ingest.acks import Told
    from ingest.intake import Accepted, Refused

_SQL: Final = Queries.load("ingest", "ingest.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What one commit did."""

    told: tuple[Told, ...]
    messages: int
    frames: int
    duplicates: int
    strangers: int
    refused: tuple[Refused, ...]


@dataclass(slots=True)
class _Known:
    """What this process remembers of the database; only ever of what was committed."""

    boots: dict[BootKey, KnownBoot]
    schemas: dict[str, KnownSchema]


class PostgresStore:
    """Stores batches over one connection; the caller makes a new one when the server is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known = _Known({}, {})

    def commit(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        """Store a batch whole or not at all.

        Raises:
            Unavailable: the database is gone, or could not do it now; nothing was stored.
            psycopg.Error: something in the batch cannot be stored; nothing was.
        """
        try:
            with transaction(self._connection, tenant=EVERY_TENANT) as connection:
                batch = _Batch(connection, self._known)
                committed = batch.store(accepted, refused, now_ms)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable(f"the database does not answer: {error}") from error
        # Remembered only now: ids of a transaction that was rolled back mean nothing.
        self._known.boots.update(batch.boots)
        self._known.schemas.update(batch.schemas)
        return committed


class _Batch:
    """The work of one transaction."""

    def __init__(self, connection: Connection, known: _Known) -> None:
        self._connection = connection
        self._known = known
        self.boots: dict[BootKey, KnownBoot] = {}
        self.schemas: dict[str, KnownSchema] = {}
        self._log: list[tuple[int, str, dict[str, Any]]] = []
        """Births to log: partition, kind, payload."""

    def store(
        self, accepted: Sequence[Accepted], refused: Sequence[Refused], now_ms: Millis
    ) -> Committed:
        numbered = [a for a in accepted if isinstance(a.message, wire.NUMBERED)]
        self._learn(accepted)
        for one in accepted:
            if isinstance(one.message, wire.Birth):
                self._introduce(one, one.message)
        plan = self._plan(accepted, numbered, now_ms)
        self._write(plan)
        for one in accepted:
            if isinstance(one.message, wire.Status):
                self._note_status(one, one.message)
        self._quarantine([*refused, *plan.refused])
        all_refused = (*refused, *plan.refused)
        return Committed(
            told=tuple(acks.after_commit(plan, all_refused)),
            messages=len(plan.frames) + len(plan.events) + len(plan.results),
            frames=sum(len(m.data.frames.offset_ms) for m in plan.frames),
            duplicates=plan.duplicates,
            strangers=len(plan.strangers),
            refused=all_refused,
        )

    def _learn(self, accepted: Sequence[Accepted]) -> None:
        """Load the boots and schemas that this process has not met."""
        keys = {boot_key(a) for a in accepted} | {lost_boot_key(a) for a in accepted}
        self.boots = {k: self._known.boots[k] for k in keys if k in self._known.boots}
        strangers = sorted(keys - self.boots.keys())
        if strangers:
            tenants, devices, boots = zip(*strangers, strict=True)
            wanted = {"tenants": list(tenants), "devices": list(devices), "boots": list(boots)}
            for row in self._connection.execute(_SQL["boots"], wanted):
                self.boots[row[0], row[1], row[2]] = rows.known_boot(row[3:])
        self._learn_schemas(
            {a.message.schema for a in accepted if isinstance(a.message, wire.Data)}
        )

    def _learn_schemas(self, hashes: set[str]) -> None:
        self.schemas = {h: self._known.schemas[h] for h in hashes if h in self._known.schemas}
        missing = sorted(hashes - self.schemas.keys())
        if missing:
            for name, schema_id, width in self._connection.execute(
                _SQL["schemas"], {"hashes": missing}
            ):
                self.schemas[name] = KnownSchema(schema_id=schema_id, width=width)

    def _introduce(self, accepted: Accepted, birth: wire.Birth) -> None:
        key, name = boot_key(accepted), wire.digest(accepted.arrival.payload)
        known = self.boots.get(key)
        if known is not None and known.birth == name:
            return
        schema_id = self._scalar(
            "put_schema", hash=birth.schema, channels=Jsonb(msgspec.to_builtins(birth.channels))
        )
        self.schemas[birth.schema] = KnownSchema(schema_id=schema_id, width=len(birth.channels))
        device_id = self._put_device(accepted.address, birth)
        boot_id = self._put_boot(device_id, schema_id, birth, name)
        self.boots[key] = KnownBoot(
            device_id=device_id,
            boot_id=boot_id,
            partition=accepted.address.partition,
            timeline=birth.timeline,
            booted_ms=birth.boot_ms,
            birth=name,
        )
        payload = rows.birth_payload(accepted.address, birth, device_id, boot_id, schema_id)
        self._log.append((accepted.address.partition, "birth", payload))

    def _put_device(self, address: wire.Address, birth: wire.Birth) -> int:
        kind = Timeline.parse(birth.timeline).kind.value
        self._connection.execute(_SQL["put_timeline"], {"name": birth.timeline, "kind": kind})
        device_id = self._scalar(
            "put_device",
            tenant=address.tenant,
            timeline=birth.timeline,
            name=address.device,
            partition=address.partition,
            family=birth.family,
            model=birth.model,
            firmware=birth.firmware,
        )
        fitted = [
            {
                "device_id": device_id,
                "instance": c.instance,
                "kind": c.kind,
                "serial": c.serial,
                "installed_at": None
                if c.installed_at_ms is None
                else to_datetime(c.installed_at_ms),
            }
            for c in birth.components
        ]
        self._many("put_component", fitted)
        return device_id

    def _put_boot(self, device_id: int, schema_id: int, birth: wire.Birth, name: str) -> int:
        return self._scalar(
            "put_boot",
            device_id=device_id,
            name=birth.boot,
            booted_at=to_datetime(birth.boot_ms),
            clock=birth.clock,
            schema_id=schema_id,
            agent=birth.agent,
            birth=name,
        )

    def _plan(
        self, accepted: Sequence[Accepted], numbered: Sequence[Accepted], now_ms: Millis
    ) -> Plan:
        receipts = self._lock_receipts({(b.device_id, b.boot_id) for b in self.boots.values()})
        plan = make_plan(
            numbered, boots=self.boots, schemas=self.schemas, receipts=receipts, now_ms=now_ms
        )
        for one in accepted:
            if isinstance(one.message, wire.Birth):
                plan.touched[boot_key(one)] = self.boots[boot_key(one)]
        return plan

    def _lock_receipts(self, keys: set[tuple[int, int]]) -> dict[tuple[int, int], seqset.SeqSet]:
        ordered = sorted(keys)
        locked = self._connection.execute(
            _SQL["lock_receipts"],
            {"devices": [d for d, _ in ordered], "boots": [b for _, b in ordered]},
        )
        return {(device_id, boot_id): seqset.parse(got) for device_id, boot_id, got in locked}

    def _write(self, plan: Plan) -> None:
        self._put_receipts(plan)
        batch_id = self._scalar("next_batch") if plan.frames or plan.events else None
        if batch_id is not None:
            self._put_frames(plan, batch_id)
            self._put_events(plan, batch_id)
        self._many("put_results", [rows.result_row(boot, result) for boot, result in plan.results])
        self._many("put_gaps", [rows.gap_row(*gap) for gap in plan.gaps])
        self._append_log(plan, batch_id)

    def _put_receipts(self, plan: Plan) -> None:
        ordered = sorted(plan.got)
        self._connection.execute(
            _SQL["put_receipts"],
            {
                "devices": [d for d, _ in ordered],
                "boots": [b for _, b in ordered],
                "got": [seqset.literal(plan.got[key]) for key in ordered],
            },
        )

    def _put_frames(self, plan: Plan, batch_id: int) -> None:
        if not plan.frames:
            return
        latest: dict[int, Millis] = {}
        for m in plan.frames:
            last = m.data.frames.t0_ms + m.data.frames.offset_ms[-1]
            latest[m.device_id] = max(last, latest.get(m.device_id, last))
        first = min(m.data.frames.t0_ms for m in plan.frames)
        last = max(latest.values())
        storage.ensure_room(self._connection, to_datetime(first), to_datetime(last))
        storage.copy_frames(self._connection, frames.encode(plan.frames, batch_id))
        self._touch(latest)

    def _touch(self, latest: dict[int, Millis]) -> None:
        ordered = sorted(latest)
        times = [to_datetime(latest[device_id]) for device_id in ordered]
        self._connection.execute(_SQL["touch_devices"], {"devices": ordered, "ts": times})
        self._connection.execute(_SQL["advance_timelines"], {"devices": ordered, "ts": times})

    def _put_events(self, plan: Plan, batch_id: int) -> None:
        happened = [rows.event_row(boot, event, batch_id) for boot, event in plan.events]
        self._many("put_events", happened)
        replaced = [
            {
                "device_id": boot.device_id,
                "instance": event.component,
                "at": to_datetime(event.ts_ms),
                "serial": event.details.get("serial"),
            }
            for boot, event in plan.events
            if event.code == PART_REPLACED and event.component
        ]
        self._many("replace_component", replaced)

    def _append_log(self, plan: Plan, batch_id: int | None) -> None:
        """Take log positions last, so that they stand in the order in which commits happen."""
        entries: list[tuple[int, str, int | None, dict[str, Any]]] = [
            (partition, kind, None, payload) for partition, kind, payload in self._log
        ]
        if batch_id is not None:
            entries += [(p, "batch", batch_id, {}) for p in plan.partitions]
        if not entries:
            return
        counts = Counter(partition for partition, *_ in entries)
        partitions = sorted(counts)
        heads = self._connection.execute(
            _SQL["advance_heads"],
            {"partitions": partitions, "counts": [counts[p] for p in partitions]},
        ).fetchall()
        following = {partition: pos - counts[partition] for partition, pos in heads}
        placed = []
        for partition, kind, batch, payload in entries:
            following[partition] += 1
            pos = following[partition]
            row = {"partition": partition, "pos": pos, "kind": kind, "batch_id": batch}
            placed.append(row | {"payload": Jsonb(payload)})
        self._many("put_log", placed)
        self._connection.execute(_SQL["notify"])

    def _note_status(self, accepted: Accepted, status: wire.Status) -> None:
        tenant, device, boot = boot_key(accepted)
        at = to_datetime(status.ts_ms)
        row = {"tenant": tenant, "device": device, "boot": boot, "state": status.state, "at": at}
        self._connection.execute(_SQL["put_status"], row)

    def _quarantine(self, refused: Iterable[Refused]) -> None:
        self._many("put_quarantine", [rows.quarantine_row(one) for one in refused])

    def _scalar(self, block: str, **params: object) -> int:
        row = self._connection.execute(_SQL[block], params).fetchone()
        assert row is not None  # noqa: S101 - these statements give one row
        return int(row[0])

    def _many(self, block: str, params: Sequence[dict[str, Any]]) -> None:
        if params:
            self._connection.cursor().executemany(_SQL[block], params)
