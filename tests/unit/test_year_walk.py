"""What people do to a simulated fleet: the right kit cures, the wrong one does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from field_service import application
from field_service.values import Subject
from foremend.clock import HOUR_MS
from simulators.fleets import MachineFleet
from simulators.steps import FaultPlan, ScheduledFault
from stack.fleet import crew
from stack.year.shop import standing
from stack.year.site import TIMELINE, Site, chain
from stack.year.terms import Terms
from stack.year.walk import account, ground, run_to_failure, walk

DAYS = 6
TERMS = Terms(window_min=60, days=DAYS)


def failing(component: str = "filter") -> MachineFleet:
    """Give two machines; one fails after some fifty hours."""
    fault = ScheduledFault(device="m1", component=component, onset_h=10.0, hours_to_failure=40.0)
    return MachineFleet(
        names=("m1", "m2"),
        seed=5,
        step_s=3600.0,
        plan=FaultPlan(random_from_h=None, scheduled=(fault,)),
    )


def test_a_failure_costs_its_notice_its_way_its_work_and_no_hour_more() -> None:
    fleet = failing()
    done = run_to_failure(TERMS, fleet)
    (truth,) = fleet.truth()
    (visit,) = done.visits
    assert truth.failed_ms is not None
    assert visit.failed
    assert truth.repaired_ms == visit.fitted_ms
    down_h = (visit.fitted_ms - truth.failed_ms) / HOUR_MS
    waits = (crew.NOTICED_H, crew.CONSENT_H, crew.PACKING_H, visit.work_h)
    assert down_h >= sum(waits)
    assert done.downtime_h == pytest.approx(down_h)
    assert float(done.cost) == pytest.approx(float(visit.bill) + 55 * down_h, abs=0.01)


def test_the_wrong_kit_leaves_the_device_down_until_the_right_one_comes() -> None:
    fleet = failing()
    on = ground(fleet)
    walk(on, TERMS, windows=48)
    wrong = Subject(timeline=TIMELINE, device_id=0, component="seal", failure_mode="seal_leak")
    application.open_reactive(on.site.desk, subject=wrong, actor="somebody")
    walk(on, TERMS, windows=24 * DAYS - 48)
    done = account(on, ())
    (truth,) = fleet.truth()
    seal, filters = sorted(done.visits, key=lambda visit: visit.component, reverse=True)
    assert (seal.component, filters.component) == ("seal", "filter")
    assert not seal.failed
    assert filters.failed
    assert truth.repaired_ms == filters.fitted_ms
    assert done.downtime_h >= (filters.fitted_ms - (truth.failed_ms or 0)) / HOUR_MS


def test_a_part_is_reported_once_whatever_an_order_calls_its_failure() -> None:
    fleet = failing()
    on = ground(fleet)
    walk(on, TERMS, windows=49)
    other = Subject(timeline=TIMELINE, device_id=0, component="filter", failure_mode="torn")
    application.open_reactive(on.site.desk, subject=other, actor="somebody")
    walk(on, TERMS, windows=24 * DAYS - 49)
    assert len(on.site.world.orders) == 1


def test_an_order_takes_as_long_as_its_strategy_was_offered_with() -> None:
    fleet = failing()
    on = ground(fleet)
    subject = Subject(
        timeline=TIMELINE, device_id=0, component="filter", failure_mode="clogged_filter"
    )
    order = application.open_reactive(on.site.desk, subject=subject, actor="somebody")
    offered = order.options[0]
    seen = standing(order)
    assert (seen.lead_h, seen.work_h) == (offered["lead_h"], offered["work_h"])
    underway = replace(seen, state="parts_pending")
    due = seen.state_ms + round((seen.lead_h or 0) * HOUR_MS)
    assert crew.decide(underway, due - 1).deed is crew.Deed.WAIT
    assert crew.decide(underway, due).deed is crew.Deed.START


def test_a_kit_comes_from_the_nodes_above_a_device_the_nearest_first() -> None:
    site = Site(failing())
    place = site.world.devices[0]
    sources = site.desk.facts.sources(place.tenant, place.org_node, "FILT-1")
    assert tuple(s.org_node for s in sources) == chain(place.org_node)
    assert [s.node_kind for s in sources] == ["local_node", "regional_centre", "hq"]
