"""A birth in the database: its timeline, schema, device, components and boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg.types.json import Jsonb

from foremend import wire
from foremend.clock import to_datetime
from foremend.db import Queries
from foremend.values import Timeline
from ingest import rows
from ingest.plan import KnownBoot, KnownSchema

if TYPE_CHECKING:
    from foremend.db import Connection
    from ingest.intake import Accepted

_SQL: Final = Queries.load("ingest", "ingest.sql")


def introduce(
    link: Connection, accepted: Accepted, birth: wire.Birth, schema: KnownSchema | None
) -> tuple[KnownBoot, KnownSchema]:
    """Make a device and its boot known, or bring them up to date."""
    if schema is None:
        schema = _put_schema(link, birth)
    device_id = _put_device(link, accepted.address, birth)
    name = wire.digest(accepted.arrival.payload)
    boot = KnownBoot(
        device_id=device_id,
        boot_id=_put_boot(link, device_id, schema.schema_id, birth, name),
        partition=accepted.address.partition,
        timeline=birth.timeline,
        booted_ms=birth.boot_ms,
        birth=name,
    )
    return boot, schema


def _put_schema(link: Connection, birth: wire.Birth) -> KnownSchema:
    channels = Jsonb(msgspec.to_builtins(birth.channels))
    # A schema that another one commits at this moment is seen by the second look alone.
    for _ in range(2):
        row = link.execute(_SQL["put_schema"], {"hash": birth.schema, "channels": channels})
        found = row.fetchone()
        if found is not None:
            break
    assert found is not None  # noqa: S101 - it was there, or we made it
    return KnownSchema(schema_id=found[0], width=len(birth.channels))


def _put_device(link: Connection, address: wire.Address, birth: wire.Birth) -> int:
    kind = Timeline.parse(birth.timeline).kind.value
    link.execute(_SQL["put_timeline"], {"name": birth.timeline, "kind": kind})
    device_id = scalar(
        link,
        "put_device",
        tenant=address.tenant,
        timeline=birth.timeline,
        name=address.device,
        partition=address.partition,
        family=birth.family,
        model=birth.model,
        firmware=birth.firmware,
    )
    many(link, "put_component", [rows.component_row(device_id, c) for c in birth.components])
    return device_id


def _put_boot(
    link: Connection, device_id: int, schema_id: int, birth: wire.Birth, name: str
) -> int:
    return scalar(
        link,
        "put_boot",
        device_id=device_id,
        name=birth.boot,
        booted_at=to_datetime(birth.boot_ms),
        clock=birth.clock,
        schema_id=schema_id,
        agent=birth.agent,
        birth=name,
    )


def scalar(link: Connection, block: str, **params: object) -> int:
    """Run a block that gives one number."""
    row = link.execute(_SQL[block], params).fetchone()
    assert row is not None  # noqa: S101 - these statements give one row
    return int(row[0])


def many(link: Connection, block: str, params: list[dict[str, Any]]) -> None:
    """Run a block once for each row."""
    if params:
        link.cursor().executemany(_SQL[block], params)
