"""Channels are never mistaken for one another, whatever order births and data come in.

One suite for every store of ingest: the shipped fake and the real database.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import connect
from ingest.intake import Accepted, Arrival, read
from ingest.memory import MemoryStore
from ingest.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.worker import Store

ADDRESS = wire.Address(tenant="demo", device="printer-01")
START = 1_767_225_600_000
BED, FAN, PUMP = (wire.Channel(name=name, unit="1") for name in ("bed", "fan", "pump"))
FACTOR = {"bed": 1000.0, "fan": 2000.0, "pump": 3000.0}
"""What a channel's values begin with here, so that a value tells which channel it is of."""
Channels = tuple[wire.Channel, ...]


@pytest.fixture(params=["memory", "postgres"])
def store(request) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    urls = request.getfixturevalue("migrated_urls")
    with connect(urls.app, name="test") as link:
        yield PostgresStore(link)


def arrival(kind: wire.Up, message: object) -> Accepted:
    outcome = read(Arrival(topic=ADDRESS.up(kind), payload=wire.encode(message)))
    assert isinstance(outcome, Accepted), outcome
    return outcome


def birth(channels: Channels, boot: str = "b1") -> Accepted:
    message = wire.Birth(
        boot=boot,
        boot_ms=START,
        schema=wire.schema_hash(channels),
        channels=channels,
        family="f",
        model="m",
        timeline="sim:schemas",
    )
    return arrival(wire.Up.BIRTH, message)


def data(seq: int, channels: Channels) -> Accepted:
    frames = wire.Frames(
        t0_ms=START + seq,
        offset_ms=[0],
        phase=[3],
        quality=[0],
        values=[[FACTOR[c.name] + seq] for c in channels],
    )
    schema = wire.schema_hash(channels)
    return arrival(wire.Up.DATA, wire.Data(boot="b1", seq=seq, schema=schema, frames=frames))


def commit(store, *accepted: Accepted):
    return store.commit(accepted, (), wall_ms())


def wants_birth(committed) -> bool:
    return any(told.ack.birth_wanted for told in committed.told)


def test_data_of_a_schema_that_nobody_introduced_wait_for_its_birth(store) -> None:
    commit(store, birth((BED, FAN)))
    early = commit(store, data(0, (FAN, BED)))
    assert (early.messages, early.strangers, wants_birth(early)) == (0, 1, True)
    assert not any(told.ack.upto >= 0 for told in early.told)
    late = commit(store, birth((FAN, BED)), data(0, (FAN, BED)))
    assert (late.messages, wants_birth(late)) == (1, False)


def test_a_birth_may_stand_behind_its_data_in_one_batch(store) -> None:
    committed = commit(store, data(0, (BED,)), birth((BED,)))
    assert committed.messages == 1


def test_a_schema_may_change_in_the_midst_of_a_boot_and_back(store) -> None:
    commit(store, birth((BED, FAN)), data(0, (BED, FAN)))
    commit(store, birth((BED, FAN, PUMP)), data(1, (BED, FAN, PUMP)))
    # The old messages still on their way are read by the schema that they name.
    assert commit(store, data(2, (BED, FAN)), data(3, (BED, FAN, PUMP))).messages == 2


def test_a_message_with_more_or_fewer_channels_than_its_schema_is_refused(store) -> None:
    commit(store, birth((BED, FAN)))
    frames = wire.Frames(t0_ms=START, offset_ms=[0], phase=[0], quality=[0], values=[[1.0]] * 3)
    schema = wire.schema_hash((BED, FAN))
    wrong = arrival(wire.Up.DATA, wire.Data(boot="b1", seq=0, schema=schema, frames=frames))
    assert [r.reason for r in commit(store, wrong).refused] == ["wrong_width"]


def test_two_orders_of_the_same_channels_are_two_schemas() -> None:
    names = {wire.schema_hash(order) for order in itertools.permutations((BED, FAN, PUMP))}
    assert len(names) == 6


orders = st.permutations([BED, FAN, PUMP]).flatmap(
    lambda order: st.integers(1, 3).map(lambda n: tuple(order[:n]))
)


def filed_as(link) -> list[tuple[str, float]]:
    """Give every stored value with the name of the channel that it lies under."""
    query = """
        SELECT c.value ->> 'name', f.vals[c.ordinality]
        FROM frame f
        JOIN channel_schema s ON s.id = f.schema_id
        CROSS JOIN LATERAL jsonb_array_elements(s.channels) WITH ORDINALITY AS c
    """
    return link.execute(query.encode()).fetchall()


@given(st.lists(orders, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_value_lies_under_the_channel_that_measured_it(
    new_migrated_link, told: list[Channels], rng
) -> None:
    link = new_migrated_link
    link.execute("TRUNCATE frame, receipt, boot, channel_schema CASCADE")
    app = PostgresStore(link)
    messages = [data(seq, channels) for seq, channels in enumerate(told)]
    some = [*messages, *(birth(channels) for channels in told)]
    rng.shuffle(some)
    for one in some:
        commit(app, one)
    commit(app, *messages)
    found = filed_as(link)
    assert sorted(found) == sorted(
        (c.name, FACTOR[c.name] + seq) for seq, channels in enumerate(told) for c in channels
    )


@pytest.fixture
def new_migrated_link(migrated_urls):
    with connect(migrated_urls.owner, name="test") as link:
        link.execute("ALTER TABLE device NO FORCE ROW LEVEL SECURITY")
        yield link
