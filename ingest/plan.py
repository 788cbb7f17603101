"""What to do with the messages of one batch, given what the database knows; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import values, wire
from foremend.clock import DAY_MS
from ingest import seqset
from ingest.frames import StoredMessage
from ingest.intake import Accepted, Refused, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from foremend.clock import Millis
    from ingest.seqset import SeqSet

EARLIEST_BEFORE_BOOT_MS: Final = DAY_MS
LATEST_AFTER_NOW_MS: Final = 5 * 60_000
"""Frames outside [boot - 1 day, now + 5 min] are set aside (design, section 5)."""

EARLIEST_MS: Final = 631_152_000_000
"""1990-01-01: nothing that is older was ever sent, and each week costs a partition."""
FARTHEST_AHEAD_MS: Final = 5 * 365 * DAY_MS
"""How far past the wall clock a replayed or simulated timeline may run."""

MOST_SEQ: Final = 2**53
"""As the wire has it (`foremend.wire.Natural`)."""

BootKey = tuple[str, str, str]
"""Tenant, device and boot, as the wire names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBoot:
    """A boot that the database knows."""

    device_id: int
    boot_id: int
    partition: int
    timeline: str
    booted_ms: Millis
    birth: str = ""
    """The digest of the birth that introduced it, so that a repeated one costs nothing."""

    @property
    def slot(self) -> tuple[int, int]:
        """What its receipt goes by: device and boot id."""
        return (self.device_id, self.boot_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSchema:
    """A list of channels that the database knows."""

    schema_id: int
    width: int


@dataclass(slots=True, kw_only=True)
class Plan:
    """What one commit will hold."""

    frames: list[StoredMessage] = field(default_factory=list)
    events: list[tuple[KnownBoot, wire.Event]] = field(default_factory=list)
    results: list[tuple[KnownBoot, wire.Result]] = field(default_factory=list)
    gaps: list[tuple[KnownBoot, tuple[int, int], str]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    strangers: list[Accepted] = field(default_factory=list)
    """Numbered messages of a boot or a schema that nobody has introduced yet."""
    duplicates: int = 0
    got: dict[tuple[int, int], SeqSet] = field(default_factory=dict)
    """Per (device_id, boot_id), what is settled once this commits."""
    touched: dict[BootKey, tuple[wire.Address, KnownBoot]] = field(default_factory=dict)
    latest: dict[int, Millis] = field(default_factory=dict)
    """Per device id, the instant of its newest frame here."""
    now: dict[str, Millis] = field(default_factory=dict)
    """Per timeline, the instant of the newest frame here."""
    fresh: set[int] = field(default_factory=set)
    """The partitions in which something new stands."""


def boot_key(accepted: Accepted) -> BootKey:
    """Name the boot that a message belongs to."""
    address = accepted.address
    return (address.tenant, address.device, accepted.message.boot)


def earliest(boot: KnownBoot) -> Millis:
    """Give the earliest instant that a frame of this boot may have.

    A recording was made whenever it was, and the agent that plays it began only now.
    """
    if boot.timeline.startswith(f"{values.TimelineKind.REPLAY.value}:"):
        return EARLIEST_MS
    return max(boot.booted_ms - EARLIEST_BEFORE_BOOT_MS, EARLIEST_MS)


def lost_boot_key(accepted: Accepted) -> BootKey:
    """Name the boot whose messages a gap event gives up; its own where it names none."""
    tenant, device, boot = boot_key(accepted)
    message = accepted.message
    named = message.details.get("boot") if isinstance(message, wire.Event) else None
    return (tenant, device, named if isinstance(named, str) else boot)


def make_plan(
    numbered: Iterable[Accepted],
    *,
    boots: Mapping[BootKey, KnownBoot],
    schemas: Mapping[str, KnownSchema],
    receipts: Mapping[tuple[int, int], SeqSet],
    now_ms: Millis,
) -> Plan:
    """Sort numbered messages into frames, events, results, gaps, duplicates and refusals."""
    plan = Plan(got=dict(receipts))
    for accepted in numbered:
        key = boot_key(accepted)
        boot = boots.get(key)
        if boot is None or _unknown_schema(accepted.message, schemas):
            plan.strangers.append(accepted)
            continue
        plan.touched[key] = (accepted.address, boot)
        message = accepted.message
        if isinstance(message, wire.Data):
            _admit_data(plan, accepted, message, boot, schemas[message.schema], now_ms)
        elif isinstance(message, wire.Event | wire.Result):
            _admit_rare(plan, message, boot, boots.get(lost_boot_key(accepted)))
    return plan


def _unknown_schema(message: wire.UpMessage, schemas: Mapping[str, KnownSchema]) -> bool:
    return isinstance(message, wire.Data) and message.schema not in schemas


def _admit_data(
    plan: Plan,
    accepted: Accepted,
    message: wire.Data,
    boot: KnownBoot,
    schema: KnownSchema,
    now_ms: Millis,
) -> None:
    device_id, slot = boot.device_id, boot.slot
    have = plan.got.get(slot, seqset.EMPTY)
    if seqset.contains(have, message.seq):
        plan.duplicates += 1
        return
    frames = message.frames
    last = frames.t0_ms + frames.offset_ms[-1]
    wrong = _wrong(frames, last, boot, schema.width, now_ms)
    if wrong is not None:
        plan.refused.append(refuse(accepted, *wrong))
        return
    plan.got[slot] = seqset.add(have, message.seq)
    plan.frames.append(
        StoredMessage(
            device_id=device_id, boot_id=boot.boot_id, schema_id=schema.schema_id, data=message
        )
    )
    plan.fresh.add(boot.partition)
    if last > plan.latest.get(device_id, EARLIEST_MS - 1):
        plan.latest[device_id] = last
        if last > plan.now.get(boot.timeline, EARLIEST_MS - 1):
            plan.now[boot.timeline] = last


def _wrong(
    frames: wire.Frames, last: Millis, boot: KnownBoot, width: int, now_ms: Millis
) -> tuple[str, str] | None:
    """Say why these frames cannot be stored; `last` is the instant of the last of them."""
    if len(frames.values) != width:
        return "wrong_width", f"{len(frames.values)} channels, the schema has {width}"
    if frames.t0_ms + frames.offset_ms[0] < earliest(boot):
        return "too_early", "more than a day before its boot, or before 1990"
    ahead = LATEST_AFTER_NOW_MS if boot.timeline == "live" else FARTHEST_AHEAD_MS
    if last > now_ms + ahead:
        return "too_late", f"{(last - now_ms) / 1000:.0f} s in the future"
    return None


def _admit_rare(
    plan: Plan, message: wire.Event | wire.Result, boot: KnownBoot, lost: KnownBoot | None
) -> None:
    have = plan.got.get(boot.slot, seqset.EMPTY)
    if seqset.contains(have, message.seq):
        plan.duplicates += 1
        return
    plan.got[boot.slot] = seqset.add(have, message.seq)
    if isinstance(message, wire.Result):
        plan.results.append((boot, message))
        return
    plan.events.append((boot, message))
    plan.fresh.add(boot.partition)
    if message.code == values.GAP:
        _note_gap(plan, message, lost)


def _note_gap(plan: Plan, event: wire.Event, lost: KnownBoot | None) -> None:
    """Settle what the agent says it gave up, so that nobody waits for it and all can see it."""
    first, last = event.details.get("first"), event.details.get("last")
    if lost is None or not isinstance(first, int) or not isinstance(last, int):
        return
    if not 0 <= first <= last <= MOST_SEQ:
        return
    reason = str(event.details.get("reason", ""))
    have = plan.got.get(lost.slot, seqset.EMPTY)
    # What was stored, and only its acknowledgement lost, is no gap.
    plan.gaps += [(lost, hole, reason) for hole in seqset.missing(have, first, last + 1)]
    plan.got[lost.slot] = seqset.union(have, [(first, last + 1)])
