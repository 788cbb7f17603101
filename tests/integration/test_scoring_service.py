"""Scoring on the real database: whatever dies and whenever, nothing is lost and nothing doubled."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foremend import wire
from foremend.clock import wall_ms
from foremend.db import EVERY_TENANT, Connection, connect, transaction
from foremend.errors import SignatureRefused
from foremend.settings import Settings
from ingest.intake import Accepted, Arrival, read
from ingest.store import PostgresStore
from models import registry, signing
from models.registry import PostgresShelf
from models.scoring.engine import Engine
from models.scoring.entries import Anomaly, Health, Outputs
from models.scoring.service import AlreadyScored, Follower, follow
from models.scoring.store import ScoringStore, announce
from stack.drill.parts import wait
from stack.promotion import put_in_force
from stack.verified import VerifiedModels
from tests.scoring_log import CHANNELS, HOUR, PARTS, START, models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = ("unit-1", "unit-2")
HOURS = 30
FRAMES = 5


def said(name: str, kind: wire.Up, message: object) -> Accepted:
    address = wire.Address(tenant="t", device=name)
    outcome = read(Arrival(topic=address.up(kind), payload=wire.encode(message)))
    assert isinstance(outcome, Accepted), outcome
    return outcome


def channels(schema: int) -> tuple[wire.Channel, ...]:
    return tuple(wire.Channel(unit="1", **channel) for channel in CHANNELS[schema])


def birth(name: str, *, boot: str = "b1", schema: int = 1) -> Accepted:
    parts = tuple(wire.Component(instance=p, kind=p, installed_at_ms=START) for p in PARTS)
    message = wire.Birth(
        boot=boot,
        boot_ms=START,
        schema=wire.schema_hash(channels(schema)),
        channels=channels(schema),
        components=parts,
        family="toy",
        model="T1",
        timeline="sim:t",
    )
    return said(name, wire.Up.BIRTH, message)


def data(name: str, seq: int, *, boot: str = "b1", schema: int = 1, at_h: int) -> Accepted:
    """Give hourly frames of a fan that slows down, some values missing."""
    rng = np.random.default_rng([seq, int(name[-1])])
    hours = at_h + np.arange(FRAMES)
    values = rng.normal(10, 1, (len(channels(schema)), FRAMES))
    values[1] -= hours * 0.5
    told = [[None if v > 11.5 else v for v in column] for column in values.tolist()]
    frames = wire.Frames(
        t0_ms=START + at_h * HOUR + 60_000,
        offset_ms=[i * HOUR for i in range(FRAMES)],
        phase=[3] * FRAMES,
        quality=[0] * FRAMES,
        values=told,
    )
    name_of_schema = wire.schema_hash(channels(schema))
    return said(
        name, wire.Up.DATA, wire.Data(boot=boot, seq=seq, schema=name_of_schema, frames=frames)
    )


def event(name: str, seq: int, *, at_h: int, **fields: Any) -> Accepted:
    message = wire.Event(boot="b1", seq=seq, ts_ms=START + at_h * HOUR, **fields)
    return said(name, wire.Up.EVENT, message)


def put_log(connection: Connection) -> None:
    """Let ingest commit what two devices say over some thirty hours."""
    store = PostgresStore(connection)
    store.commit([birth(name) for name in NAMES], [], wall_ms())
    for turn in range(HOURS // FRAMES):
        batch = [data(name, 3 * turn, at_h=turn * FRAMES) for name in NAMES]
        batch.append(
            event(NAMES[0], 3 * turn + 1, at_h=turn * FRAMES + 4, code="E1", severity="error")
        )
        store.commit(batch, [], wall_ms())
    later = HOURS // FRAMES * 3
    replaced = event(NAMES[0], later, at_h=HOURS, code="part_replaced", component="fan")
    store.commit([replaced, data(NAMES[0], later + 1, at_h=HOURS)], [], wall_ms())


class Died(BaseException):
    """Stands for kill -9: nothing of the process runs on."""


@dataclass
class Mortal:
    """A store whose process dies at one of its calls, before or after the database did its part."""

    real: ScoringStore
    dies_at: int | None = None
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def _call(self, name: str, act: Callable[[], Any]) -> Any:
        self.calls.append(name)
        here = len(self.calls) - 1 == self.dies_at
        if here and not self.after:
            raise Died
        given = act()
        if here:
            raise Died
        return given

    def cursors(self) -> Any:
        return self._call("cursors", self.real.cursors)

    def load_snapshots(self) -> Any:
        return self._call("load_snapshots", self.real.load_snapshots)

    def read(self, after: Any, *, limit: int, upto: Any = None) -> Any:
        few = min(limit, 3)
        return self._call("read", lambda: self.real.read(after, limit=few, upto=upto))

    def write(self, outputs: Any, ends: Any, whose: Any) -> None:
        self._call("write", lambda: self.real.write(outputs, ends, whose))

    def save_snapshots(self, states: Any, at: Any) -> None:
        self._call("save_snapshots", lambda: self.real.save_snapshots(states, at))


class Ledger:
    """The scoring side of one database."""

    def __init__(self, url: str) -> None:
        self.connection = connect(url, name="test")
        self.store = ScoringStore(self.connection)

    def begin_anew(self) -> None:
        """Forget all that scoring wrote."""
        with transaction(self.connection, tenant=EVERY_TENANT):
            for table in ("health", "anomaly", "prediction", "component_hazard"):
                self.connection.execute(f"DELETE FROM {table}")
            self.connection.execute("DELETE FROM scoring_snapshot")
            self.connection.execute("DELETE FROM scoring_cursor")
        self.store.claim()

    def told(self) -> dict[str, list[tuple]]:
        """Give all outputs but what the clock on the wall wrote."""
        queries = {
            "health": "SELECT * FROM health ORDER BY device_id, ts",
            "anomaly": "SELECT device_id, kind, ts, score FROM anomaly ORDER BY id",
            "prediction": "SELECT device_id, component, ts, above, probability, reasons::text,"
            " model_version FROM prediction ORDER BY device_id, component, ts",
            "hazard": "SELECT * FROM component_hazard ORDER BY device_id, component",
        }
        with transaction(self.connection, tenant=EVERY_TENANT):
            return {k: self.connection.execute(q).fetchall() for k, q in queries.items()}

    def run(self, store: Any, known: Any = None) -> None:
        """Follow the log to its end, as a process does."""
        ticks = iter(range(10**6))
        follower = Follower(store, Engine(known or models()), clock=lambda: next(ticks) * 40.0)
        follower.catch_up()
        while follower.step():
            pass
        follower.save()


@pytest.fixture(scope="module")
def ledger(new_migrated) -> Iterator[Ledger]:
    made = Ledger(new_migrated().app)
    with made.connection:
        announce(made.connection, kind="model", cohort="toy", version="v1")
        put_log(made.connection)
        yield made


@pytest.fixture
def own(migrated_urls) -> Iterator[Ledger]:
    """Give the scoring side of a database that is this test's alone."""
    made = Ledger(migrated_urls.app)
    with made.connection:
        yield made


@pytest.fixture(scope="module")
def clean(ledger: Ledger) -> tuple[list[str], dict[str, list[tuple]], dict[int, dict[str, bytes]]]:
    """Give the calls, the outputs and the states of a run that nothing disturbs."""
    ledger.begin_anew()
    store = Mortal(ledger.store)
    ledger.run(store)
    told = ledger.told()
    assert len(told["prediction"]) > 5
    assert len(told["hazard"]) == len(NAMES) * len(PARTS)
    return store.calls, told, ledger.store.load_snapshots()


def test_the_log_takes_several_stretches_and_snapshots(clean) -> None:
    calls, _, _ = clean
    assert calls.count("write") >= 3
    assert calls.count("save_snapshots") >= 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["cursors", "load_snapshots", "read", "write", "save_snapshots"])
def test_killed_at_any_call_nothing_is_lost_or_doubled(ledger, clean, call, after) -> None:
    calls, told, states = clean
    for place in [i for i, name in enumerate(calls) if name == call]:
        ledger.begin_anew()
        with pytest.raises(Died):
            ledger.run(Mortal(ledger.store, place, after))
        ledger.run(Mortal(ledger.store))
        assert ledger.told() == told, f"killed {'after' if after else 'before'} call {place}"
        assert ledger.store.load_snapshots() == states


def test_outputs_would_be_lost_if_the_position_were_committed_before_them(ledger, clean) -> None:
    """Shows that the comparison above can see a loss."""

    class Hasty(Mortal):
        def write(self, outputs: Any, ends: Any, whose: Any) -> None:
            self.real._move("move_cursors", ends)
            self._call("write", lambda: self.real.write(outputs, ends, whose))

    calls, told, _ = clean
    ledger.begin_anew()
    last = max(i for i, name in enumerate(calls) if name == "write")
    with pytest.raises(Died):
        ledger.run(Hasty(ledger.store, last))
    ledger.run(Mortal(ledger.store))
    assert ledger.told() != told


def test_a_write_that_fails_half_way_leaves_neither_outputs_nor_position(ledger, clean) -> None:
    ledger.begin_anew()
    outputs = Outputs(
        health=[Health(device=1, ts_ms=START, score=1.0, anomalous=False, top_channel=None,
                       second_opinion=0.0)],
        anomalies=[Anomaly(device=1, kind="alarm", ts_ms=START, score=3.0, top_channel="heat",
                           evidence={})],
    )  # fmt: skip

    def dies(device: int) -> tuple[str, str]:
        raise Died

    partition = next(iter(ledger.store.cursors().output))
    with pytest.raises(Died):
        ledger.store.write(outputs, {partition: 1}, dies)
    assert not any(ledger.told().values())
    assert set(ledger.store.cursors().output.values()) == {0}


def test_health_and_anomalies_are_stored_once_and_what_is_not_finite_as_unknown(
    ledger, clean
) -> None:
    ledger.begin_anew()
    device = _number(ledger, NAMES[0])
    health = Health(
        device=device, ts_ms=START, score=1.5, anomalous=True, top_channel="heat",
        second_opinion=0.5,
    )  # fmt: skip
    alarm = Anomaly(
        device=device, kind="alarm", ts_ms=START, score=3.0, top_channel="heat",
        evidence={"channels": [{"channel": "heat", "baseline": math.nan}]},
    )  # fmt: skip
    for _ in range(2):
        ledger.store.write(
            Outputs(health=[health], anomalies=[alarm]), {}, lambda _: ("t", "sim:t")
        )
    assert [len(ledger.told()[table]) for table in ("health", "anomaly")] == [1, 1]
    with transaction(ledger.connection, tenant=EVERY_TENANT):
        (kept,) = ledger.connection.execute("SELECT evidence FROM anomaly").fetchone()
    assert kept == {"channels": [{"channel": "heat", "baseline": None}]}


def test_a_second_process_is_refused(ledger, migrated_urls) -> None:
    with connect(migrated_urls.app, name="one") as one, connect(migrated_urls.app, name="two") as b:
        assert ScoringStore(one).claim()
        with pytest.raises(AlreadyScored, match="stop it first"):
            follow(ScoringStore(b), models(), threading.Event())
    with connect(migrated_urls.app, name="three") as later:
        assert wait(ScoringStore(later).claim, 10.0), "the claim must end with its connection"


def test_the_distance_to_the_end_of_the_log_is_known(ledger, clean) -> None:
    start = dict.fromkeys(ledger.store.cursors().output, 0)
    whole = ledger.store.behind(start)
    ends = ledger.store.read(start, limit=3).ends
    assert whole > sum(ends.values()) > 0
    assert ledger.store.behind(start | ends) == whole - sum(ends.values())


def test_a_version_is_followed_from_its_place_in_the_log(own) -> None:
    announce(own.connection, kind="model", cohort="toy", version="v1")
    put_log(own.connection)
    announce(own.connection, kind="model", cohort="toy", version="v2")
    store = PostgresStore(own.connection)
    store.commit([data(NAMES[1], 99, at_h=HOURS)], [], wall_ms())
    own.store.claim()
    own.run(Mortal(own.store))
    name = _number(own, NAMES[1])
    last_before = START + (HOURS - 1) * HOUR + 60_000
    versions = {
        (row[2].timestamp() * 1000 > last_before, row[-1])
        for row in own.told()["prediction"]
        if row[0] == name
    }
    assert versions == {(False, "v1"), (True, "v2")}


def _number(ledger: Ledger, name: str) -> int:
    with transaction(ledger.connection, tenant=EVERY_TENANT):
        row = ledger.connection.execute("SELECT id FROM device WHERE name = %s", (name,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def signed(migrated_urls, tmp_path: Path) -> tuple[VerifiedModels, str]:
    """Put a really trained and signed model into force, and give what loads it."""
    trusted = tmp_path / "trusted"
    key = signing.local_key(tmp_path / "keys", trusted)
    artefact = models().failure_model("v1").dumps()
    record = registry.seal(artefact, kind="failure", cohort="toy", meta={}, key=key)
    with connect(migrated_urls.app, name="train") as connection:
        put_in_force(connection, record)
        assert PostgresShelf(connection).champion("failure", "toy") == record.version
    settings = Settings(database_url=migrated_urls.app, trust_keys=trusted)
    return VerifiedModels(settings), record.version


def test_a_signed_model_scores_as_the_one_that_was_trained(own, signed, clean) -> None:
    verified, _ = signed
    put_log(own.connection)
    own.store.claim()
    own.run(Mortal(own.store), verified)
    told = [row[1:6] for row in own.told()["prediction"]]
    assert told == [row[1:6] for row in clean[1]["prediction"]]


def test_a_tampered_model_is_named_and_nothing_is_scored_with_it(
    own, migrated_urls, signed
) -> None:
    verified, version = signed
    with connect(migrated_urls.owner, name="thief") as thief:
        thief.execute("UPDATE model_version SET artefact = artefact || '\\x00'::bytea")
    put_log(own.connection)
    own.store.claim()
    with pytest.raises(SignatureRefused, match=f"model {version}: "):
        own.run(Mortal(own.store), verified)
    assert not any(own.told().values())


def test_frames_of_an_older_firmware_do_not_stop_scoring(own) -> None:
    store, name = PostgresStore(own.connection), NAMES[0]
    announce(own.connection, kind="model", cohort="toy", version="v1")
    store.commit([birth(name), data(name, 0, at_h=0)], [], wall_ms())
    births = [birth(name), birth(name, boot="b2", schema=2)]
    late = [data(name, 1, at_h=5), data(name, 0, boot="b2", schema=2, at_h=10)]
    store.commit([*births, *late], [], wall_ms())
    own.store.claim()
    own.run(Mortal(own.store))
    assert own.told()["hazard"]


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x80"])
def test_a_snapshot_that_cannot_be_read_costs_a_replay_and_nothing_else(
    ledger, clean, garbage
) -> None:
    _, told, states = clean
    ledger.begin_anew()
    ledger.run(ledger.store)
    ledger.connection.execute(
        "UPDATE scoring_snapshot SET state = %s WHERE subject <> 'partition'", [garbage]
    )
    ledger.run(ledger.store)
    assert ledger.told() == told
    assert ledger.store.load_snapshots() == states
