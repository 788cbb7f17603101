"""Hold work orders against faults as they really were; pure.

An order is true if its component was developing a fault, or had failed of one, when it opened. A
fault is foreseen if an order opened after its onset and before its failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING

from foremend.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from foremend.clock import Millis


class FaultOutcome(Enum):
    """What became of a fault."""

    FORESEEN = "foreseen"
    """An order opened before it failed."""
    MISSED = "missed"
    """It failed, and no order had opened."""
    DEVELOPING = "developing"
    """It has not failed, and no order has opened yet."""
    REPLACED = "replaced"
    """The part was changed before it failed, though no order asked for it."""


class OrderOutcome(Enum):
    """What an order turned out to be."""

    TRUE = "true"
    """Opened on a fault that had not failed yet."""
    LATE = "late"
    """Opened on a fault that had failed already."""
    FALSE = "false"
    """Opened on a healthy component."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault as it really was; times in ms on its timeline."""

    device: str
    component: str
    failure_mode: str
    onset_ms: Millis
    failed_ms: Millis | None
    due_ms: Millis
    """When it failed, or would have, had the part been left in."""
    repaired_ms: Millis | None

    def covers(self, order: Order) -> bool:
        """Tell whether the order opened on this part while the fault was in it."""
        same = (order.device, order.component) == (self.device, self.component)
        gone = self.repaired_ms is not None and order.opened_ms > self.repaired_ms
        return same and self.onset_ms <= order.opened_ms and not gone

    def foreseen_by(self, order: Order) -> bool:
        """Tell whether the order came before the failure."""
        return self.failed_ms is None or order.opened_ms < self.failed_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One predictive order, as far as it is judged."""

    number: int
    device: str
    component: str
    failure_mode: str
    opened_ms: Millis
    probability: float | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFault:
    """A fault, what became of it, and the first order that covers it."""

    fault: Fault
    outcome: FaultOutcome
    order: Order | None
    lead_h: float | None
    """Hours from the order to the failure; None where no order came before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedOrder:
    """An order, what it turned out to be, and the fault that it stands on."""

    order: Order
    outcome: OrderOutcome
    fault: Fault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All faults, oldest onset first, and all orders, oldest first."""

    faults: tuple[JudgedFault, ...]
    orders: tuple[JudgedOrder, ...]

    def count(self, outcome: FaultOutcome) -> int:
        """Give how many faults came out so."""
        return sum(judged.outcome is outcome for judged in self.faults)

    def count_orders(self, outcome: OrderOutcome) -> int:
        """Give how many orders came out so."""
        return sum(judged.outcome is outcome for judged in self.orders)

    @property
    def median_lead_h(self) -> float | None:
        """Median hours from order to failure over the faults foreseen; None if there are none."""
        leads = [judged.lead_h for judged in self.faults if judged.lead_h is not None]
        return median(leads) if leads else None


def compare(faults: Iterable[Fault], orders: Iterable[Order]) -> Comparison:
    """Judge every fault by the orders and every order by the faults."""
    by_onset = sorted(faults, key=lambda f: (f.onset_ms, f.device, f.component))
    by_opening = sorted(orders, key=lambda o: (o.opened_ms, o.number))
    return Comparison(
        faults=tuple(_judge_fault(fault, by_opening) for fault in by_onset),
        orders=tuple(_judge_order(order, by_onset) for order in by_opening),
    )


def _judge_fault(fault: Fault, orders: Sequence[Order]) -> JudgedFault:
    first = next((order for order in orders if fault.covers(order)), None)
    if first is not None and fault.foreseen_by(first):
        lead_h = (fault.due_ms - first.opened_ms) / HOUR_MS
        return JudgedFault(fault=fault, outcome=FaultOutcome.FORESEEN, order=first, lead_h=lead_h)
    return JudgedFault(fault=fault, outcome=_unforeseen(fault), order=first, lead_h=None)


def _unforeseen(fault: Fault) -> FaultOutcome:
    if fault.failed_ms is not None:
        return FaultOutcome.MISSED
    return FaultOutcome.DEVELOPING if fault.repaired_ms is None else FaultOutcome.REPLACED


def _judge_order(order: Order, faults: Sequence[Fault]) -> JudgedOrder:
    covered = [fault for fault in faults if fault.covers(order)]
    if not covered:
        return JudgedOrder(order=order, outcome=OrderOutcome.FALSE, fault=None)
    ahead = next((fault for fault in covered if fault.foreseen_by(order)), None)
    if ahead is None:
        return JudgedOrder(order=order, outcome=OrderOutcome.LATE, fault=covered[0])
    return JudgedOrder(order=order, outcome=OrderOutcome.TRUE, fault=ahead)
