"""What ingest leaves in the real database, beside what the contract suite asks of any store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from ingest.intake import Accepted, Arrival, Refused, read
from ingest.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = (wire.Channel(name="temp", unit="Cel"), wire.Channel(name="power", unit="1"))
SCHEMA = wire.schema_hash(CHANNELS)
START = 1_767_225_600_000
ADDRESS = wire.Address(tenant="demo", device="printer-01")


@pytest.fixture
def connection(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.app, name="test") as link:
        yield link


@pytest.fixture
def store(connection: Connection) -> PostgresStore:
    return PostgresStore(connection)


def arrival(kind: wire.Up, message: object, address: wire.Address = ADDRESS) -> Accepted:
    outcome = read(Arrival(topic=address.up(kind), payload=wire.encode(message)))
    assert isinstance(outcome, Accepted), outcome
    return outcome


def birth(boot: str = "b1", **changes: object) -> Accepted:
    fields = {
        "boot": boot,
        "boot_ms": START,
        "schema": SCHEMA,
        "channels": CHANNELS,
        "components": (wire.Component(instance="fan", kind="fan", installed_at_ms=START),),
        "family": "fdm_printer",
        "model": "P1",
        "timeline": "sim:test",
    }
    return arrival(wire.Up.BIRTH, wire.Birth(**(fields | changes)))


def data(seq: int, *, boot: str = "b1", values=((20.0, None), (0.5, 0.25))) -> Accepted:
    frames = wire.Frames(
        t0_ms=START + seq * 10_000,
        offset_ms=[0, 1000],
        phase=[3, 3],
        quality=[0, 0],
        values=[list(v) for v in values],
    )
    return arrival(wire.Up.DATA, wire.Data(boot=boot, seq=seq, schema=SCHEMA, frames=frames))


def event(seq: int, code: str, **fields: object) -> Accepted:
    ts_ms = START + seq * 10_000
    return arrival(wire.Up.EVENT, wire.Event(boot="b1", seq=seq, ts_ms=ts_ms, code=code, **fields))


def commit(store: PostgresStore, *accepted: Accepted, refused: tuple[Refused, ...] = ()):
    return store.commit(accepted, refused, wall_ms())


def rows(connection: Connection, query: str) -> list[tuple]:
    with transaction(connection, tenant=EVERY_TENANT):
        return connection.execute(query).fetchall()


def test_frames_are_stored_as_they_were_sent(store, connection) -> None:
    commit(store, birth(), data(0))
    stored = rows(connection, "SELECT vals, phase, seq FROM frame ORDER BY ts")
    assert stored == [([20.0, 0.5], 3, 0), ([None, 0.25], 3, 0)]


def test_log_positions_have_no_holes_and_births_come_first(store, connection) -> None:
    commit(store, birth(), data(0))
    commit(store, data(1))
    commit(store, birth(), data(1))
    log = rows(connection, "SELECT pos, kind FROM input_log ORDER BY pos")
    assert log == [(1, "birth"), (2, "batch"), (3, "batch")]


def test_a_boot_is_dated_once_its_clock_is_trusted_and_never_again(store, connection) -> None:
    for boot_ms, clock in ((0, "held"), (START, "trusted"), (START + 1000, "trusted")):
        commit(store, birth(boot_ms=boot_ms, clock=clock))
    (told,) = rows(connection, "SELECT extract(epoch FROM booted_at)::int8 * 1000, clock FROM boot")
    assert told == (START, "trusted")


def test_a_gap_event_settles_what_it_names(store, connection) -> None:
    details = {"first": 0, "last": 4, "reason": "outbox_full"}
    committed = commit(store, birth(), event(5, "gap", details=details))
    (told,) = committed.told
    assert told.ack.upto == 5
    assert rows(connection, "SELECT lost::text, reason FROM gap") == [("[0,5)", "outbox_full")]


def test_what_was_stored_is_no_gap_whatever_the_agent_believes(store, connection) -> None:
    commit(store, birth(), data(1))
    commit(store, event(4, "gap", details={"first": 0, "last": 3, "reason": "outbox_full"}))
    assert rows(connection, "SELECT lost::text FROM gap ORDER BY lost") == [("[0,1)",), ("[2,4)",)]


def test_a_replaced_part_gets_its_new_age(store, connection) -> None:
    commit(store, birth(), event(0, "part_replaced", component="fan", details={"serial": "N1"}))
    commit(store, event(1, "part_replaced", component="fan", details={"serial": "N2"}))
    assert rows(
        connection, "SELECT serial, extract(epoch FROM installed_at) * 1000 FROM component"
    ) == [("N2", START + 10_000)]


def test_a_wrong_width_is_set_aside_and_refused_by_hash(store, connection) -> None:
    bad = data(0, values=((20.0, 21.0),))
    committed = commit(store, birth(), bad, data(1))
    assert rows(connection, "SELECT reason FROM quarantine") == [("wrong_width",)]
    refusals = [r for told in committed.told for r in told.ack.refused]
    assert [r.hash for r in refusals] == [wire.digest(bad.arrival.payload)]
    assert rows(connection, "SELECT DISTINCT seq FROM frame") == [(1,)]


def test_frames_from_before_the_boot_are_set_aside(store, connection) -> None:
    early = wire.Frames(
        t0_ms=START - 2 * 86_400_000, offset_ms=[0], phase=[0], quality=[0], values=[[1.0], [1.0]]
    )
    commit(
        store,
        birth(),
        arrival(wire.Up.DATA, wire.Data(boot="b1", seq=0, schema=SCHEMA, frames=early)),
    )
    assert rows(connection, "SELECT reason FROM quarantine") == [("too_early",)]


@pytest.fixture
def refusing(migrated_urls) -> None:
    """Let the database refuse what no check of ours foresees."""
    with connect(migrated_urls.owner, name="test") as owner:
        owner.execute("ALTER TABLE event ADD CONSTRAINT whim CHECK (code <> 'poison')")


def test_what_the_database_refuses_is_set_aside_and_the_rest_of_the_batch_is_stored(
    store, connection, refusing
) -> None:
    mixed = [event(i, "poison" if i % 11 == 5 else "fine") for i in range(220)]
    committed = commit(store, birth(), *mixed)
    assert (committed.messages, len(committed.refused)) == (200, 20)
    assert rows(connection, "SELECT count(*) FROM event") == [(200,)]
    kept = rows(connection, "SELECT DISTINCT reason, payload IS NOT NULL FROM quarantine")
    assert kept == [("unstorable", True)]


def test_positions_stay_without_holes_where_savepoints_were_rolled_back(
    store, connection, refusing
) -> None:
    commit(store, birth(), *[event(i, "poison" if i % 3 == 0 else "fine") for i in range(30)])
    positions = [pos for (pos,) in rows(connection, "SELECT pos FROM input_log ORDER BY pos")]
    assert positions == list(range(1, len(positions) + 1))
    assert rows(connection, "SELECT max(pos) FROM partition_head") == [(len(positions),)]


def test_a_tenant_sees_its_own_devices_alone(store, connection) -> None:
    commit(store, birth())
    other = wire.Address(tenant="other", device="printer-01")
    commit(store, arrival(wire.Up.BIRTH, birth().message, other))
    with transaction(connection, tenant="other"):
        assert connection.execute("SELECT tenant FROM device").fetchall() == [("other",)]
