"""One suite for every store of ingest: the shipped fake and the real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import connect
from ingest.intake import Accepted, Arrival, read
from ingest.memory import MemoryStore
from ingest.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.worker import Store

CHANNELS = (wire.Channel(name="temp", unit="Cel"), wire.Channel(name="power", unit="1"))
SCHEMA = wire.schema_hash(CHANNELS)
START = 1_767_225_600_000
ADDRESS = wire.Address(tenant="demo", device="printer-01")


@pytest.fixture(params=["memory", "postgres"])
def store(request) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    urls = request.getfixturevalue("migrated_urls")
    with connect(urls.app, name="test") as link:
        yield PostgresStore(link)


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


def commit(store, *accepted: Accepted):
    return store.commit(accepted, (), wall_ms())


def the_ack(committed) -> wire.Ack:
    (told,) = committed.told
    assert told.address == ADDRESS
    return told.ack


def test_every_frame_counts_once(store):
    committed = commit(store, birth(), data(0), data(1))
    assert (committed.messages, committed.frames, the_ack(committed).upto) == (2, 4, 1)


def test_a_message_that_comes_again_is_acknowledged_and_not_stored_again(store):
    commit(store, birth(), data(0))
    again = commit(store, data(0), data(1), data(1))
    assert (again.duplicates, again.messages, the_ack(again).upto) == (2, 1, 1)


def test_messages_may_come_in_any_order(store):
    commit(store, birth(), data(2))
    assert the_ack(commit(store, data(0))).ranges == ((2, 2),)
    assert the_ack(commit(store, data(1))).upto == 2


def test_holes_are_told_as_ranges(store):
    ack = the_ack(commit(store, birth(), data(0), data(3), data(4)))
    assert (ack.upto, ack.ranges) == (0, ((3, 4),))


def test_a_birth_alone_is_answered_with_what_is_held(store):
    commit(store, birth(), data(0))
    assert the_ack(commit(store, birth())).upto == 0


def test_data_before_its_birth_asks_for_the_birth(store):
    committed = commit(store, data(0))
    assert the_ack(committed).birth_wanted
    assert (committed.strangers, committed.messages) == (1, 0)
    assert commit(store, birth(), data(0)).messages == 1


def test_a_second_boot_counts_from_zero_again(store):
    commit(store, birth(), data(0))
    assert commit(store, birth("b2"), data(0, boot="b2")).messages == 1


def test_a_gap_event_settles_what_it_names(store):
    details = {"first": 0, "last": 4, "reason": "outbox_full"}
    assert the_ack(commit(store, birth(), event(5, "gap", details=details))).upto == 5


def test_a_wrong_width_is_refused_by_hash(store):
    bad = data(0, values=((20.0, 21.0),))
    committed = commit(store, birth(), bad, data(1))
    refusals = [r for told in committed.told for r in told.ack.refused]
    assert [(r.hash, r.reason) for r in refusals] == [
        (wire.digest(bad.arrival.payload), "wrong_width")
    ]
    assert committed.messages == 1


def test_frames_from_long_before_the_boot_are_refused(store):
    early = wire.Frames(
        t0_ms=START - 2 * 86_400_000,
        offset_ms=[0],
        phase=[0],
        quality=[0],
        values=[[1.0], [1.0]],
    )
    message = wire.Data(boot="b1", seq=0, schema=SCHEMA, frames=early)
    committed = commit(store, birth(), arrival(wire.Up.DATA, message))
    assert [r.reason for r in committed.refused] == ["too_early"]


def test_a_recording_may_be_far_older_than_the_agent_that_plays_it(store):
    played = birth(boot_ms=START + 200 * 86_400_000, timeline="replay:march")
    committed = commit(store, played, data(0))
    assert (list(committed.refused), committed.messages) == ([], 1)
