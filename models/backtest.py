"""Judges opened orders against what failed; nothing here has seen the model."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from models.orders import HOUR_MS, OpenOrder, Order, decide_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
    lead_p10_h: float
    """Nine in ten failures that were foreseen were so at least so many hours ahead."""
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
    return Share(hits=hits, total=total, value=p, low=max(0.0, centre - half), high=centre + half)


def open_orders(
    candidates: Iterable[Candidate],
    thresholds: dict[str, float],
    replaced: Iterable[Failure],
    horizon_h: float,
) -> list[tuple[Order, int]]:
    """Return the orders that the policy opens, each with its candidate's row.

    `replaced` are the replacements (failures included) that close an order of that component.
    """
    ended = _instants(replaced, _part)
    standing: dict[tuple[str, str], OpenOrder] = {}
    opened: list[tuple[Order, int]] = []
    for c in candidates:
        key = (c.device, c.component)
        last = standing.get(key)
        if last and _follows(last.opened_ms, ended[key], c.ts_ms - last.opened_ms):
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
    any_time = [o for o in orders if o.opened_ms >= since_ms]
    told = [o for o in any_time if o.opened_ms <= until_ms - horizon]
    due = [f for f in failures if since_ms < f.ts_ms <= until_ms]
    of_part, of_device = (_instants(failures, by) for by in (_part, _device))
    hits = [_follows(o.opened_ms, of_part[_part(o)], horizon) for o in told]
    wrong = [
        not hit and _follows(o.opened_ms, of_device[o.device], horizon)
        for o, hit in zip(told, hits, strict=True)
    ]
    opened = _instants(any_time, _part)
    leads = sorted(lead for f in due if (lead := _lead(f.ts_ms, opened[_part(f)], horizon)))
    weeks = devices * (until_ms - since_ms) / WEEK_MS
    return Judgement(
        orders=len(told),
        true_orders=sum(hits),
        failures=len(due),
        foreseen=len(leads),
        precision=wilson(sum(hits), len(told)),
        event_recall=wilson(len(leads), len(due)),
        median_lead_h=median(leads) / HOUR_MS if leads else math.nan,
        lead_p10_h=leads[len(leads) // 10] / HOUR_MS if leads else math.nan,
        wrong_components=sum(wrong),
        false_per_100_machine_weeks=100 * (len(told) - sum(hits)) / weeks if weeks else math.nan,
        duplicate_orders=_duplicates(told),
        left_out=len(any_time) - len(told),
    )


def _part(what: Order | Failure) -> tuple[str, str]:
    return what.device, what.component


def _device(what: Order | Failure) -> str:
    return what.device


def _instants(
    what: Iterable[Order | Failure], by: Callable[[Order | Failure], Any]
) -> defaultdict[Any, list[int]]:
    """Return the instants of each, in order."""
    out: defaultdict[Any, list[int]] = defaultdict(list)
    for each in what:
        out[by(each)].append(each.opened_ms if isinstance(each, Order) else each.ts_ms)
    for instants in out.values():
        instants.sort()
    return out


def _follows(opened: int, failed: list[int], horizon: int) -> bool:
    """Tell whether something failed in (opened, opened + horizon]."""
    after = bisect_right(failed, opened)
    return after < len(failed) and failed[after] - opened <= horizon


def _lead(failed: int, opened: list[int], horizon: int) -> int:
    """Return how long before its failure the first order within the horizon was opened; else 0."""
    first = bisect_left(opened, failed - horizon)
    return failed - opened[first] if first < len(opened) and opened[first] < failed else 0


def _duplicates(orders: Iterable[Order]) -> int:
    keys = [(o.device, o.component, o.opened_ms) for o in orders]
    return len(keys) - len(set(keys))
