"""Orders from their opening to their end, on the desk in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from field_service import application
from field_service.opening import Action, Reason, respond
from field_service.orders import Reason as Why
from field_service.sentences import order_line
from field_service.values import Ask, Order, State, Strategy, Verified
from field_service.verify import Signals
from field_service.watch import look_at
from foremend.errors import Conflict, NotFound
from foremend.values import AsFound
from tests.field_orders import ALERT, HOUR, ORDER, START, SUBJECT, later, memory_world

if TYPE_CHECKING:
    from field_service.memory import MemoryWorld


def opened(world: MemoryWorld) -> Order:
    alert = world.desk().inbox.next_alert()
    assert alert is not None
    order = application.open_from_alert(world.desk(), alert)
    assert order is not None
    return order


def move(world: MemoryWorld, action: str, **ask: object) -> Order:
    return application.move(
        world.desk(), tenant="demo", number=1, action=action, actor="crew", ask=ask
    )


def fitted(world: MemoryWorld, **ask: object) -> Order:
    opened(world)
    later(world, 2)
    for action in ("accept", "ship", "start"):
        move(world, action)
    later(world, 6)
    return move(world, "fit", **({"as_found": "degraded"} | ask))


def kinds(world: MemoryWorld) -> list[str]:
    return [kind for *_, kind, _ in world.movements]


def test_an_alert_opens_an_offer_with_evidence_and_a_ledger_from_the_first_moment() -> None:
    world = memory_world(ALERT)
    order = opened(world)
    assert (order.number, order.state, order.kit) == (1, State.OFFERED, "FAN-2")
    assert (order.opened_at, order.alert_id) == (ALERT.fired_at, 1)
    assert order.evidence == ALERT.evidence
    moves = [(e.from_state, e.to_state, e.reason) for e in world.ledgers[order.id]]
    assert moves == [
        (None, State.PROPOSED, "failure_foreseen"),
        (State.PROPOSED, State.QUALIFIED, "evidence_suffices"),
        (State.QUALIFIED, State.OFFERED, "offered_by_policy"),
    ]
    assert list(world.told) == ["wo-1-opened"]
    assert world.told["wo-1-opened"]["event"] == "work_order.opened"
    assert world.desk().inbox.next_alert() is None


def test_the_terminal_reads_kit_strategy_cost_and_runner_up() -> None:
    world = memory_world(ALERT)
    order = opened(world)
    line = application.describe(world.desk(), order)
    assert (
        line == "WO-1: kit FAN-2, self-repair (North America), 17 USD; next best: walk-in, 53 USD"
    )
    region = world.desk().catalogue.region("europe")
    bare = replace(order, strategy=None, kit=None)
    assert order_line(bare, region) == "WO-1: no kit known, no strategy is feasible (Europe)"


def test_a_second_alert_is_noted_on_the_order_that_stands() -> None:
    world = memory_world(ALERT)
    order = opened(world)
    again = replace(ALERT, id=2, fired_at=START + 5 * HOUR)
    assert application.open_from_alert(world.desk(), again) is None
    assert len(world.orders) == 1
    last = world.ledgers[order.id][-1]
    assert (last.action, last.reason, last.params["alert"]) == ("attach", "already_open", 2)
    assert world.handled == {1, 2}


@pytest.mark.parametrize(
    ("state", "replaced_after_h", "fired_after_h", "action", "reason"),
    [
        (State.OFFERED, None, 5, Action.ATTACH, Reason.ALREADY_OPEN),
        (State.OFFERED, None, 25, Action.SUPERSEDE, Reason.HORIZON_PASSED),
        (State.ACCEPTED, None, 25, Action.ATTACH, Reason.ALREADY_OPEN),
        (State.ON_HOLD, None, 500, Action.ATTACH, Reason.ALREADY_OPEN),
        (State.ACCEPTED, 3, 5, Action.SUPERSEDE, Reason.PART_REPLACED),
        (State.ACCEPTED, 6, 5, Action.ATTACH, Reason.ALREADY_OPEN),
        (State.VERIFYING, None, 23, Action.ATTACH, Reason.BEING_VERIFIED),
        (State.VERIFYING, None, 24, Action.SUPERSEDE, Reason.WATCH_IS_OVER),
    ],
)
def test_what_an_alert_means_for_the_order_that_stands(
    state: State,
    replaced_after_h: float | None,
    fired_after_h: float,
    action: Action,
    reason: Reason,
) -> None:
    order = replace(
        ORDER,
        state=state,
        outlook=ALERT.outlook,
        fitted_at=START,
        verify_until=START + 6 * HOUR,
    )
    replaced = None if replaced_after_h is None else START + replaced_after_h * HOUR
    decision = respond(order, replaced, START + fired_after_h * HOUR)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_renewed_forecast_replaces_an_offer_that_nobody_took_up() -> None:
    world = memory_world(ALERT)
    first = opened(world)
    later(world, 30)
    second = application.open_from_alert(
        world.desk(), replace(ALERT, id=2, fired_at=START + 30 * HOUR)
    )
    assert second is not None
    assert (second.number, second.state) == (2, State.OFFERED)
    assert world.orders[first.id].state is State.CANCELLED
    assert world.ledgers[first.id][-1].reason == "risk_passed"


def test_a_part_replaced_outside_the_order_ends_it_before_the_next_one_opens() -> None:
    world = memory_world(ALERT)
    first = opened(world)
    move(world, "accept")
    world.replaced.append((1, "hotend_fan", START + 9 * HOUR))
    second = application.open_from_alert(
        world.desk(), replace(ALERT, id=2, fired_at=START + 300 * HOUR)
    )
    assert second is not None
    ended = world.orders[first.id]
    assert (ended.state, ended.fitted_at) == (State.CLOSED, START + 9 * HOUR)
    assert kinds(world) == ["reserve", "release"]


def test_a_reported_fault_opens_a_reactive_order_and_finds_the_one_that_stands() -> None:
    world = memory_world()
    order = application.open_reactive(world.desk(), subject=SUBJECT, actor="ann", note="noisy")
    again = application.open_reactive(world.desk(), subject=SUBJECT, actor="bob")
    assert order == again
    assert (order.kind.value, order.opened_at) == ("reactive", world.devices[1].now)
    first = world.ledgers[order.id][0]
    assert (first.actor, first.reason, first.params) == (
        "ann",
        "fault_reported",
        {"note": "noisy"},
    )


def test_accepting_reserves_the_nearest_kit_and_shipping_sends_it() -> None:
    world = memory_world(ALERT)
    opened(world)
    move(world, "accept", assignee="lee")
    assert world.movements == [(1, "near", "FAN-2", "reserve", -1)]
    order = move(world, "ship")
    assert kinds(world) == ["reserve", "release", "ship"]
    assert (order.assignee, order.version) == ("lee", 3)
    assert world.ledgers[1][-1].params == {"shipped_from": "near"}


def test_a_fit_writes_a_finding_and_starts_the_watch() -> None:
    world = memory_world(ALERT)
    order = fitted(world, note="blades cracked", occurred_at=START + 5 * HOUR)
    assert (order.state, order.as_found) == (State.VERIFYING, AsFound.DEGRADED)
    assert (order.fitted_at, order.verify_until) == (START + 5 * HOUR, START + 11 * HOUR)
    (finding,) = world.findings
    assert (finding.component, finding.kit, finding.replaced) == ("hotend_fan", "FAN-2", True)
    assert (finding.occurred_at, finding.known_at) == (START + 5 * HOUR, START + 6 * HOUR)
    assert kinds(world) == ["reserve", "release", "ship", "use"]


def test_a_kit_that_was_not_needed_comes_back() -> None:
    world = memory_world(ALERT)
    fitted(world, as_found="no_fault_found")
    assert kinds(world)[-1] == "return"
    assert not world.findings[0].replaced
    assert world.findings[0].kit is None


def test_another_part_may_turn_out_to_be_the_fault() -> None:
    world = memory_world(ALERT)
    fitted(world, component="part_fan", kit="FAN-1", as_found="failed")
    (finding,) = world.findings
    assert (finding.component, finding.kit) == ("part_fan", "FAN-1")
    assert kinds(world)[-1] == "return"


def test_telemetry_closes_a_repair_that_holds() -> None:
    world = memory_world(ALERT)
    order = fitted(world)
    later(world, 13)
    world.signals[order.id] = Signals(
        running_h=6.1, hazard=0.01, hazard_at=START + 12 * HOUR, threshold=0.5
    )
    closed = look_at(world.desk(), order)
    assert closed.state is State.CLOSED
    assert world.findings[0].verified is Verified.RECOVERED
    assert world.told["wo-1-v6"]["event"] == "work_order.closed"
    assert world.ledgers[1][-1].params == {"verification": "recovered"}


def test_telemetry_reopens_a_repair_that_does_not_hold_with_the_next_strategy() -> None:
    world = memory_world(ALERT)
    order = fitted(world)
    later(world, 9)
    world.signals[order.id] = Signals(hazard=0.9, hazard_at=START + 9 * HOUR, threshold=0.5)
    again = look_at(world.desk(), order)
    assert (again.state, again.strategy) == (State.OFFERED, Strategy.WALK_IN)
    assert (again.reopened, again.as_found) == (1, None)
    assert world.findings[0].verified is Verified.NOT_RECOVERED
    for action in ("accept", "start"):
        move(world, action)
    move(world, "fit", as_found="failed")
    assert [(f.attempt, f.verified) for f in world.findings] == [
        (1, Verified.NOT_RECOVERED),
        (2, None),
    ]


def test_what_the_device_said_before_a_reopening_does_not_count_again() -> None:
    world = memory_world(ALERT)
    world.replaced.append((1, "hotend_fan", START + 5.5 * HOUR))
    order = fitted(world)
    later(world, 9)
    world.signals[order.id] = Signals(hazard=0.9, hazard_at=START + 9 * HOUR, threshold=0.5)
    again = look_at(world.desk(), order)
    later(world, 400)
    assert look_at(world.desk(), again) == again


def test_a_device_that_says_its_part_was_replaced_is_believed_after_a_grace() -> None:
    world = memory_world(ALERT)
    order = opened(world)
    world.replaced.append((1, "hotend_fan", START + 3 * HOUR))
    later(world, 14.9)
    assert look_at(world.desk(), order) == order
    later(world, 15)
    seen = look_at(world.desk(), order)
    assert (seen.state, seen.fitted_at) == (State.VERIFYING, START + 3 * HOUR)
    assert world.findings == []
    told = move(world, "fit", as_found="degraded")
    assert (told.as_found, told.fitted_at) == (AsFound.DEGRADED, START + 3 * HOUR)
    assert world.findings[0].occurred_at == START + 3 * HOUR


def test_an_offer_lapses_once_its_horizon_passed_and_its_alert_is_over() -> None:
    world = memory_world(ALERT)
    order = opened(world)
    later(world, 26)
    assert look_at(world.desk(), order) == order
    world.resolved.add(1)
    assert look_at(world.desk(), order).state is State.CANCELLED


def test_an_old_version_is_a_conflict_and_says_so() -> None:
    world = memory_world(ALERT)
    opened(world)
    move(world, "accept")
    with pytest.raises(Conflict, match="stands at version 2, not 1"):
        application.move(
            world.desk(),
            tenant="demo",
            number=1,
            action="ship",
            actor="crew",
            expected_version=1,
        )


def test_a_refused_move_names_its_reason_and_changes_nothing() -> None:
    world = memory_world(ALERT)
    order = opened(world)
    with pytest.raises(application.MoveRefused, match="fit is refused") as refused:
        move(world, "fit", as_found="failed")
    assert refused.value.reason is Why.NOT_FROM_THIS_STATE
    assert world.orders[order.id] == order
    assert not world.findings


@pytest.mark.parametrize("action", ["close", "reopen", "lapse", "part_seen", "qualify", "merge"])
def test_people_cannot_make_policys_and_telemetrys_moves(action: str) -> None:
    world = memory_world(ALERT)
    opened(world)
    with pytest.raises(application.MoveRefused):
        move(world, action)


@pytest.mark.parametrize(
    ("action", "ask"),
    [
        ("explode", {}),
        ("fit", {"as_found": "fine"}),
        ("accept", {"unknown": 1}),
        ("fit", {"as_found": "failed", "occurred_at": "yesterday"}),
    ],
)
def test_what_cannot_be_understood_is_refused(action: str, ask: dict[str, object]) -> None:
    world = memory_world(ALERT)
    opened(world)
    with pytest.raises(application.InvalidAsk):
        move(world, action, **ask)


def test_an_owner_may_choose_another_strategy_but_never_an_unsafe_one() -> None:
    psu = replace(SUBJECT, component="psu", failure_mode="supply_sag")
    world = memory_world(replace(ALERT, subject=psu))
    order = opened(world)
    assert order.strategy is not Strategy.SELF_REPAIR
    with pytest.raises(application.MoveRefused) as refused:
        move(world, "choose", strategy="self_repair")
    assert refused.value.reason is Why.STRATEGY_NOT_FEASIBLE
    chosen = move(world, "choose", strategy="on_site")
    assert chosen.strategy is Strategy.ON_SITE
    assert chosen.cost is not None
    assert chosen.cost != order.cost


def test_a_number_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="WO-1"):
        move(memory_world(), "accept")


def test_asks_may_be_made_in_python_too() -> None:
    world = memory_world(ALERT)
    opened(world)
    held = application.move(
        world.desk(), tenant="demo", number=1, action="hold", actor="ann", ask=Ask(reason="away")
    )
    assert held.state is State.ON_HOLD
    assert world.ledgers[1][-1].params == {"words": "away"}
    assert {a.value for a in application.allowed(held)} == {"resume", "cancel"}
