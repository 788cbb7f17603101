"""What the simulated people do about an order: each thing at its time, and nothing twice."""

from __future__ import annotations

import pytest

from foremend.clock import HOUR_MS
from stack.fleet.crew import TRANSIT_H, Deed, Standing, Why, decide

THEN = 1_767_225_600_000


def standing(state: str, strategy: str | None = "self_repair") -> Standing:
    return Standing(
        number=1,
        version=1,
        device="printer-01",
        component="hotend_fan",
        state=state,
        state_ms=THEN,
        strategy=strategy,
        kit="FAN-2",
        reopened=0,
    )


@pytest.mark.parametrize(
    ("state", "after_h", "deed", "why"),
    [
        ("offered", 0.5, Deed.ACCEPT, Why.OWNER_CONSENTS),
        ("accepted", 0.5, Deed.SHIP, Why.KIT_PACKED),
        ("parts_pending", 6.0, Deed.START, Why.KIT_ARRIVED),
        ("in_progress", 1.0, Deed.FIT, Why.WORK_DONE),
    ],
)
def test_each_step_is_taken_when_its_time_has_come_and_not_before(
    state, after_h, deed, why
) -> None:
    due = THEN + round(after_h * HOUR_MS)
    early, late = decide(standing(state), due - 1), decide(standing(state), due)
    assert (early.deed, early.why) == (Deed.WAIT, Why.NOT_YET)
    assert (late.deed, late.why) == (deed, why)


@pytest.mark.parametrize("strategy", [*TRANSIT_H, None])
def test_a_kit_takes_as_long_as_its_way(strategy) -> None:
    hours = TRANSIT_H[strategy or "on_site"]
    order = standing("parts_pending", strategy)
    assert decide(order, THEN + round(hours * HOUR_MS) - 1).deed is Deed.WAIT
    assert decide(order, THEN + round(hours * HOUR_MS)).deed is Deed.START


@pytest.mark.parametrize("state", ["proposed", "verifying", "closed", "cancelled", "on_hold"])
def test_nobody_touches_an_order_that_waits_for_no_one(state) -> None:
    decision = decide(standing(state), THEN + 1000 * HOUR_MS)
    assert (decision.deed, decision.why) == (Deed.WAIT, Why.NOTHING_TO_DO)
