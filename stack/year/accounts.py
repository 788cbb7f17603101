"""What a year of one policy came to: hours down, money, and failures foreseen or missed; pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from api.judgement import FaultOutcome, OrderOutcome
from foremend.clock import HOUR_MS
from stack.year.terms import QUARTERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.judgement import Comparison, JudgedFault, JudgedOrder
    from foremend.clock import Millis
    from simulators.steps import Truth

CENT: Final = Decimal("0.01")
Interval = tuple[str, int, int]
"""A device, and from when to when it stood still, milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One attempt at curing a device: when it was done, how long it took, and its bill.

    The bill is in US dollars, without what standing still costs. `failed` says that the part was
    found failed.
    """

    device: str
    component: str
    fitted_ms: Millis
    work_h: float
    bill: Decimal
    failed: bool

    @property
    def interval(self) -> Interval:
        """The time in which the work itself kept the device from running."""
        return (self.device, self.fitted_ms - round(self.work_h * HOUR_MS), self.fitted_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One policy's year over one family."""

    since_ms: Millis
    until_ms: Millis
    compared: Comparison
    visits: tuple[Visit, ...]
    downtime_h: float
    cost: Decimal


def settle(
    *,
    since_ms: Millis,
    until_ms: Millis,
    truths: Sequence[Truth],
    visits: Sequence[Visit],
    compared: Comparison,
    usd_per_h: Decimal,
) -> Account:
    """Add up a year: every bill, and every hour in which a device stood still at its price.

    A device stands still from a failure until the failed part is replaced, and while somebody
    works on it; hours that are both count once.
    """
    stood = [*failures(truths, until_ms), *(visit.interval for visit in visits)]
    hours = sum(hours_of(stood, since_ms, until_ms).values())
    bills = sum((visit.bill for visit in visits), Decimal(0))
    return Account(
        since_ms=since_ms,
        until_ms=until_ms,
        compared=compared,
        visits=tuple(visits),
        downtime_h=hours,
        cost=bills + usd_per_h * Decimal(str(round(hours, 6))),
    )


def failures(truths: Iterable[Truth], until_ms: Millis) -> Iterable[Interval]:
    """Give the time from each failure to its repair, or to the end."""
    for truth in truths:
        if truth.failed_ms is not None:
            ended = until_ms if truth.repaired_ms is None else truth.repaired_ms
            yield (truth.device, truth.failed_ms, ended)


def hours_of(stood: Iterable[Interval], since_ms: Millis, until_ms: Millis) -> dict[str, float]:
    """Give each device's hours in the union of its intervals within [since, until]."""
    by_device: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for device, begun, ended in stood:
        by_device[device].append((max(begun, since_ms), min(ended, until_ms)))
    return {device: _union_ms(mine) / HOUR_MS for device, mine in by_device.items()}


def _union_ms(intervals: Iterable[tuple[int, int]]) -> int:
    total, reached = 0, -1
    for begun, ended in sorted(intervals):
        total += max(0, ended - max(begun, reached))
        reached = max(reached, ended)
    return total


def figures(accounts: Sequence[Account]) -> dict[str, Any]:
    """Give the figures of one policy over all families: counts, hours, US dollars."""
    faults = [fault for account in accounts for fault in account.compared.faults]
    orders = [order for account in accounts for order in account.compared.orders]
    foreseen, missed = (
        sum(fault.outcome is outcome for fault in faults)
        for outcome in (FaultOutcome.FORESEEN, FaultOutcome.MISSED)
    )
    return {
        "failures": foreseen + missed,
        "foreseen": foreseen,
        "missed": missed,
        "false_orders": sum(order.outcome is OrderOutcome.FALSE for order in orders),
        "median_lead_h": _median_lead(faults),
        "downtime_h": round(sum(account.downtime_h for account in accounts), 1),
        "cost": _amount(sum((account.cost for account in accounts), Decimal(0))),
    }


def quarters(accounts: Sequence[Account]) -> list[dict[str, float | None]]:
    """Give precision, recall and median lead of each quarter; None where nothing can be counted.

    An order belongs to the quarter in which it opened, a fault to the one in which it failed or
    was taken out. An order is right where the component was developing a fault.
    """
    out = []
    for quarter in range(QUARTERS):
        orders = [o for a in accounts for o in a.compared.orders if _opened_in(o, a, quarter)]
        faults = [f for a in accounts for f in a.compared.faults if _ended_in(f, a, quarter)]
        right = sum(order.outcome is OrderOutcome.TRUE for order in orders)
        false = sum(order.outcome is OrderOutcome.FALSE for order in orders)
        foreseen = sum(fault.outcome is FaultOutcome.FORESEEN for fault in faults)
        missed = sum(fault.outcome is FaultOutcome.MISSED for fault in faults)
        out.append(
            {
                "precision": _share(right, right + false),
                "recall": _share(foreseen, foreseen + missed),
                "median_lead_h": _median_lead(faults),
            }
        )
    return out


def _opened_in(order: JudgedOrder, account: Account, quarter: int) -> bool:
    return _quarter(order.order.opened_ms, account) == quarter


def _ended_in(judged: JudgedFault, account: Account, quarter: int) -> bool:
    fault = judged.fault
    ended = fault.failed_ms or fault.repaired_ms or account.until_ms
    return _quarter(ended, account) == quarter


def _quarter(at_ms: Millis, account: Account) -> int:
    share = (at_ms - account.since_ms) / (account.until_ms - account.since_ms)
    return min(QUARTERS - 1, int(share * QUARTERS))


def _median_lead(faults: Iterable[JudgedFault]) -> float | None:
    leads = [fault.lead_h for fault in faults if fault.lead_h is not None]
    return round(median(leads), 1) if leads else None


def _share(hits: int, total: int) -> float | None:
    return round(hits / total, 4) if total else None


def _amount(cost: Decimal) -> float:
    return float(cost.quantize(CENT, ROUND_HALF_UP))
