"""Rows for the database, from messages; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg.types.json import Jsonb

from foremend import wire
from foremend.clock import to_datetime, to_ms
from ingest.plan import KnownBoot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.intake import Refused

QUARANTINE_HEAD: Final = 4096
"""Bytes of a refused message that are kept."""


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
        "booted_ms": birth.boot_ms,
        "channels": msgspec.to_builtins(birth.channels),
        "components": msgspec.to_builtins(birth.components),
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


def quarantine_row(one: Refused) -> dict[str, Any]:
    """Give the parameters of `put_quarantine`; PostgreSQL's text holds no NUL."""
    payload = one.arrival.payload
    return {
        "topic": one.arrival.topic[:1024].replace("\0", ""),
        "reason": one.reason,
        "message": one.detail.replace("\0", ""),
        "hash": wire.digest(payload),
        "size": len(payload),
        "head": payload[:QUARANTINE_HEAD],
    }
