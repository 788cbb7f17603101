"""A small fleet in the database whose parts fail, as devices and technicians told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from foremend import wire
from foremend.clock import to_datetime, wall_ms
from foremend.db import EVERY_TENANT, transaction
from ingest.intake import Accepted, Arrival, read
from ingest.store import PostgresStore
from tests.scoring_log import CHANNELS, HOUR, PARTS, START, failing_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.db import Connection
    from models.history import History

TENANT, TIMELINE = "t", "sim:t"
MODES = {"fan": "fan_wear", "belt": "belt_wear"}


def said(name: str, kind: wire.Up, message: object) -> Accepted:
    """Give a message as ingest reads it."""
    address = wire.Address(tenant=TENANT, device=name)
    outcome = read(Arrival(topic=address.up(kind), payload=wire.encode(message)))
    assert isinstance(outcome, Accepted), outcome
    return outcome


def channels() -> tuple[wire.Channel, ...]:
    """Give the channels of every device."""
    return tuple(wire.Channel(unit="1", **channel) for channel in CHANNELS[1])


def birth(name: str, family: str = "toy") -> Accepted:
    """Give a device's birth."""
    message = wire.Birth(
        boot="b1",
        boot_ms=START,
        schema=wire.schema_hash(channels()),
        channels=channels(),
        components=tuple(wire.Component(instance=p, kind=p) for p in PARTS),
        family=family,
        model="T1",
        timeline=TIMELINE,
    )
    return said(name, wire.Up.BIRTH, message)


def put_fleet(connection: Connection, devices: int = 16, hours: int = 84) -> History:
    """Let ingest store what the fleet says; gives the same as a history."""
    told = failing_fleet(devices, hours)
    store = PostgresStore(connection)
    store.commit([birth(name) for name in told.devices], [], wall_ms())
    for place, name in enumerate(told.devices):
        store.commit([_frames(told, place, name), *_events(told, place, name)], [], wall_ms())
    return told


def birth_of_fleet(connection: Connection, devices: int) -> None:
    """Let devices be born that say nothing yet."""
    names = failing_fleet(devices, 84).devices
    PostgresStore(connection).commit([birth(name) for name in names], [], wall_ms())


def telling(connection: Connection, *, since_h: int, until_h: int, devices: int) -> None:
    """Let ingest store what devices say from one hour to another, in several commits."""
    told = failing_fleet(devices, 84)
    store = PostgresStore(connection)
    if since_h == 0:
        store.commit([birth(name) for name in told.devices], [], wall_ms())
    for hour in range(since_h, until_h, 6):
        stretch = told.known_at(START + (hour + 6) * HOUR).since(START + hour * HOUR + 1)
        said_now = [
            one
            for place, name in enumerate(told.devices)
            for one in (_frames(stretch, place, name, hour), *_events(stretch, place, name, hour))
        ]
        store.commit(said_now, [], wall_ms())


def says_hourly(name: str, *, hours: int, slower: float) -> Accepted:
    """Give a device's first hours in four frames each; from the middle on its fan is slower."""
    rng = np.random.default_rng(hours)
    count = 4 * hours
    values = rng.normal(10, 1, (count, len(CHANNELS[1])))
    values[count // 2 :, 1] -= slower
    frames = wire.Frames(
        t0_ms=START,
        offset_ms=(np.arange(count) * HOUR // 4).tolist(),
        phase=[3] * count,
        quality=[0] * count,
        values=values.T.tolist(),
    )
    schema = wire.schema_hash(channels())
    return said(name, wire.Up.DATA, wire.Data(boot="b1", seq=0, schema=schema, frames=frames))


def put_findings(connection: Connection, told: History, *, known_after_h: float = 1.0) -> None:
    """Let a technician report, for each part that failed, in what condition it was found."""
    found = told.findings
    with transaction(connection, tenant=EVERY_TENANT):
        ids = dict(connection.execute("SELECT name, id FROM device").fetchall())
        for number, (place, ts, part) in enumerate(
            zip(found.device, found.ts_ms, found.what, strict=True), 1
        ):
            put_finding(
                connection,
                number=number,
                device=ids[told.devices[int(place)]],
                component=PARTS[int(part)],
                at_ms=int(ts),
                known_ms=int(ts + known_after_h * HOUR),
                as_found="failed" if number % 2 else "degraded",
            )


def put_finding(
    connection: Connection,
    *,
    number: int,
    device: int,
    component: str,
    at_ms: int,
    known_ms: int,
    as_found: str = "failed",
    replaced: bool = True,
    verified: str | None = "recovered",
) -> None:
    """Store one closed order and its finding."""
    at, known = to_datetime(at_ms), to_datetime(known_ms)
    order = connection.execute(
        "INSERT INTO work_order (tenant, number, timeline, region, device_id, component,"
        " failure_mode, state, opened_at, state_at, fitted_at)"
        " VALUES (%s, %s, %s, 'x', %s, %s, %s, 'closed', %s, %s, %s) RETURNING id",
        (TENANT, number, TIMELINE, device, component, MODES.get(component, "wear"), at, known, at),
    ).fetchone()
    assert order is not None
    connection.execute(
        "INSERT INTO finding (work_order_id, tenant, timeline, device_id, component, failure_mode,"
        " as_found, replaced, occurred_at, known_at, verified)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            order[0], TENANT, TIMELINE, device, component, MODES.get(component, "wear"), as_found,
            replaced, at, known, verified,
        ),
    )  # fmt: skip


def _frames(told: History, place: int, name: str, seq: int = 0) -> Accepted:
    mine = told.frames.device == place
    ts, values = told.frames.ts_ms[mine], told.frames.values[mine]
    frames = wire.Frames(
        t0_ms=int(ts[0]),
        offset_ms=(ts - ts[0]).tolist(),
        phase=told.frames.phase[mine].tolist(),
        quality=[0] * len(ts),
        values=[[None if np.isnan(v) else v for v in column] for column in values.T.tolist()],
    )
    schema = wire.schema_hash(channels())
    return said(
        name, wire.Up.DATA, wire.Data(boot="b1", seq=10 * seq, schema=schema, frames=frames)
    )


def _events(told: History, place: int, name: str, seq: int = 0) -> Sequence[Accepted]:
    codes = [
        (int(ts), {"code": told.spec.codes[int(q)], "severity": "error"})
        for d, ts, q in zip(told.events.device, told.events.ts_ms, told.events.what, strict=True)
        if d == place
    ]
    swaps: list[tuple[int, dict[str, Any]]] = [
        (int(ts), {"code": "part_replaced", "component": PARTS[int(k)]})
        for d, ts, k in zip(
            told.replacements.device, told.replacements.ts_ms, told.replacements.what, strict=True
        )
        if d == place
    ]
    return [
        said(name, wire.Up.EVENT, wire.Event(boot="b1", seq=i, ts_ms=ts, **fields))
        for i, (ts, fields) in enumerate(sorted([*codes, *swaps], key=lambda e: e[0]), 10 * seq + 1)
    ]
