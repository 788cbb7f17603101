"""The work of one transaction: births, receipts, frames, events, log positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from foremend import wire
from foremend.clock import to_datetime, to_ms
from foremend.db import Queries, storage
from foremend.errors import ForemendError, Remedy
from foremend.values import TimelineKind
from ingest import acks, frames, rows, seqset
from ingest.introduce import introduce, many, scalar
from ingest.late import Lane, live_since
from ingest.leases import LeaseLost
from ingest.plan import (
    KnownBoot,
    KnownSchema,
    Plan,
    boot_key,
    earliest,
    lost_boot_key,
    make_plan,
)
from ingest.room import make_room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from foremend.clock import Millis
    from foremend.db import Connection
    from ingest.acks import Told
    from ingest.intake import Accepted, Refused
    from ingest.known import Known
    from ingest.plan import BootKey
    from ingest.seqset import SeqSet

_SQL: Final = Queries.load("ingest", "ingest.sql")
Slot = tuple[int, int]
_LIVE: Final = str(TimelineKind.LIVE.value)
"""The timeline whose clock is the wall."""


class Overtaken(ForemendError):
    """A late message was stored by somebody else meanwhile; it is planned anew."""

    remedy = Remedy.RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What one commit did."""

    told: tuple[Told, ...]
    messages: int
    frames: int
    duplicates: int
    strangers: int
    refused: tuple[Refused, ...]
    late: tuple[Accepted, ...] = ()
    """Not stored: these want a transaction of their own."""
    gaps: int = 0
    lag_s: float | None = None
    """How old the newest frame of the live timeline was; None where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which a batch is stored."""

    now_ms: Millis
    lane: Lane = Lane.LIVE
    wary: bool = False
    fences: Mapping[int, int] | None = None
    """Per partition that this worker has leased; None where one worker has all."""


@dataclass(slots=True)
class Batch:
    """Stores what it is given in the caller's transaction."""

    link: Connection
    known: Known
    terms: Terms
    boots: dict[BootKey, KnownBoot] = field(default_factory=dict)
    schemas: dict[str, KnownSchema] = field(default_factory=dict)
    clocks: dict[str, Millis] = field(default_factory=dict)
    latest: dict[int, Millis] = field(default_factory=dict)
    """Per device id, its newest frame here."""
    due: dict[int, Millis] = field(default_factory=dict)
    """Those of `latest` whose devices' rows are brought up to date by this."""
    monotonic_s: float = 0.0
    _births: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """To log: partition and payload."""

    def store(self, accepted: Sequence[Accepted], refused: Sequence[Refused]) -> Committed:
        """Store a batch."""
        self._learn(accepted)
        births = [a for a in accepted if isinstance(a.message, wire.Birth)]
        for one in births:
            self._introduce(one)
        numbered, late = self._sort([a for a in accepted if isinstance(a.message, wire.NUMBERED)])
        plan = self._plan(numbered, births)
        self._write(plan)
        for one in accepted:
            if isinstance(one.message, wire.Status):
                self._note_status(one, one.message)
        all_refused = (*refused, *plan.refused)
        many(self.link, "put_quarantine", rows.quarantine_rows(all_refused))
        return Committed(
            told=tuple(acks.after_commit(plan, all_refused)),
            messages=len(plan.frames) + len(plan.events) + len(plan.results),
            frames=sum([len(m.data.frames.offset_ms) for m in plan.frames]),
            duplicates=plan.duplicates,
            strangers=len(plan.strangers),
            refused=all_refused,
            late=tuple(late),
            gaps=len(plan.gaps),
            lag_s=(self.terms.now_ms - plan.now[_LIVE]) / 1000 if _LIVE in plan.now else None,
        )

    def _learn(self, accepted: Sequence[Accepted]) -> None:
        """Load the boots and schemas that this process has not met."""
        known = self.known
        keys = {boot_key(a) for a in accepted}
        keys |= {lost_boot_key(a) for a in accepted if isinstance(a.message, wire.Event)}
        self.boots = {k: known.boots[k] for k in keys if k in known.boots}
        strangers = sorted(keys - self.boots.keys())
        if strangers:
            tenants, devices, boots = map(list, zip(*strangers, strict=True))
            wanted = {"tenants": tenants, "devices": devices, "boots": boots}
            for row in self.link.execute(_SQL["boots"], wanted):
                boot = self.boots[row[0], row[1], row[2]] = rows.known_boot(row[3:9])
                if row[9] is not None:
                    self.clocks[boot.timeline] = to_ms(row[9])
        hashes = {a.message.schema for a in accepted if isinstance(a.message, wire.Data)}
        self.schemas = {h: known.schemas[h] for h in hashes if h in known.schemas}
        missing = sorted(hashes - self.schemas.keys())
        if missing:
            found = self.link.execute(_SQL["schemas"], {"hashes": missing})
            for name, schema_id, width in found:
                self.schemas[name] = KnownSchema(schema_id=schema_id, width=width)

    def _introduce(self, accepted: Accepted) -> None:
        birth = accepted.message
        assert isinstance(birth, wire.Birth)  # noqa: S101 - the caller's promise
        known = self.boots.get(boot_key(accepted))
        if known is not None and known.birth == wire.digest(accepted.arrival.payload):
            return
        schema = self.schemas.get(birth.schema) or self.known.schemas.get(birth.schema)
        boot, schema = introduce(self.link, accepted, birth, schema)
        self.boots[boot_key(accepted)] = boot
        self.schemas[birth.schema] = schema
        payload = rows.birth_payload(
            accepted.address, birth, boot.device_id, boot.boot_id, schema.schema_id
        )
        self._births.append((boot.partition, payload))

    def _sort(self, numbered: list[Accepted]) -> tuple[list[Accepted], list[Accepted]]:
        """Part what is live from what is late; in the late lane everything is in its place."""
        if self.terms.lane is not Lane.LIVE:
            return numbered, []
        since = {timeline: self._live_since(timeline) for timeline in self._timelines()}
        live: list[Accepted] = []
        late: list[Accepted] = []
        for one in numbered:
            message = one.message
            boot = self.boots.get(boot_key(one))
            is_late = (
                boot is not None
                and isinstance(message, wire.Data)
                and earliest(boot) <= message.frames.t0_ms < since[boot.timeline]
            )
            (late if is_late else live).append(one)
        return live, late

    def _timelines(self) -> set[str]:
        return {boot.timeline for boot in self.boots.values()}

    def _live_since(self, timeline: str) -> Millis:
        if timeline == _LIVE:
            return live_since(self.terms.now_ms, wary=self.terms.wary)
        clock = self.known.clocks.get(timeline, self.clocks.get(timeline))
        return 0 if clock is None else live_since(clock, wary=self.terms.wary, played=True)

    def _plan(self, numbered: list[Accepted], births: list[Accepted]) -> Plan:
        locking = self.terms.lane is not Lane.LATE
        wanted = {b.slot for b in self.boots.values()}
        receipts = self._receipts("lock_receipts" if locking else "see_receipts", wanted)
        plan = make_plan(
            numbered,
            boots=self.boots,
            schemas=self.schemas,
            receipts=receipts,
            now_ms=self.terms.now_ms,
        )
        for one in births:
            plan.touched[boot_key(one)] = (one.address, self.boots[boot_key(one)])
        return plan

    def _receipts(self, block: str, slots: set[Slot]) -> dict[Slot, SeqSet]:
        ordered = sorted(slots)
        found = self.link.execute(_SQL[block], _columns(ordered))
        return {(device_id, boot_id): seqset.parse(got) for device_id, boot_id, got in found}

    def _write(self, plan: Plan) -> None:
        if self.terms.lane is not Lane.LATE:
            self._put_receipts(plan)
        batch_id = scalar(self.link, "next_batch") if plan.fresh else None
        if batch_id is not None:
            self._put_frames(plan, batch_id)
            self._put_events(plan, batch_id)
        if self.terms.lane is Lane.LATE:
            self._settle_late(plan)
        many(self.link, "put_results", [rows.result_row(*result) for result in plan.results])
        many(self.link, "put_gaps", [rows.gap_row(*gap) for gap in plan.gaps])
        self._touch(plan)
        self._append_log(plan, batch_id)

    def _settle_late(self, plan: Plan) -> None:
        """Lock the receipts only now, when every wait for an old section lies behind.

        Whoever stored one of these messages in between would be repeated: then all is begun anew.
        """
        fresh = {(m.device_id, m.boot_id, m.data.seq) for m in plan.frames}
        locked = self._receipts("lock_receipts", {(d, b) for d, b, _ in fresh})
        for device_id, boot_id, seq in fresh:
            if seqset.contains(locked.get((device_id, boot_id), seqset.EMPTY), seq):
                raise Overtaken
        self._put_receipts(plan)

    def _put_receipts(self, plan: Plan) -> None:
        ordered = sorted(plan.got)
        if ordered:
            got = ";".join([seqset.literal(plan.got[slot]) for slot in ordered])
            self.link.execute(_SQL["put_receipts"], {**_columns(ordered), "got": got})

    def _put_frames(self, plan: Plan, batch_id: int) -> None:
        if not plan.frames:
            return
        if self.terms.lane is not Lane.LATE:
            make_room(self.link, [m.data.frames for m in plan.frames])
        storage.copy_frames(self.link, frames.encode(plan.frames, batch_id))

    def _put_events(self, plan: Plan, batch_id: int) -> None:
        happened = [rows.event_row(boot, event, batch_id) for boot, event in plan.events]
        many(self.link, "put_events", happened)
        many(self.link, "replace_component", rows.replacement_rows(plan.events))

    def _touch(self, plan: Plan) -> None:
        """Bring the rows of devices and timelines up to date; the latter with every commit."""
        self.latest = plan.latest
        self.due = self.known.due(plan.latest, self.monotonic_s)
        touch_devices(self.link, self.due)
        clocks = {name: at for name, at in plan.now.items() if name != _LIVE}
        if clocks:
            told = {"names": list(clocks), "ms": rows.array(clocks.values())}
            self.link.execute(_SQL["advance_timelines"], told)
            for name, at in clocks.items():
                self.clocks[name] = max(at, self.clocks.get(name, at))

    def _append_log(self, plan: Plan, batch_id: int | None) -> None:
        columns = rows.log_columns(self._births, plan.fresh, batch_id)
        expected = len(columns["kinds"])
        if not expected:
            return
        fences = self.terms.fences
        held = {
            "held": None if fences is None else rows.array(fences),
            "fences": None if fences is None else rows.array(fences.values()),
        }
        if self.link.execute(_SQL["append_log"], columns | held).rowcount != expected:
            raise LeaseLost
        self.link.execute(_SQL["notify"])

    def _note_status(self, accepted: Accepted, status: wire.Status) -> None:
        tenant, device, boot = boot_key(accepted)
        at = to_datetime(status.ts_ms)
        row = {"tenant": tenant, "device": device, "boot": boot, "state": status.state, "at": at}
        self.link.execute(_SQL["put_status"], row)


def touch_devices(link: Connection, latest: Mapping[int, Millis]) -> None:
    """Say in the devices' rows, in one order, when their newest frames were taken."""
    ordered = sorted(latest)
    if ordered:
        newest = rows.array([latest[device_id] for device_id in ordered])
        link.execute(_SQL["touch_devices"], {"devices": rows.array(ordered), "ms": newest})


def _columns(slots: Sequence[Slot]) -> dict[str, str]:
    return {
        "devices": rows.array([d for d, _ in slots]),
        "boots": rows.array([b for _, b in slots]),
    }
