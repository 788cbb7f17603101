"""Which strategy an order is offered, what it is expected to cost, and what comes next; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from field_service.bills import Job, bill, local
from field_service.catalogue import Safety
from field_service.values import Outlook, Strategy
from foremend.values import Money

if TYPE_CHECKING:
    from collections.abc import Iterable

    from field_service.bills import Bill
    from field_service.catalogue import Prior

NEVER_BY_OWNERS: Final = frozenset({Safety.MAINS, Safety.THERMAL_RUNAWAY})
OWNERS_SKILL: Final = 3
"""The greatest difficulty that is asked of an owner."""
UNKNOWN_DIFFICULTY: Final = 3
CENT: Final = Decimal("0.01")
_SWANSON: Final = (0.3, 0.4, 0.3)
"""Weights of P10, P50 and P90 for a mean: Swanson's rule (Megill, 1984)."""


class Fallout(Enum):
    """Why a strategy cannot be had."""

    NOT_OFFERED_HERE = "not_offered_here"
    UNSAFE_FOR_OWNERS = "unsafe_for_owners"
    TOO_DIFFICULT_FOR_OWNERS = "too_difficult_for_owners"
    NOT_PORTABLE = "not_portable"
    NO_KIT = "no_kit"


class Tally(NamedTuple):
    """Repairs by one strategy that telemetry has judged."""

    fixed: int = 0
    not_fixed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that a choice rests on."""

    job: Job
    outlook: Outlook
    priors: dict[Strategy, Prior]
    outcomes: dict[Strategy, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One strategy: with its cost where it can be had, else with the reason why not."""

    strategy: Strategy
    fallout: Fallout | None = None
    direct: Money | None = None
    """Its own bill and the expected standstill."""
    expected: Money | None = None
    """The same, and what follows where it does not fix it."""
    first_time_fix: float | None = None
    lead_h: float | None = None
    work_h: float | None = None
    standstill_h: float | None = None
    score: float | None = None
    """The expected cost weighted by the region's preference: only this decides the order."""

    def row(self) -> dict[str, Any]:
        """Give a form that JSON can hold, amounts as text."""
        if self.direct is None or self.expected is None:
            return {"strategy": self.strategy.value, "fallout": _value(self.fallout)}
        return {
            "strategy": self.strategy.value,
            "fallout": None,
            "cost": str(self.expected.amount),
            "direct": str(self.direct.amount),
            "currency": self.expected.currency,
            "first_time_fix": self.first_time_fix,
            "lead_h": self.lead_h,
            "work_h": self.work_h,
            "standstill_h": self.standstill_h,
        }


def rank(case: Case) -> tuple[Option, ...]:
    """Give every strategy: those that can be had by preferred expected cost, then the others.

    Expected cost = parts + freight + duty + labour + old part's way back + standstill
    + (1 - p) x the expected cost of the cheapest strategy that fixes more surely. The surest is
    followed by another try of itself.
    """
    out = {s: fallout(s, case.job) for s in Strategy}
    own = [_own(s, case) for s in Strategy if out[s] is None]
    priced = [_option(entry, case) for entry in _with_followers(own)]
    priced.sort(key=lambda o: (o.score, o.strategy.value))
    fallen = (Option(strategy=s, fallout=why) for s, why in out.items() if why is not None)
    return (*priced, *fallen)


def fallout(strategy: Strategy, job: Job) -> Fallout | None:
    """Give the reason why a strategy cannot be had, or None."""
    if strategy is Strategy.SELF_REPAIR:
        return _owners_fallout(job)
    if strategy not in job.region.strategies:
        return Fallout.NOT_OFFERED_HERE
    carried = {Strategy.WALK_IN, Strategy.MAIL_IN, Strategy.SWAP, Strategy.TRADE_IN}
    if strategy in carried and not job.family.portable:
        return Fallout.NOT_PORTABLE
    return None


def first_time_fix(prior: Prior, difficulty: int, tally: Tally) -> float:
    """Give the mean of the Beta posterior: the prior, moved by judged repairs."""
    mean = prior.first_time_fix[difficulty - 1]
    fixed = mean * prior.worth + tally.fixed
    return fixed / (prior.worth + tally.fixed + tally.not_fixed)


def standstill_h(lead_h: float, work_h: float, outlook: Outlook) -> float:
    """Give the expected hours without the device: the work, and waiting after an early failure.

    The time to failure is taken at P10, P50 and P90 by Swanson's rule, at half the horizon where
    no quantiles are known, and at once where nothing is foreseen because it has failed already.
    """
    if outlook.p10_h is not None and outlook.p50_h is not None and outlook.p90_h is not None:
        left = (outlook.p10_h, outlook.p50_h, outlook.p90_h)
    else:
        left = ((outlook.horizon_h or 0.0) / 2,) * 3
    wait = sum(w * max(0.0, lead_h - t) for w, t in zip(_SWANSON, left, strict=True))
    probability = 1.0 if outlook.probability is None else outlook.probability
    return work_h + probability * wait


class _Own(NamedTuple):
    strategy: Strategy
    bill: Bill
    standstill_h: float
    direct: Decimal
    p: float


class _Priced(NamedTuple):
    own: _Own
    expected: Decimal


def _owners_fallout(job: Job) -> Fallout | None:
    # Safety is asked first: no region's offer and no price may stand before it.
    if job.kit is not None and job.kit.safety in NEVER_BY_OWNERS:
        return Fallout.UNSAFE_FOR_OWNERS
    if Strategy.SELF_REPAIR not in job.region.strategies:
        return Fallout.NOT_OFFERED_HERE
    if job.kit is None:
        return Fallout.NO_KIT
    if job.kit.difficulty > OWNERS_SKILL:
        return Fallout.TOO_DIFFICULT_FOR_OWNERS
    return None


def _own(strategy: Strategy, case: Case) -> _Own:
    job = case.job
    its_bill = bill(strategy, job)
    stands = standstill_h(its_bill.lead_h, its_bill.work_h, case.outlook)
    per_hour = local(job.family.standstill_usd_per_h, job.region)
    difficulty = job.kit.difficulty if job.kit else UNKNOWN_DIFFICULTY
    return _Own(
        strategy=strategy,
        bill=its_bill,
        standstill_h=stands,
        direct=its_bill.total + per_hour * Decimal(str(round(stands, 3))),
        p=first_time_fix(case.priors[strategy], difficulty, case.outcomes.get(strategy, Tally())),
    )


def _with_followers(own: Iterable[_Own]) -> list[_Priced]:
    """Price from the surest downwards, so that what follows each is known before it."""
    priced: list[_Priced] = []
    for entry in sorted(own, key=lambda o: (-o.p, o.direct, o.strategy.value)):
        surer = [before.expected for before in priced if before.own.p > entry.p]
        follower = min(surer, default=entry.direct)
        expected = entry.direct + Decimal(str(round(1 - entry.p, 4))) * follower
        priced.append(_Priced(entry, expected))
    return priced


def _option(entry: _Priced, case: Case) -> Option:
    own, region = entry.own, case.job.region
    weight = region.preference.get(own.strategy, 1.0)
    return Option(
        strategy=own.strategy,
        direct=_money(own.direct, region.currency),
        expected=_money(entry.expected, region.currency),
        first_time_fix=round(own.p, 4),
        lead_h=round(own.bill.lead_h, 2),
        work_h=round(own.bill.work_h, 2),
        standstill_h=round(own.standstill_h, 2),
        score=float(entry.expected) * weight,
    )


def _money(amount: Decimal, currency: str) -> Money:
    return Money(amount=amount.quantize(CENT, ROUND_HALF_UP), currency=currency)


def _value(why: Fallout | None) -> str | None:
    return why.value if why else None
