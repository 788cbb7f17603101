"""Holds orders against the truth once a year is over; nothing here is seen by those who decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api import judgement
from field_service.values import Kind
from foremend.clock import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from field_service.values import Order
    from simulators.steps import Truth


def compared(truths: Iterable[Truth], orders: Iterable[judgement.Order]) -> judgement.Comparison:
    """Judge faults and orders as the console's page of comparison does."""
    return judgement.compare([_fault(truth) for truth in truths], orders)


def foreseeing(orders: Iterable[Order]) -> list[judgement.Order]:
    """Give the orders that were opened because a failure was foreseen."""
    return [
        judgement.Order(
            number=order.number,
            device=order.device,
            component=order.subject.component,
            failure_mode=order.subject.failure_mode,
            opened_ms=to_ms(order.opened_at),
            probability=order.outlook.probability,
            state=order.state.value,
        )
        for order in orders
        if order.kind is Kind.PREDICTIVE
    ]


def _fault(truth: Truth) -> judgement.Fault:
    return judgement.Fault(
        device=truth.device,
        component=truth.component,
        failure_mode=truth.failure_mode,
        onset_ms=truth.onset_ms,
        failed_ms=truth.failed_ms,
        due_ms=truth.due_ms,
        repaired_ms=truth.repaired_ms,
    )
