"""What was set aside can be looked at and replayed after a fix, and takes bounded room."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import Connection, connect
from foremend.errors import NotFound
from ingest import quarantine
from ingest.intake import Arrival, Refused, read
from ingest.quarantine import Verdict
from ingest.store import PostgresStore
from stack.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = (wire.Channel(name="temp", unit="Cel"),)
SCHEMA = wire.schema_hash(CHANNELS)
NOW = wall_ms()
HOUR = 3_600_000
ADDRESS = wire.Address(tenant="demo", device="printer-01")


@pytest.fixture
def connection(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.app, name="test") as link:
        yield link


@pytest.fixture
def owner(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.owner, name="test") as link:
        yield link


@pytest.fixture
def store(connection) -> PostgresStore:
    return PostgresStore(connection)


def arrival(kind: wire.Up, message: object) -> Arrival:
    return Arrival(topic=ADDRESS.up(kind), payload=wire.encode(message))


def birth() -> Arrival:
    message = wire.Birth(
        boot="b1", boot_ms=NOW, schema=SCHEMA, channels=CHANNELS, family="f", model="m"
    )
    return arrival(wire.Up.BIRTH, message)


def data(seq: int, *, at_ms: int = NOW, width: int = 1) -> Arrival:
    frames = wire.Frames(t0_ms=at_ms, offset_ms=[0], phase=[3], quality=[0], values=[[1.0]] * width)
    return arrival(wire.Up.DATA, wire.Data(boot="b1", seq=seq, schema=SCHEMA, frames=frames))


def gap(seq: int, first: int, last: int) -> Arrival:
    details = {"first": first, "last": last, "reason": "refused"}
    message = wire.Event(boot="b1", seq=seq, ts_ms=NOW, code="gap", details=details)
    return arrival(wire.Up.EVENT, message)


def commit(store: PostgresStore, *arrivals: Arrival):
    outcomes = [read(a) for a in arrivals]
    accepted = [o for o in outcomes if not isinstance(o, Refused)]
    return store.commit(accepted, [o for o in outcomes if isinstance(o, Refused)], NOW)


def only(connection: Connection) -> quarantine.Entry:
    (entry,) = quarantine.listed(connection)
    return entry


def stored(owner: Connection) -> list[int]:
    return [seq for (seq,) in owner.execute("SELECT seq FROM frame ORDER BY seq")]


def test_what_was_ahead_of_its_time_is_stored_once_its_time_has_come(
    store, connection, owner
) -> None:
    commit(store, birth(), data(0, at_ms=NOW + HOUR))
    entry = only(connection)
    assert (entry.reason, entry.whole, entry.replayed_at) == ("too_late", True, None)
    early = quarantine.replay(store, entry.id, NOW)
    assert (early.verdict, early.detail[:8]) == (Verdict.REFUSED, "too_late")
    assert quarantine.replay(store, entry.id, NOW + HOUR).verdict is Verdict.STORED
    assert stored(owner) == [0]
    assert quarantine.listed(connection) == []
    (done,) = quarantine.listed(connection, everything=True)
    assert done.replayed_at is not None


def test_a_second_replay_stores_nothing_twice(store, connection, owner) -> None:
    commit(store, birth(), data(0, at_ms=NOW + HOUR))
    entry = only(connection)
    quarantine.replay(store, entry.id, NOW + HOUR)
    assert quarantine.replay(store, entry.id, NOW + HOUR).verdict is Verdict.DUPLICATE
    assert stored(owner) == [0]


def test_the_gap_that_took_its_place_is_cut_where_it_is_stored_after_all(
    store, connection, owner
) -> None:
    commit(store, birth(), data(3, at_ms=NOW + HOUR))
    commit(store, gap(8, 2, 5))
    quarantine.replay(store, only(connection).id, NOW + HOUR)
    assert stored(owner) == [3]
    gaps = owner.execute("SELECT lost::text FROM gap ORDER BY lost").fetchall()
    assert gaps == [("[2,3)",), ("[4,6)",)]
    assert owner.execute("SELECT got::text FROM receipt").fetchone() == ("{[2,6),[8,9)}",)


def test_a_replay_that_fails_leaves_the_gap_as_it_was(store, connection, owner) -> None:
    commit(store, birth(), data(3, at_ms=NOW + HOUR))
    commit(store, gap(8, 2, 5))
    assert quarantine.replay(store, only(connection).id, NOW).verdict is Verdict.REFUSED
    assert owner.execute("SELECT lost::text FROM gap").fetchall() == [("[2,6)",)]
    assert owner.execute("SELECT got::text FROM receipt").fetchone() == ("{[2,6),[8,9)}",)


def test_a_stored_replay_stands_in_the_input_log(store, connection, owner) -> None:
    commit(store, birth(), data(0, at_ms=NOW + HOUR))
    quarantine.replay(store, only(connection).id, NOW + HOUR)
    log = owner.execute("SELECT pos, kind FROM input_log ORDER BY pos").fetchall()
    assert log == [(1, "birth"), (2, "batch")]


def test_what_nobody_can_read_is_kept_and_refused_again(store, connection) -> None:
    commit(store, Arrival(topic=ADDRESS.up(wire.Up.DATA), payload=b"\xff\0 not a message"))
    entry = quarantine.shown(connection, only(connection).id)
    assert entry.content == b"\xff\0 not a message"
    assert quarantine.replay(store, entry.id, NOW).verdict is Verdict.REFUSED
    with pytest.raises(NotFound):
        quarantine.shown(connection, entry.id + 1)


def test_whole_messages_go_by_age_and_by_size_and_heads_stay(store, connection, owner) -> None:
    bad = [Arrival(topic=f"x/{n}", payload=bytes([n]) * 200_000) for n in range(5)]
    for one in bad:
        commit(store, one)
    owner.execute("UPDATE quarantine SET received_at = now() - interval '31 days' WHERE id = 1")
    assert quarantine.prune(connection) == 1
    assert quarantine.prune(connection, size=450_000) == 2
    assert [e.whole for e in quarantine.listed(connection)] == [True, True, False, False, False]
    gone = quarantine.listed(connection)[-1]
    assert quarantine.replay(store, gone.id, NOW).verdict is Verdict.GONE
    assert len(quarantine.shown(connection, gone.id).content) == 4096


def test_one_commit_keeps_a_mebibyte_of_whole_messages_at_most(store, connection) -> None:
    commit(store, *[Arrival(topic=f"x/{n}", payload=bytes([n]) * 250_000) for n in range(8)])
    assert sum(e.whole for e in quarantine.listed(connection)) == 4


def test_the_command_lists_shows_and_replays(store, migrated_urls, connection, owner) -> None:
    commit(store, birth(), data(0, width=2))
    commit(store, data(1, at_ms=NOW + HOUR))
    quarantined = {e.reason: e.id for e in quarantine.listed(connection)}
    run = CliRunner(env={"FOREMEND_DATABASE_URL": migrated_urls.app})
    told = run.invoke(app, ["quarantine", "list", "--json"])
    assert {e["reason"] for e in json.loads(told.stdout)} == {"wrong_width", "too_late"}
    shown = run.invoke(app, ["quarantine", "show", str(quarantined["wrong_width"])])
    assert "wrong_width" in shown.stdout
    assert '"seq":0' in shown.stdout
    again = run.invoke(app, ["quarantine", "replay", "--all"])
    assert again.exit_code == 1
    assert "refused still" in again.stdout
    owner.execute("UPDATE channel_schema SET channels = channels || channels")
    fixed = run.invoke(app, ["quarantine", "replay", str(quarantined["wrong_width"])])
    assert (fixed.exit_code, stored(owner)) == (0, [0])
