"""One suite for `AlertStore`: the fake and PostgreSQL must answer alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest
from psycopg.types.json import Jsonb

from alerting.batch import handle, look_at_clock
from alerting.memory import MemoryAlerts
from alerting.postgres import PostgresAlerts
from alerting.values import AlertKind, Context, Evaluation, Group, Silence, Word
from tests.field_world import HOUR, START, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


class Seen(NamedTuple):
    kind: str
    life: str
    muted_by: str | None
    hits: int
    fired_h: float | None
    resolved_h: float | None


class Stage(Protocol):
    """What a suite may do to a store and see of it."""

    def predict(self, hours: float, probability: float) -> None: ...
    def notice(self, hours: float, kind: str) -> None: ...
    def tell(self, hours: float, code: str) -> None: ...
    def well(self, hours: float, code: str) -> None: ...
    def run(self, first_h: float, last_h: float) -> None: ...
    def order(self, component: str) -> None: ...
    def silence(self, first_h: float, last_h: float) -> None: ...
    def handle(self, limit: int = 100) -> int: ...
    def look(self, hours: float) -> int: ...
    def alerts(self) -> list[Seen]: ...
    def told(self) -> list[str]: ...


def hours(at: datetime | None) -> float | None:
    return None if at is None else (at - START) / HOUR


class MemoryStage:
    def __init__(self) -> None:
        self.failure = Group(
            timeline="sim:t",
            device_id=1,
            kind=AlertKind.FAILURE,
            component="hotend_fan",
            failure_mode="fan_wear",
        )
        self.inspection = Group(timeline="sim:t", device_id=1, kind=AlertKind.INSPECTION)
        context = Context(device="printer-07", tenant="demo", region="north_america")
        self.store = MemoryAlerts(contexts=dict.fromkeys((self.failure, self.inspection), context))
        self.rows = 0

    def predict(self, hours: float, probability: float) -> None:
        word = Word.ABOVE if probability >= 0.5 else Word.BELOW
        self._wait(self.failure, hours, word, probability)

    def notice(self, hours: float, kind: str) -> None:
        words = {"alarm": Word.ABOVE, "cleared": Word.BELOW, "drift": Word.DRIFT}
        self._wait(self.inspection, hours, words[kind], None)

    def tell(self, hours: float, code: str) -> None:
        group = replace(self.failure, kind=AlertKind.FAULT, failure_mode=code)
        self.store.contexts.setdefault(group, self.store.contexts[self.failure])
        self._wait(group, hours, Word.ABOVE, None)

    def well(self, hours: float, code: str) -> None:
        for group, context in self.store.contexts.items():
            if code in {"klippy_ready", "part_replaced", f"{group.failure_mode}_cleared"}:
                well_at = (*context.well_at, START + hours * HOUR)
                self.store.contexts[group] = replace(context, well_at=well_at)

    def run(self, first_h: float, last_h: float) -> None:
        for group, context in self.store.contexts.items():
            self.store.contexts[group] = replace(context, running=first_h < last_h)

    def order(self, component: str) -> None:
        for group, context in self.store.contexts.items():
            if group.kind is AlertKind.FAULT:
                busy = group.component == component
                self.store.contexts[group] = replace(context, open_work_order=busy)

    def silence(self, first_h: float, last_h: float) -> None:
        silence = Silence(
            matcher={"device": "printer-07"},
            starts_at=START + first_h * HOUR,
            ends_at=START + last_h * HOUR,
        )
        context = Context(
            device="printer-07", tenant="demo", region="north_america", silences=(silence,)
        )
        self.store.contexts = dict.fromkeys(self.store.contexts, context)

    def handle(self, limit: int = 100) -> int:
        return handle(self.store, limit)

    def look(self, hours: float) -> int:
        self.store.clocks["sim:t"] = START + hours * HOUR
        return look_at_clock(self.store)

    def alerts(self) -> list[Seen]:
        return [
            Seen(
                group.kind.value,
                alert.life.value,
                alert.muted_by.value if alert.muted_by else None,
                alert.hits,
                hours(alert.fired_at),
                hours(alert.resolved_at),
            )
            for group, alert in self.store.alerts
        ]

    def told(self) -> list[str]:
        return list(self.store.told)

    def _wait(self, group: Group, at: float, word: Word, probability: float | None) -> None:
        self.rows += 1
        self.store.waiting.append(
            Evaluation(
                row_id=self.rows,
                tenant="demo",
                group=group,
                ts=START + at * HOUR,
                word=word,
                probability=probability,
                threshold=0.5,
                horizon_h=24,
            )
        )


class PostgresStage:
    def __init__(self, world: World) -> None:
        self.world = world
        world.query(
            "INSERT INTO destination (tenant, kind, url, events) VALUES"
            " ('demo', 'webhook', 'https://hook.example', '{alert.fired,alert.resolved}')"
        )

    def predict(self, hours: float, probability: float) -> None:
        self.world.predict(hours, probability)

    def notice(self, hours: float, kind: str) -> None:
        self.world.query(
            "INSERT INTO anomaly (device_id, tenant, timeline, kind, ts, score, top_channel)"
            " VALUES (%s, 'demo', 'sim:t', %s, %s, 7, 'fan_speed')",
            self.world.device,
            kind,
            START + hours * HOUR,
        )

    def tell(self, hours: float, code: str) -> None:
        self.world.event(hours, code, "hotend_fan", "critical")

    def well(self, hours: float, code: str) -> None:
        self.world.event(hours, code, "hotend_fan" if code == "part_replaced" else None)

    def run(self, first_h: float, last_h: float) -> None:
        self.world.frames(first_h, last_h)

    def order(self, component: str) -> None:
        self.world.query(
            "INSERT INTO work_order (tenant, number, timeline, region, device_id, component,"
            " failure_mode, state, opened_at, state_at) VALUES ('demo', 1, 'sim:t',"
            " 'north_america', %s, %s, 'fan_wear', 'offered', %s, %s)",
            self.world.device,
            component,
            START,
            START,
        )

    def silence(self, first_h: float, last_h: float) -> None:
        self.world.query(
            "INSERT INTO silence (tenant, matcher, author, reason, starts_at, ends_at)"
            " VALUES ('demo', %s, 'ann', 'moving house', %s, %s)",
            Jsonb({"device": "printer-07"}),
            START + first_h * HOUR,
            START + last_h * HOUR,
        )

    def handle(self, limit: int = 100) -> int:
        with self.world.transaction():
            return handle(PostgresAlerts(self.world.connection), limit)

    def look(self, hours: float) -> int:
        self.world.now(hours)
        with self.world.transaction():
            return look_at_clock(PostgresAlerts(self.world.connection))

    def alerts(self) -> list[Seen]:
        return [
            Seen(
                row["kind"],
                row["state"],
                row["inhibited_by"],
                row["hits"],
                hours(row["fired_at"]),
                hours(row["resolved_at"]),
            )
            for row in self.world.query("SELECT * FROM alert ORDER BY id")
        ]

    def told(self) -> list[str]:
        return [row["key"] for row in self.world.query("SELECT key FROM outbox ORDER BY id")]


@pytest.fixture(scope="module")
def home(new_database: Any, migrated_template: str) -> Iterator[World]:
    made = World(new_database(migrated_template, "foremend_owner"))
    yield made
    made.close()


@pytest.fixture(params=["memory", "postgres"])
def stage(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryStage()
        return
    home: World = request.getfixturevalue("home")
    yield PostgresStage(home)
    home.reset()


def test_two_in_a_row_fire_and_are_told_once(stage: Stage) -> None:
    for n in (1, 2, 3):
        stage.predict(n, 0.6)
    assert stage.handle() == 3
    assert stage.alerts() == [Seen("failure", "firing", None, 3, 2.0, None)]
    assert stage.told() == ["alert-1-fired"]
    assert stage.handle() == 0


def test_rows_are_taken_in_their_order_and_as_many_as_wanted(stage: Stage) -> None:
    for n in (1, 2, 3):
        stage.predict(n, 0.6)
    assert stage.handle(limit=2) == 2
    assert stage.alerts()[0].hits == 2
    assert stage.handle(limit=2) == 1
    assert stage.alerts()[0].hits == 3


def test_one_certain_word_is_enough(stage: Stage) -> None:
    stage.predict(1, 0.97)
    stage.handle()
    assert stage.alerts() == [Seen("failure", "firing", None, 1, 1.0, None)]


def test_silence_after_the_first_word_below_resolves_and_is_told(stage: Stage) -> None:
    stage.predict(1, 0.97)
    stage.predict(2, 0.1)
    stage.handle()
    assert stage.look(4.9) == 0
    assert stage.look(5) == 1
    assert stage.alerts() == [Seen("failure", "resolved", None, 0, 1.0, 5.0)]
    assert stage.told() == ["alert-1-fired", "alert-1-resolved"]


def test_a_new_episode_is_a_new_alert(stage: Stage) -> None:
    for n, probability in ((1, 0.97), (2, 0.1), (20, 0.97)):
        stage.predict(n, probability)
    stage.handle()
    assert [a.life for a in stage.alerts()] == ["resolved", "firing"]
    assert stage.told() == ["alert-1-fired", "alert-1-resolved", "alert-2-fired"]


def test_an_anomaly_is_an_inspection_until_it_clears(stage: Stage) -> None:
    stage.notice(1, "alarm")
    stage.notice(2, "drift")
    stage.handle()
    assert stage.alerts() == [Seen("inspection", "firing", None, 1, 1.0, None)]
    stage.notice(3, "cleared")
    stage.handle()
    assert stage.alerts() == [Seen("inspection", "resolved", None, 0, 1.0, 3.0)]


def test_an_inspection_is_muted_by_a_failure_alert_of_the_same_device(stage: Stage) -> None:
    stage.predict(1, 0.97)
    stage.handle()
    stage.notice(2, "alarm")
    stage.handle()
    assert stage.alerts()[1] == Seen("inspection", "firing", "explained_by_failure", 1, 2.0, None)
    assert stage.told() == ["alert-1-fired"]


def test_a_silenced_alert_is_told_when_the_silence_ends(stage: Stage) -> None:
    stage.silence(0, 6)
    stage.predict(1, 0.97)
    stage.handle()
    assert stage.alerts()[0].muted_by == "silenced"
    assert stage.look(5) == 0
    assert stage.told() == []
    assert stage.look(6) == 1
    assert stage.alerts()[0].muted_by is None
    assert stage.told() == ["alert-1-fired"]


def test_a_word_that_comes_late_changes_nothing(stage: Stage) -> None:
    stage.predict(5, 0.97)
    stage.handle()
    stage.predict(3, 0.1)
    stage.handle()
    assert stage.alerts() == [Seen("failure", "firing", None, 1, 5.0, None)]


def test_a_fault_that_a_device_told_fires_at_once_and_its_repeats_join_it(stage: Stage) -> None:
    stage.tell(1, "fan_stalled")
    assert stage.handle() == 1
    assert stage.alerts() == [Seen("fault", "firing", None, 1, 1.0, None)]
    stage.tell(2, "fan_stalled")
    assert stage.handle() == 1
    assert stage.alerts() == [Seen("fault", "firing", None, 2, 1.0, None)]
    assert stage.told() == ["alert-1-fired"]
    assert stage.handle() == 0


def test_faults_are_taken_before_predictions_and_as_many_as_wanted(stage: Stage) -> None:
    stage.predict(1, 0.97)
    stage.tell(2, "fan_stalled")
    stage.tell(3, "mcu_lost")
    assert stage.handle(limit=1) == 1
    assert [a.kind for a in stage.alerts()] == ["fault"]
    assert stage.handle(limit=2) == 2
    assert [a.kind for a in stage.alerts()] == ["fault", "fault", "failure"]


@pytest.mark.parametrize("code", ["fan_stalled_cleared", "klippy_ready", "part_replaced"])
def test_a_fault_is_over_when_its_device_says_so(stage: Stage, code: str) -> None:
    stage.tell(1, "fan_stalled")
    stage.handle()
    stage.well(2, code)
    assert stage.look(3) == 1
    assert stage.alerts() == [Seen("fault", "resolved", None, 1, 1.0, 3.0)]
    assert stage.told() == ["alert-1-fired", "alert-1-resolved"]


def test_a_fault_is_not_over_by_what_another_code_says(stage: Stage) -> None:
    stage.tell(1, "fan_stalled")
    stage.handle()
    stage.well(2, "mcu_lost_cleared")
    assert stage.look(3) == 0


def test_a_fault_told_again_after_its_end_in_one_batch_is_an_alert_of_its_own(
    stage: Stage,
) -> None:
    stage.tell(1, "fan_stalled")
    stage.well(2, "klippy_ready")
    stage.tell(3, "fan_stalled")
    stage.handle()
    assert [a.life for a in stage.alerts()] == ["resolved", "firing"]


def test_a_fault_ends_once_its_device_has_run_on_without_it(stage: Stage) -> None:
    stage.tell(1, "fan_stalled")
    stage.handle()
    assert stage.look(20) == 0
    stage.run(20.5, 21)
    assert stage.look(21) == 1
    assert stage.look(32.9) == 0
    assert stage.look(33) == 1
    assert stage.alerts() == [Seen("fault", "resolved", None, 1, 1.0, 33.0)]


def test_an_open_order_on_the_component_keeps_a_fault_quiet_to_its_end(stage: Stage) -> None:
    stage.tell(1, "fan_stalled")
    stage.order("hotend_fan")
    stage.handle()
    assert stage.alerts() == [Seen("fault", "firing", "open_work_order", 1, 1.0, None)]
    stage.well(2, "fan_stalled_cleared")
    assert stage.look(2) == 1
    assert stage.told() == []


def test_an_order_on_another_component_leaves_a_fault_loud(stage: Stage) -> None:
    stage.tell(1, "fan_stalled")
    stage.order("psu")
    stage.handle()
    assert stage.told() == ["alert-1-fired"]


def test_a_silenced_fault_is_kept_and_told_when_the_silence_ends(stage: Stage) -> None:
    stage.silence(0, 6)
    stage.tell(1, "fan_stalled")
    stage.handle()
    assert stage.alerts()[0].muted_by == "silenced"
    assert stage.look(6) == 1
    assert stage.told() == ["alert-1-fired"]
