"""Maintenance by the calendar: each part is replaced at an age that a year's records recommend.

The age is that of the least cost in the long run, part by part (age replacement; Barlow & Proschan,
Mathematical Theory of Reliability, 1965, chapter 4), from what another fleet's failures cost and
what a planned visit would have. Where no age costs less than waiting for the failure, the calendar
waits: a plan that is dearer than none would be no plan to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Final

import numpy as np

from api import judgement
from field_service.bills import bill
from field_service.strategy import Case, rank
from field_service.values import Outlook
from foremend.clock import DAY_MS, HOUR_MS
from foremend.values import AsFound
from stack.year.accounts import Visit
from stack.year.site import standstill_usd_per_h
from stack.year.walk import account, ground, unheard, walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from numpy.typing import NDArray

    from field_service.catalogue import Kit
    from simulators.fleets import AnyFleet
    from simulators.steps import Step
    from stack.year.accounts import Account
    from stack.year.site import Site
    from stack.year.terms import Terms
    from stack.year.walk import Ground, Tell

    Floats = NDArray[np.float64]

PLANNED: Final = Outlook(probability=0.0)
"""A visit that is planned ahead waits for nothing."""
AGES: Final = 200
"""Ages tried, evenly spread over those that were observed."""
FEW_LEFT: Final = 0.05
"""Survival below which an age is not recommended: too few lives tell of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A part as a record holds it: observed from one age to another, hours, and how it ended."""

    component: str
    from_h: float
    to_h: float
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stakes:
    """What it costs, US dollars, to replace a part that failed, and one that is still well."""

    failed: float
    planned: float


def best_age_h(lives: Sequence[Life], stakes: Stakes) -> float | None:
    """Give the age at which replacing a part costs least an hour; None for never.

    Survival R by age is a life table's, from the time at risk and the failures of each class of
    age. The cost of an hour when parts are replaced at age T:
    (planned R(T) + failed (1 - R(T))) / integral of R from 0 to T.
    """
    if not any(life.failed for life in lives):
        return None
    ages, survival = _survival(lives)
    lived = np.cumsum(survival[:-1] * np.diff(ages))
    spent = stakes.planned * survival[1:] + stakes.failed * (1.0 - survival[1:])
    an_hour = spent / lived
    best = int(np.where(survival[1:] >= FEW_LEFT, an_hour, np.inf).argmin())
    # At the greatest age that anybody has seen nearly all have failed: as if nothing was planned.
    return float(ages[1:][best]) if an_hour[best] < an_hour[-1] else None


def _survival(lives: Sequence[Life]) -> tuple[Floats, Floats]:
    entered = np.array([life.from_h for life in lives])
    left = np.array([life.to_h for life in lives])
    failed = np.array([life.failed for life in lives])
    ages = np.linspace(0.0, float(left.max()), AGES + 1)
    died, _ = np.histogram(left[failed], ages)
    upper, lower = np.minimum(left, ages[1:, None]), np.maximum(entered, ages[:-1, None])
    at_risk = np.maximum(upper - lower, 0.0).sum(axis=1)
    hazard = np.divide(died, at_risk, out=np.zeros(AGES), where=at_risk > 0.0)
    survival = np.exp(-np.concatenate([[0.0], np.cumsum(hazard * np.diff(ages))]))
    return ages, survival


@dataclass(slots=True)
class Plan:
    """The visits that are due by age, part by part."""

    on: Ground
    ages_h: Mapping[str, float | None]
    """Per component, the age at which it is replaced; None for never."""
    orders: list[judgement.Order] = field(default_factory=list)

    def each(self, step: Step) -> None:
        """Once a day, visit every device that runs for every part that has come of age."""
        if step.ts_ms % DAY_MS:
            return
        for device, name in enumerate(self.on.fleet.names):
            for component, installed_ms in self.on.shop.installed(device).items():
                limit_h = self.ages_h.get(component)
                age_h = (step.ts_ms - installed_ms) / HOUR_MS
                if limit_h is not None and age_h >= limit_h and not self._stands(device):
                    self._visit(device, name, component)

    def _stands(self, device: int) -> bool:
        return self.on.sightings.down_since(device) is not None

    def _visit(self, device: int, name: str, component: str) -> None:
        offer = planned(self.on.site, device, component)
        now_ms = self.on.fleet.now_ms
        found = self.on.shop.fit(device, offer.replaces)
        visit = Visit(
            device=name,
            component=component,
            fitted_ms=now_ms,
            work_h=offer.work_h,
            bill=offer.bill,
            failed=found is AsFound.FAILED,
        )
        self.on.shop.visits.append(visit)
        self.orders.append(
            judgement.Order(
                number=len(self.orders) + 1,
                device=name,
                component=component,
                failure_mode="",
                opened_ms=now_ms,
                probability=None,
                state="closed",
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A planned visit: what it replaces, its hours of work, and its bill in US dollars."""

    replaces: tuple[str, ...]
    work_h: float
    bill: Decimal


def planned(site: Site, device: int, component: str) -> Offer:
    """Choose how a part is replaced that may wait: the strategy of the least expected cost."""
    kit = kit_of(site, component)
    place = site.world.devices[device]
    sources = site.desk.facts.sources(place.tenant, place.org_node, kit.code) if kit else ()
    job = site.job(device, kit, sources[0].org_node if sources else None)
    best = rank(Case(job=job, outlook=PLANNED, priors=site.desk.catalogue.priors))[0]
    its_bill = bill(best.strategy, job)
    return Offer(
        replaces=kit.replaces if kit else (component,),
        work_h=its_bill.work_h,
        bill=its_bill.total / job.region.per_usd,
    )


def kit_of(site: Site, component: str) -> Kit | None:
    """Give a kit that replaces a component of the site's family, if the catalogue has one."""
    for resolution in site.desk.catalogue.family(site.family).resolution:
        if resolution.component == component:
            return resolution.kit
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A year by the calendar, and the age in hours at which each component was replaced."""

    account: Account
    ages_h: Mapping[str, float | None]


def by_calendar(terms: Terms, fleet: AnyFleet, record: AnyFleet, tell: Tell = unheard) -> Planned:
    """Replace parts at the ages that the year of another fleet, run to failure, recommends."""
    ages = recommended(terms, record, lambda share: tell(share / 2))
    on = ground(fleet)
    plan = Plan(on, ages)
    walk(on, terms, each=plan.each, tell=lambda share: tell((1 + share) / 2))
    return Planned(account=account(on, plan.orders), ages_h=ages)


def recommended(terms: Terms, record: AnyFleet, tell: Tell = unheard) -> dict[str, float | None]:
    """Run another fleet to failure for a year, and give the best age of each of its components."""
    on = ground(record)
    walk(on, terms, tell=tell)
    lives, costs = lives_of(on), stakes_of(on)
    return {
        name: best_age_h([life for life in lives if life.component == name], costs[name])
        for name in costs
    }


def lives_of(on: Ground) -> list[Life]:
    """Give the lives that a record shows: of parts that were taken out, and of those still in."""
    until_ms = on.fleet.now_ms
    ended = [
        Life(
            component=t.component,
            from_h=max(0.0, t.age_h - (t.at_ms - on.since_ms) / HOUR_MS),
            to_h=t.age_h,
            failed=t.as_found is AsFound.FAILED,
        )
        for t in on.shop.taken
    ]
    alive = [
        Life(
            component=component,
            from_h=max(0.0, (on.since_ms - installed_ms) / HOUR_MS),
            to_h=(until_ms - installed_ms) / HOUR_MS,
            failed=False,
        )
        for device in range(len(on.fleet.names))
        for component, installed_ms in on.shop.installed(device).items()
    ]
    return [*ended, *alive]


def stakes_of(on: Ground) -> dict[str, Stakes]:
    """Give what failures cost in a record, and what planned visits would, by component."""
    usd = float(standstill_usd_per_h(on.fleet.family))
    bills = {(v.device, v.component, v.fitted_ms): float(v.bill) for v in on.shop.visits}
    out = {}
    for name in on.shop.installed(0):
        failed = [
            bills.get((on.fleet.names[t.device], name, t.at_ms), 0.0)
            + usd * (t.at_ms - (t.stood_ms or t.at_ms)) / HOUR_MS
            for t in on.shop.taken
            if t.component == name and t.as_found is AsFound.FAILED
        ]
        offers = [planned(on.site, device, name) for device in range(len(on.fleet.names))]
        ahead = [float(offer.bill) + usd * offer.work_h for offer in offers]
        out[name] = Stakes(failed=fmean(failed or [0.0]), planned=fmean(ahead))
    return out
