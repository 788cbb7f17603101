"""The library on fleets that nothing was fitted to: true channels, honest odds, orders worth it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from models.diagnosis import ReasonKind
from models.history import rows_of
from models.signatures import SignatureModel, shipped
from models.signatures.calibrating import Judged, brier, judged, orders_judged, told_and_failed
from models.signatures.recorded import as_seen
from simulators.histories import histories
from stack.histories import as_history, found_modes
from stack.signatures import FIT_SEEDS, HELD_SEEDS
from tests.simulated_faults import ailing

FAMILIES = tuple(shipped())
SEED = 9101
assert SEED not in {*FIT_SEEDS, *HELD_SEEDS}


def first_channels(family: str, seed: int) -> list[tuple[str, str, bool]]:
    """Give each fault with the channel that leads its reasons, and whether that is a true one."""
    fleet, model = ailing(family, seed), SignatureModel(library=shipped()[family])
    rows = rows_of(as_seen(model, fleet.history, fleet.model))
    told = []
    for i, fault in enumerate(fleet.faults):
        last = np.flatnonzero(rows.device == i)[-1]
        mode = model.modes.index((fault.component, fault.failure_mode))
        reasons = model.reasons(rows.values[last], mode=mode)
        channels = [
            str(r.parameters.get("channel", r.subject))
            for r in reasons
            if r.kind in {ReasonKind.CHANNEL, ReasonKind.FEATURE}
        ]
        first = channels[0] if channels else ""
        told.append((f"{fault.component}/{fault.failure_mode}", first, first in fault.channels))
    return told


def test_the_true_channel_leads_the_reasons_of_half_grown_faults() -> None:
    told = [
        one for family in FAMILIES for seed in (1, 2, 3) for one in first_channels(family, seed)
    ]
    assert len(told) == 3 * (15 + 8 + 6)
    assert np.mean([true for *_, true in told]) >= 0.9, [one for one in told if not one[2]]


@cache
def unseen(family: str) -> Judged:
    counts = {"printers": 0, "machines": 0, "excavators": 0}
    kind = {"fdm_printer": "printers", "rotating_machine": "machines"}.get(family, "excavators")
    counts[kind] = 70
    simulated = next(histories(SEED, days=8.0, step_s=600.0, **counts))
    library = shipped()[family]
    return judged(library, as_history(simulated), found_modes(simulated), simulated.model)


@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_are_honest_on_units_that_nothing_was_fitted_to(family: str) -> None:
    model = SignatureModel(library=shipped()[family])
    p, failed = told_and_failed(model, unseen(family))
    assert p.mean() == pytest.approx(failed.mean(), rel=0.35)
    for low, high in ((0.1, 0.4), (0.4, 0.7), (0.7, 1.0)):
        here = (p >= low) & (p < high)
        assert here.sum() > 50
        assert failed[here].mean() == pytest.approx(p[here].mean(), abs=0.2)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_tells_more_than_how_often_such_parts_fail(family: str) -> None:
    told, rate = brier(SignatureModel(library=shipped()[family]), unseen(family))
    assert told < 0.75 * rate * (1.0 - rate)


def test_orders_keep_their_precision_on_units_that_nothing_was_fitted_to() -> None:
    hits = total = foreseen = failures = 0
    for family in FAMILIES:
        model = SignatureModel(library=shipped()[family])
        figures = orders_judged(model, unseen(family), model.threshold)
        hits, total = hits + figures.true_orders, total + figures.orders
        foreseen, failures = foreseen + figures.foreseen, failures + figures.failures
    assert total > 100
    assert hits / total >= 0.85
    assert foreseen / failures >= 0.5
