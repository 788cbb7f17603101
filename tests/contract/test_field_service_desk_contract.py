"""One suite for the desk's protocols: the fake and PostgreSQL must answer alike."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from psycopg.types.json import Jsonb

from field_service import application
from field_service.memory import MemoryWorld
from field_service.postgres import postgres_desk
from field_service.strategy import Tally
from field_service.values import Order, State, Strategy, Verified
from field_service.watch import look_at
from foremend.errors import Conflict, NotFound
from foremend.values import AsFound
from tests.field_orders import ALERT, DEVICE, FAR, HOUR, NEAR, START, later
from tests.field_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from field_service.store import Desk


class Stage(Protocol):
    device: int
    near: str
    far: str

    def desk(self) -> AbstractContextManager[Desk]: ...
    def fire(self, hours: float) -> None: ...
    def resolve(self) -> None: ...
    def later(self, hours: float) -> None: ...
    def replaced(self, hours: float) -> None: ...
    def told(self) -> list[str]: ...
    def movements(self) -> list[tuple[str, str]]: ...


class MemoryStage:
    device, near, far = 1, "near", "far"

    def __init__(self) -> None:
        self.world = MemoryWorld(devices={1: DEVICE}, sources=[NEAR, FAR])

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        yield self.world.desk()

    def fire(self, hours: float) -> None:
        number = len(self.world.alerts) + 1
        self.world.resolved |= set(self.world.alerts)
        alert = replace(ALERT, id=number, fired_at=START + hours * HOUR)
        self.world.alerts[number] = alert
        self.later(hours)

    def resolve(self) -> None:
        self.world.resolved |= set(self.world.alerts)

    def later(self, hours: float) -> None:
        later(self.world, hours)

    def replaced(self, hours: float) -> None:
        self.world.replaced.append((1, "hotend_fan", START + hours * HOUR))
        self.later(hours)

    def told(self) -> list[str]:
        return list(self.world.told)

    def movements(self) -> list[tuple[str, str]]:
        return [(node, kind) for _, node, _, kind, _ in self.world.movements]


class PostgresStage:
    near, far = "na-lakeside", "na"

    def __init__(self, world: World) -> None:
        self.world = world
        self.device = world.device
        world.query(
            "INSERT INTO destination (tenant, kind, url, events) VALUES ('demo', 'webhook',"
            " 'https://hook.example', '{work_order.opened,work_order.moved,work_order.closed,"
            "work_order.reopened,work_order.cancelled}')"
        )
        world.rewrite(
            "UPDATE part_movement SET quantity = 1 WHERE org_node = %s AND kit = 'FAN-2'",
            self.near,
        )

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with self.world.transaction():
            yield postgres_desk(self.world.connection)

    def fire(self, hours: float) -> None:
        self.resolve()
        at = self.world.now(hours)
        outlook = ALERT.outlook
        self.world.query(
            "INSERT INTO alert (tenant, timeline, device_id, kind, component, failure_mode, state,"
            " opened_at, fired_at, updated_at, probability, horizon_h, p10_h, p50_h, p90_h,"
            " evidence, model_version) VALUES ('demo', 'sim:t', %s, 'failure', 'hotend_fan',"
            " 'fan_wear', 'firing', %s, %s, %s, %s, %s, %s, %s, %s, %s, 'm1')",
            self.device,
            at,
            at,
            at,
            outlook.probability,
            outlook.horizon_h,
            outlook.p10_h,
            outlook.p50_h,
            outlook.p90_h,
            Jsonb(list(ALERT.evidence)),
        )

    def resolve(self) -> None:
        self.world.query("UPDATE alert SET state = 'resolved'")

    def later(self, hours: float) -> None:
        self.world.now(hours)

    def replaced(self, hours: float) -> None:
        self.world.event(hours, "part_replaced", "hotend_fan")

    def told(self) -> list[str]:
        return [row["key"] for row in self.world.query("SELECT key FROM outbox ORDER BY id")]

    def movements(self) -> list[tuple[str, str]]:
        rows = self.world.query(
            "SELECT org_node, kind FROM part_movement WHERE work_order_id IS NOT NULL ORDER BY id"
        )
        return [(row["org_node"], row["kind"]) for row in rows]


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


def opened(stage: Stage, hours: float = 1) -> Order | None:
    stage.fire(hours)
    with stage.desk() as desk:
        alert = desk.inbox.next_alert()
        assert alert is not None
        return application.open_from_alert(desk, alert)


def move(stage: Stage, action: str, number: int = 1, **ask: object) -> Order:
    with stage.desk() as desk:
        return application.move(
            desk, tenant="demo", number=number, action=action, actor="crew", ask=ask
        )


def looked_at(stage: Stage) -> Order | None:
    with stage.desk() as desk:
        order = desk.inbox.next_watched(0)
        return None if order is None else look_at(desk, order)


def repaired(stage: Stage, verified: Verified | None = None, as_found: str = "degraded") -> Order:
    opened(stage)
    for action in ("accept", "ship", "start"):
        move(stage, action)
    stage.later(5)
    order = move(stage, "fit", as_found=as_found, note="worn")
    if verified is not None:
        with stage.desk() as desk:
            desk.findings.judge(order.id, verified)
    return order


def test_what_is_opened_is_read_back_as_it_was_written(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    with stage.desk() as desk:
        assert desk.orders.get("demo", 1) == order
        assert desk.orders.standing("demo", order.subject) == [order]
    assert (order.number, order.state, order.version) == (1, State.OFFERED, 1)
    assert (order.kit, order.strategy) == ("FAN-2", Strategy.SELF_REPAIR)
    assert order.outlook == ALERT.outlook
    assert order.evidence == ALERT.evidence
    assert stage.told() == ["wo-1-opened"]


def test_an_alert_is_acted_on_once(stage: Stage) -> None:
    opened(stage)
    with stage.desk() as desk:
        assert desk.inbox.next_alert() is None


def test_an_order_that_stands_keeps_a_second_one_from_being_written(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    with stage.desk() as desk:
        assert desk.orders.insert(order) is None
    assert opened(stage, 3) is None
    with stage.desk() as desk:
        assert [e.action for e in desk.orders.ledger(order)] == [
            "open",
            "qualify",
            "offer",
            "attach",
        ]


def test_numbers_have_no_holes_though_an_insert_came_to_nothing(stage: Stage) -> None:
    first = opened(stage)
    assert first is not None
    with stage.desk() as desk:
        desk.orders.insert(first)
    move(stage, "cancel", reason="sold")
    second = opened(stage, 4)
    assert second is not None
    assert second.number == 2


def test_a_version_that_is_not_the_present_one_is_a_conflict(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    with pytest.raises(Conflict, match="somebody else"), stage.desk() as desk:
        desk.orders.save(replace(order, version=7), 5)
    with stage.desk() as desk:
        assert desk.orders.get("demo", 1) == order


def test_what_is_not_there_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound), stage.desk() as desk:
        desk.orders.get("demo", 99)
    opened(stage)
    with pytest.raises(NotFound), stage.desk() as desk:
        desk.orders.get("somebody-else", 1)
    with pytest.raises(NotFound), stage.desk() as desk:
        desk.facts.device(99)


def test_the_last_kit_is_reserved_once_and_then_the_next_node_gives_its_own(stage: Stage) -> None:
    opened(stage)
    move(stage, "accept")
    assert stage.movements() == [(stage.near, "reserve")]
    with stage.desk() as desk:
        sources = desk.facts.sources("demo", stage.near, "FAN-2")
        assert sources[0].org_node == stage.far
        order = desk.orders.get("demo", 1)
        assert desk.parts.reserve(order, "FAN-2", [stage.near], START) == stage.near
    move(stage, "cancel", reason="sold")
    assert stage.movements() == [(stage.near, "reserve"), (stage.near, "release")]


def test_a_kit_is_shipped_and_used_once_however_often_it_is_said(stage: Stage) -> None:
    order = repaired(stage)
    with stage.desk() as desk:
        for _ in range(2):
            desk.parts.use(order, START)
            desk.parts.take_back(order, START)
            desk.parts.release(order, START)
            assert desk.parts.ship(order, START) is None
    assert [kind for _, kind in stage.movements()] == ["reserve", "release", "ship", "use"]


def test_a_kit_that_nobody_has_leaves_the_order_to_go_on(stage: Stage) -> None:
    opened(stage)
    with stage.desk() as desk:
        order = desk.orders.get("demo", 1)
        assert desk.parts.reserve(order, "FAN-2", [], START) is None
        assert desk.parts.ship(order, START) is None


def test_a_finding_is_written_once_an_attempt_and_judged_once(stage: Stage) -> None:
    order = repaired(stage, Verified.RECOVERED)
    with stage.desk() as desk:
        desk.findings.judge(order.id, Verified.NOT_RECOVERED)
        assert desk.facts.outcomes("demo", "fan_wear") == {Strategy.SELF_REPAIR: Tally(1, 0)}
        assert desk.facts.outcomes("demo", "belt_wear") == {}
    assert (order.as_found, order.fitted_at) == (AsFound.DEGRADED, START + 5 * HOUR)


def test_finding_no_fault_counts_for_no_strategy(stage: Stage) -> None:
    repaired(stage, Verified.RECOVERED, as_found="no_fault_found")
    with stage.desk() as desk:
        assert desk.facts.outcomes("demo", "fan_wear") == {}


def test_the_ledger_is_read_as_it_was_written(stage: Stage) -> None:
    order = repaired(stage)
    with stage.desk() as desk:
        ledger = desk.orders.ledger(order)
    assert [e.to_state for e in ledger] == [
        State.PROPOSED,
        State.QUALIFIED,
        State.OFFERED,
        State.ACCEPTED,
        State.PARTS_PENDING,
        State.IN_PROGRESS,
        State.VERIFYING,
    ]
    last = ledger[-1]
    assert (last.actor, last.reason, last.at) == ("crew", "part_fitted", START + 5 * HOUR)
    assert last.params["as_found"] == "degraded"


def test_hold_and_resume_survive_being_written(stage: Stage) -> None:
    opened(stage)
    move(stage, "accept")
    assert move(stage, "hold", reason="away").held_from is State.ACCEPTED
    with stage.desk() as desk:
        assert desk.orders.get("demo", 1).held_from is State.ACCEPTED
    assert move(stage, "resume").state is State.ACCEPTED


def test_a_replacement_counts_from_the_opening_and_anew_after_a_fit(stage: Stage) -> None:
    stage.replaced(0.5)
    order = opened(stage)
    assert order is not None
    with stage.desk() as desk:
        assert desk.facts.replaced_at(order) is None
    stage.replaced(3)
    with stage.desk() as desk:
        assert desk.facts.replaced_at(order) == START + 3 * HOUR
    for action in ("accept", "start"):
        move(stage, action)
    fitted = move(stage, "fit", as_found="failed")
    with stage.desk() as desk:
        assert desk.facts.replaced_at(fitted) is None


def test_an_offer_lapses_when_its_time_is_over(stage: Stage) -> None:
    opened(stage)
    stage.resolve()
    stage.later(24.9)
    before = looked_at(stage)
    assert before is None or before.state is State.OFFERED
    stage.later(25.1)
    after = looked_at(stage)
    assert after is not None
    assert after.state is State.CANCELLED
    assert looked_at(stage) is None


def test_a_repair_without_a_word_of_telemetry_is_closed_in_the_end(stage: Stage) -> None:
    repaired(stage)
    stage.later(28.9)
    waiting = looked_at(stage)
    assert waiting is not None
    assert waiting.state is State.VERIFYING
    stage.later(29)
    closed = looked_at(stage)
    assert closed is not None
    assert closed.state is State.CLOSED
    with stage.desk() as desk:
        last = desk.orders.ledger(closed)[-1]
    assert (last.actor, last.reason) == ("telemetry", "no_telemetry")


def test_a_key_is_told_once(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    with stage.desk() as desk:
        for _ in range(2):
            desk.notices.tell(order, event="work_order.opened", key="wo-1-opened", payload={})
    assert stage.told() == ["wo-1-opened"]


def test_a_fault_that_two_report_is_one_order(stage: Stage) -> None:
    stage.later(1)
    subject = replace(ALERT.subject, device_id=stage.device)
    with stage.desk() as desk:
        first = application.open_reactive(desk, subject=subject, actor="ann")
    with stage.desk() as desk:
        second = application.open_reactive(desk, subject=subject, actor="bob")
    assert (first.id, first.number) == (second.id, 1)


def reported(stage: Stage, failure_mode: str, note: str = "") -> Order:
    subject = replace(ALERT.subject, device_id=stage.device, failure_mode=failure_mode)
    with stage.desk() as desk:
        return application.open_reactive(desk, subject=subject, actor="bob", note=note)


def test_a_fault_in_a_part_that_has_an_order_joins_it_whatever_it_is_called(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    stage.later(2)

    joined = reported(stage, "bearing_worn", note="it rattles")

    assert joined.id == order.id
    with stage.desk() as desk:
        last = desk.orders.ledger(order)[-1]
    assert (last.actor, last.action, last.reason) == ("bob", "report", "fault_reported")
    assert (last.from_state, last.to_state) == (order.state, order.state)
    assert last.params == {"failure_mode": "bearing_worn", "note": "it rattles"}


def test_a_fault_joins_the_order_of_its_own_mode_before_an_older_one(stage: Stage) -> None:
    worn = repaired(stage)

    # Nobody will look at what is being verified for anything else.
    loud = reported(stage, "bearing_worn")

    assert loud.number == worn.number + 1
    assert reported(stage, "fan_wear").number == worn.number
    assert reported(stage, "bearing_worn").number == loud.number


def test_a_fault_in_another_part_is_another_order(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    subject = replace(ALERT.subject, device_id=stage.device, component="nozzle")
    with stage.desk() as desk:
        other = application.open_reactive(desk, subject=subject, actor="bob")
    assert other.number == order.number + 1


def test_an_offer_that_a_report_has_joined_does_not_lapse(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    stage.later(2)
    reported(stage, "bearing_worn")
    stage.resolve()
    stage.later(400)

    after = looked_at(stage)

    assert after is None or after.state is State.OFFERED


def test_a_fault_that_is_reported_again_after_its_repair_reopens_the_order(stage: Stage) -> None:
    order = repaired(stage)
    stage.later(6)

    again = reported(stage, "fan_wear", note="it stands still")

    assert (again.id, again.state, again.reopened) == (order.id, State.OFFERED, 1)
    with stage.desk() as desk:
        last = desk.orders.ledger(again)[-1]
    assert (last.actor, last.action, last.reason) == ("bob", "reopen", "fault_reported")
    assert last.params["note"] == "it stands still"
    assert stage.told()[-1] == f"wo-1-v{again.version}"


def test_an_order_whose_repair_did_not_hold_does_not_lapse(stage: Stage) -> None:
    repaired(stage)
    stage.later(6)
    reported(stage, "fan_wear")
    stage.resolve()
    stage.later(400)

    after = looked_at(stage)

    assert after is None or after.state is State.OFFERED


def test_an_alert_joins_an_old_offer_that_a_report_has_joined(stage: Stage) -> None:
    order = opened(stage)
    assert order is not None
    stage.later(2)
    reported(stage, "bearing_worn")

    assert opened(stage, 400) is None

    with stage.desk() as desk:
        assert desk.orders.get("demo", order.number).state is State.OFFERED
