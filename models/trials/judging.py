"""What a model's predictions would have brought, held against what was found; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from foremend.clock import HOUR_MS
from models.backtest import WEEK_MS, open_orders
from models.trials.promotion import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from foremend.clock import Millis
    from models.backtest import Candidate, Failure
    from models.orders import Order

WITHIN_H: Final = 168.0
"""An order is right if its part is found bad so soon after: a finding waits for parts and people,
and one that a good order brought about comes no sooner than somebody is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What both models are judged on: what was seen of each device, and what was found."""

    seen: Mapping[str, tuple[Millis, Millis]]
    """Per device, from the first evaluation to the last."""
    found: Sequence[Failure]
    """Parts found failed or degraded."""
    replaced: Sequence[Failure]
    """Replacements and repairs, those findings included: each ends an order of its part."""


def judged(above: Iterable[Candidate], ground: Ground, within_h: float = WITHIN_H) -> Figures:
    """Open orders as the policy would, and judge each where its outcome is known.

    `above` are the evaluations above the threshold, in order of time. One order stands per part
    until its part is replaced or `within_h` is over. An order that no finding has proved, and
    whose time is not over, is undecided.
    """
    told = [c for c in above if _inside(ground, c.device, c.ts_ms)]
    orders = [order for order, _ in open_orders(told, _any(told), ground.replaced, within_h)]
    within = round(within_h * HOUR_MS)
    found = _by_part(ground.found)
    hits = [order for order in orders if _hit(order, found, within)]
    misses = [
        order
        for order in orders
        if not _hit(order, found, within)
        and ground.seen[order.device][1] >= order.opened_ms + within
    ]
    due = [f for f in ground.found if _inside(ground, f.device, f.ts_ms)]
    ended = _by_part([*ground.found, *ground.replaced])
    leads = [
        lead
        for f in due
        if (lead := _lead(f, orders, ended[f.device, f.component], within)) is not None
    ]
    return Figures(
        device_weeks=sum(until - since for since, until in ground.seen.values()) / WEEK_MS,
        findings=len(due),
        orders=len(hits) + len(misses),
        true_orders=len(hits),
        foreseen=len(leads),
        median_lead_h=median(leads) / HOUR_MS if leads else None,
        undecided=len(orders) - len(hits) - len(misses),
    )


def _inside(ground: Ground, device: str, ts_ms: Millis) -> bool:
    since, until = ground.seen.get(device, (0, -1))
    return since <= ts_ms <= until


def _any(told: Sequence[Candidate]) -> dict[str, float]:
    """Each evaluation here is above its own threshold already."""
    return {c.component: 0.0 for c in told}


def _by_part(found: Iterable[Failure]) -> defaultdict[tuple[str, str], list[Millis]]:
    instants: defaultdict[tuple[str, str], list[Millis]] = defaultdict(list)
    for one in found:
        instants[one.device, one.component].append(one.ts_ms)
    for mine in instants.values():
        mine.sort()
    return instants


def _hit(
    order: Order, found: defaultdict[tuple[str, str], list[Millis]], within_ms: Millis
) -> bool:
    mine = found[order.device, order.component]
    after = bisect_right(mine, order.opened_ms)
    return after < len(mine) and mine[after] - order.opened_ms <= within_ms


def _lead(
    found: Failure, orders: Sequence[Order], before: Sequence[Millis], within_ms: Millis
) -> Millis | None:
    """Give how long before a finding the first order stood that was right about it.

    `before` are the instants at which this part's lives ended, in order: an order from before the
    last of them was about another part.
    """
    earlier = [ts for ts in before if ts < found.ts_ms]
    begun = max(found.ts_ms - within_ms, earlier[-1] if earlier else -(2**62))
    opened = [
        order.opened_ms
        for order in orders
        if (order.device, order.component) == (found.device, found.component)
        and begun <= order.opened_ms < found.ts_ms
    ]
    return found.ts_ms - min(opened) if opened else None
