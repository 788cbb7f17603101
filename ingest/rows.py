"""Rows for the database, from messages; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg.types.json import Jsonb

from foremend import wire
from foremend.clock import to_datetime, to_ms
from foremend.values import PART_REPLACED
from ingest.plan import KnownBoot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.intake import Refused

QUARANTINE_HEAD: Final = 4096
"""Bytes of a refused message that are kept for good."""
QUARANTINE_WHOLE: Final = 1024**2
"""Bytes of whole messages that one commit keeps: a flood of them must not fill the disk."""


def known_boot(row: Sequence[Any]) -> KnownBoot:
    """Read a row of the block `boots` from its device id on."""
    device_id, boot_id, partition, timeline, booted_at, birth = row
    return KnownBoot(
        device_id=device_id,
        boot_id=boot_id,
        partition=partition,
        timeline=timeline,
        booted_ms=to_ms(booted_at),
        birth=birth,
    )


def array(numbers: Iterable[int]) -> str:
    """Write a PostgreSQL array; much cheaper than letting the driver look at each number."""
    return "{" + ",".join(map(str, numbers)) + "}"


def birth_payload(
    address: wire.Address, birth: wire.Birth, device_id: int, boot_id: int, schema_id: int
) -> dict[str, Any]:
    """Say in the input log what a birth introduced."""
    return {
        "device_id": device_id,
        "boot_id": boot_id,
        "schema_id": schema_id,
        "tenant": address.tenant,
        "name": address.device,
        "timeline": birth.timeline,
        "family": birth.family,
        "model": birth.model,
        "booted_ms": birth.boot_ms,
        "channels": msgspec.to_builtins(birth.channels),
        "components": msgspec.to_builtins(birth.components),
    }


def component_row(device_id: int, fitted: wire.Component) -> dict[str, Any]:
    """Give the parameters of `put_component`."""
    at_ms = fitted.installed_at_ms
    return {
        "device_id": device_id,
        "instance": fitted.instance,
        "kind": fitted.kind,
        "serial": fitted.serial,
        "installed_at": None if at_ms is None else to_datetime(at_ms),
    }


def event_row(boot: KnownBoot, event: wire.Event, batch_id: int) -> dict[str, Any]:
    """Give the parameters of `put_events`."""
    return {
        "device_id": boot.device_id,
        "boot_id": boot.boot_id,
        "seq": event.seq,
        "ts": to_datetime(event.ts_ms),
        "code": event.code,
        "severity": event.severity,
        "component": event.component,
        "details": Jsonb(event.details),
        "batch_id": batch_id,
    }


def replacement_rows(events: Iterable[tuple[KnownBoot, wire.Event]]) -> list[dict[str, Any]]:
    """Give the parameters of `replace_component`, for events that name a new part."""
    return [
        {
            "device_id": boot.device_id,
            "instance": event.component,
            "at": to_datetime(event.ts_ms),
            "serial": event.details.get("serial"),
        }
        for boot, event in events
        if event.code == PART_REPLACED and event.component
    ]


def result_row(boot: KnownBoot, result: wire.Result) -> dict[str, Any]:
    """Give the parameters of `put_results`."""
    return {
        "device_id": boot.device_id,
        "boot_id": boot.boot_id,
        "seq": result.seq,
        "ts": to_datetime(result.ts_ms),
        "command": result.command,
        "state": result.state,
        "reason": result.reason,
        "details": Jsonb(result.details),
    }


def gap_row(boot: KnownBoot, lost: tuple[int, int], reason: str) -> dict[str, Any]:
    """Give the parameters of `put_gaps`; `lost` is half-open."""
    first, end = lost
    row = {"device_id": boot.device_id, "boot_id": boot.boot_id, "first": first, "end": end}
    return row | {"reason": reason}


def quarantine_rows(refused: Iterable[Refused]) -> list[dict[str, Any]]:
    """Give the parameters of `put_quarantine`: as many whole messages as one commit may keep."""
    told, left = [], QUARANTINE_WHOLE
    for one in refused:
        size = len(one.arrival.payload)
        whole = size <= min(left, wire.MAX_PAYLOAD)
        left -= size if whole else 0
        told.append(_quarantine_row(one, whole=whole))
    return told


def _quarantine_row(one: Refused, *, whole: bool) -> dict[str, Any]:
    """PostgreSQL's text holds no NUL."""
    payload = one.arrival.payload
    return {
        "topic": one.arrival.topic[:1024].replace("\0", ""),
        "reason": one.reason,
        "message": one.detail.replace("\0", ""),
        "hash": wire.digest(payload),
        "size": len(payload),
        "head": payload[:QUARANTINE_HEAD],
        "payload": payload if whole else None,
    }


def log_columns(
    births: Iterable[tuple[int, dict[str, Any]]], partitions: Iterable[int], batch_id: int | None
) -> dict[str, Any]:
    """Give the entries of one commit as columns: births first, then a batch for each partition."""
    entries: list[tuple[int, str, int | None, str]] = [
        (partition, "birth", None, msgspec.json.encode(payload).decode())
        for partition, payload in births
    ]
    entries += [(partition, "batch", batch_id, "{}") for partition in sorted(partitions)]
    counts: dict[int, int] = {}
    ordinals = []
    for partition, *_ in entries:
        counts[partition] = counts.get(partition, 0) + 1
        ordinals.append(counts[partition])
    return {
        "partitions": array(partition for partition, *_ in entries),
        "ordinals": array(ordinals),
        "kinds": [kind for _, kind, _, _ in entries],
        "batches": [batch for _, _, batch, _ in entries],
        "payloads": [payload for *_, payload in entries],
    }
