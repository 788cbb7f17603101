"""What to do with the messages of one batch, given what the database knows; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from foremend import values, wire
from foremend.clock import DAY_MS
from ingest import seqset
from ingest.frames import StoredMessage
from ingest.intake import Accepted, Refused

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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSchema:
    """A list of channels that the database knows."""

    schema_id: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A numbered message of a known boot."""

    accepted: Accepted
    boot: KnownBoot
    seq: int


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
    touched: dict[BootKey, KnownBoot] = field(default_factory=dict)

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions in which something new stands, ascending."""
        boots = {b.boot_id: b.partition for b in self.touched.values()}
        fresh = {m.boot_id for m in self.frames} | {b.boot_id for b, _ in self.events}
        return tuple(sorted({boots[boot_id] for boot_id in fresh}))


def boot_key(accepted: Accepted) -> BootKey:
    """Name the boot that a message belongs to."""
    return (accepted.address.tenant, accepted.address.device, accepted.message.boot)


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
        boot = boots.get(boot_key(accepted))
        if boot is None or _unknown_schema(accepted, schemas):
            plan.strangers.append(accepted)
            continue
        plan.touched[boot_key(accepted)] = boot
        _admit(plan, accepted, boot, schemas, boots.get(lost_boot_key(accepted)), now_ms)
    return plan


def _unknown_schema(accepted: Accepted, schemas: Mapping[str, KnownSchema]) -> bool:
    message = accepted.message
    return isinstance(message, wire.Data) and message.schema not in schemas


def _admit(
    plan: Plan,
    accepted: Accepted,
    boot: KnownBoot,
    schemas: Mapping[str, KnownSchema],
    lost: KnownBoot | None,
    now_ms: Millis,
) -> None:
    message = accepted.message
    assert isinstance(message, wire.Data | wire.Event | wire.Result)  # noqa: S101 - the caller's promise
    key = (boot.device_id, boot.boot_id)
    have = plan.got.get(key, seqset.EMPTY)
    if seqset.contains(have, message.seq):
        plan.duplicates += 1
        return
    refusal = _refusal(accepted, boot, schemas, now_ms)
    if refusal is not None:
        plan.refused.append(refusal)
        return
    plan.got[key] = seqset.union(have, [(message.seq, message.seq + 1)])
    _keep(plan, message, boot, schemas, lost)


def _keep(
    plan: Plan,
    message: wire.Data | wire.Event | wire.Result,
    boot: KnownBoot,
    schemas: Mapping[str, KnownSchema],
    lost: KnownBoot | None,
) -> None:
    if isinstance(message, wire.Data):
        schema = schemas[message.schema]
        plan.frames.append(
            StoredMessage(
                device_id=boot.device_id,
                boot_id=boot.boot_id,
                schema_id=schema.schema_id,
                data=message,
            )
        )
    elif isinstance(message, wire.Result):
        plan.results.append((boot, message))
    else:
        plan.events.append((boot, message))
        if message.code == values.GAP:
            _note_gap(plan, message, lost)


def _note_gap(plan: Plan, event: wire.Event, lost: KnownBoot | None) -> None:
    """Settle what the agent says it gave up, so that nobody waits for it and all can see it."""
    first, last = event.details.get("first"), event.details.get("last")
    if lost is None or not isinstance(first, int) or not isinstance(last, int):
        return
    key, reason = (lost.device_id, lost.boot_id), str(event.details.get("reason", ""))
    have = plan.got.get(key, seqset.EMPTY)
    # What was stored, and only its acknowledgement lost, is no gap.
    plan.gaps += [(lost, hole, reason) for hole in seqset.missing(have, first, last + 1)]
    plan.got[key] = seqset.union(have, [(first, last + 1)])


def _refusal(
    accepted: Accepted,
    boot: KnownBoot,
    schemas: Mapping[str, KnownSchema],
    now_ms: Millis,
) -> Refused | None:
    message = accepted.message
    if not isinstance(message, wire.Data):
        return None
    frames, width = message.frames, schemas[message.schema].width
    if len(frames.values) != width:
        return _refuse(
            accepted, "wrong_width", f"{len(frames.values)} channels, the schema has {width}"
        )
    first = frames.t0_ms + frames.offset_ms[0]
    if first < max(EARLIEST_MS, boot.booted_ms - EARLIEST_BEFORE_BOOT_MS):
        return _refuse(accepted, "too_early", "more than a day before its boot, or before 1990")
    last = frames.t0_ms + frames.offset_ms[-1]
    ahead = LATEST_AFTER_NOW_MS if boot.timeline == "live" else FARTHEST_AHEAD_MS
    if last > now_ms + ahead:
        return _refuse(accepted, "too_late", f"{(last - now_ms) / 1000:.0f} s in the future")
    return None


def _refuse(accepted: Accepted, reason: str, detail: str) -> Refused:
    return Refused(arrival=accepted.arrival, address=accepted.address, reason=reason, detail=detail)
