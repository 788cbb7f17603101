"""Judges opened orders against what failed; nothing here has seen the model."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from models.orders import HOUR_MS, OpenOrder, Order, decide_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WEEK_MS = 7 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A component's failure at an instant (ms)."""

    device: str
    component: str
    ts_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its counts and 95 % Wilson interval; NaN where nothing was counted."""

    hits: int
    total: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What orders were worth."""

    orders: int
    true_orders: int
    failures: int
    foreseen: int
    precision: Share
    event_recall: Share
    median_lead_h: float
    wrong_components: int
    false_per_100_machine_weeks: float
    duplicate_orders: int
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One row's forecast for one component, in order of time."""

    device: str
    component: str
    ts_ms: int
    probability: float
    row: int = -1


def wilson(hits: int, total: int, z: float = 1.959964) -> Share:
    """Return hits / total with its Wilson score interval (Wilson, JASA 1927)."""
    if total == 0:
        return Share(hits=0, total=0, value=math.nan, low=math.nan, high=math.nan)
    p, z2 = hits / total, z * z
    centre = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return Share(hits=hits, total=total, value=p, low=centre - half, high=centre + half)


def open_orders(
    candidates: Iterable[Candidate],
    thresholds: dict[str, float],
    replaced: Iterable[Failure],
    horizon_h: float,
) -> list[tuple[Order, int]]:
    """Return the orders that the policy opens, each with its candidate's row.

    `replaced` are the replacements (failures included) that close an order of that component.
    """
    ended: dict[tuple[str, str], list[int]] = defaultdict(list)
    for r in replaced:
        ended[r.device, r.component].append(r.ts_ms)
    standing: dict[tuple[str, str], OpenOrder] = {}
    opened: list[tuple[Order, int]] = []
    for c in candidates:
        key = (c.device, c.component)
        last = standing.get(key)
        if last and any(last.opened_ms < ts <= c.ts_ms for ts in ended[key]):
            last = None
        threshold = thresholds[c.component]
        decision = decide_order(
            probability=c.probability, threshold=threshold, now_ms=c.ts_ms, standing=last
        )
        if decision.opens:
            standing[key] = OpenOrder(opened_ms=c.ts_ms, horizon_ms=round(horizon_h * HOUR_MS))
            order = Order(
                device=c.device,
                component=c.component,
                opened_ms=c.ts_ms,
                probability=c.probability,
            )
            opened.append((order, c.row))
    return opened


def judge(
    orders: Sequence[Order],
    failures: Sequence[Failure],
    *,
    since_ms: int,
    until_ms: int,
    horizon_h: float,
    devices: int,
) -> Judgement:
    """Judge orders opened in [since, until - horizon] and failures in (since, until].

    An order is true if its component fails in (opened, opened + horizon]; a failure is foreseen if
    such an order stood. Orders whose horizon is cut by the end are left out.
    """
    horizon = round(horizon_h * HOUR_MS)
    told = [o for o in orders if since_ms <= o.opened_ms <= until_ms - horizon]
    due = [f for f in failures if since_ms < f.ts_ms <= until_ms]
    hits = [o for o in told if any(_foresees(o, f, horizon) for f in failures)]
    any_time = [o for o in orders if o.opened_ms >= since_ms]
    leads = [max(lead) for f in due if (lead := _leads(any_time, f, horizon))]
    wrong = [o for o in told if o not in hits and _other(o, failures, horizon)]
    weeks = devices * (until_ms - since_ms) / WEEK_MS
    return Judgement(
        orders=len(told),
        true_orders=len(hits),
        failures=len(due),
        foreseen=len(leads),
        precision=wilson(len(hits), len(told)),
        event_recall=wilson(len(leads), len(due)),
        median_lead_h=median(leads) / HOUR_MS if leads else math.nan,
        wrong_components=len(wrong),
        false_per_100_machine_weeks=100 * (len(told) - len(hits)) / weeks if weeks else math.nan,
        duplicate_orders=_duplicates(told),
        left_out=len(any_time) - len(told),
    )


def _same(order: Order, failure: Failure) -> bool:
    return order.device == failure.device and order.component == failure.component


def _foresees(order: Order, failure: Failure, horizon: int) -> bool:
    ahead = failure.ts_ms - order.opened_ms
    return _same(order, failure) and 0 < ahead <= horizon


def _leads(orders: Iterable[Order], failure: Failure, horizon: int) -> list[int]:
    return [failure.ts_ms - o.opened_ms for o in orders if _foresees(o, failure, horizon)]


def _other(order: Order, failures: Iterable[Failure], horizon: int) -> bool:
    return any(
        f.device == order.device and 0 < f.ts_ms - order.opened_ms <= horizon for f in failures
    )


def _duplicates(orders: Iterable[Order]) -> int:
    keys = [(o.device, o.component, o.opened_ms) for o in orders]
    return len(keys) - len(set(keys))
