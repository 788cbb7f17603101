"""The year's days, the same under every policy: devices run, people work, telemetry is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from foremend.clock import HOUR_MS
from stack.year.accounts import Account, settle
from stack.year.judging import compared
from stack.year.shop import Shop
from stack.year.sightings import Sightings
from stack.year.site import Site, standstill_usd_per_h
from stack.year.terms import STEP_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from api import judgement
    from foremend.clock import Millis
    from simulators.fleets import AnyFleet
    from simulators.steps import Step
    from stack.year.terms import Terms

    Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One family under one policy: its devices, and the people who look after them."""

    fleet: AnyFleet
    site: Site
    sightings: Sightings
    shop: Shop
    since_ms: Millis


def ground(fleet: AnyFleet) -> Ground:
    """Put a fleet that has not begun to run on its ground."""
    site, sightings = Site(fleet), Sightings(len(fleet.names))
    return Ground(
        fleet=fleet,
        site=site,
        sightings=sightings,
        shop=Shop(fleet, site, sightings),
        since_ms=fleet.now_ms,
    )


def unheard(share: float) -> None:
    """Tell nobody how far a year has come."""


def nothing_more(step: Step) -> None:
    """Do nothing but wait for failures."""


def walk(
    on: Ground,
    terms: Terms,
    *,
    windows: int | None = None,
    each: Callable[[Step], None] = nothing_more,
    tell: Tell = unheard,
) -> None:
    """Live through so many windows, a whole year by default.

    `each` is what the policy does at the end of a window, before people work; `tell` is told the
    share of the windows that are over, about two hundred times.
    """
    count, window_h = terms.windows if windows is None else windows, terms.window_ms / HOUR_MS
    news = max(1, count // 200)
    for at in range(count):
        step = on.fleet.step()
        on.sightings.frame(step, window_h)
        on.shop.see(step)
        each(step)
        on.shop.report(step.ts_ms)
        on.shop.work(step.ts_ms)
        if step.ts_ms % STEP_MS == 0:
            on.shop.look(step.ts_ms)
        if at % news == 0:
            tell(at / count)
    tell(1.0)


def account(on: Ground, orders: Iterable[judgement.Order]) -> Account:
    """Settle a year that is over."""
    truths = on.fleet.truth()
    return settle(
        since_ms=on.since_ms,
        until_ms=on.fleet.now_ms,
        truths=truths,
        visits=on.shop.visits,
        compared=compared(truths, orders),
        usd_per_h=standstill_usd_per_h(on.fleet.family),
    )


def run_to_failure(terms: Terms, fleet: AnyFleet, tell: Tell = unheard) -> Account:
    """Let everything fail, and repair what stands still."""
    on = ground(fleet)
    walk(on, terms, tell=tell)
    return account(on, ())
