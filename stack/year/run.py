"""A whole year: three policies over the same two fleets, family by family, on as many processes."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from stack.year import accounts
from stack.year.calendar import by_calendar
from stack.year.foremend import with_foremend
from stack.year.site import CURRENCY
from stack.year.terms import FAMILIES, own_fleet, pilot_fleet, recorded_fleet, share
from stack.year.walk import run_to_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.sharedctypes import SynchronizedArray

    from stack.year.accounts import Account
    from stack.year.foremend import Lesson
    from stack.year.terms import Terms

FOREMEND: Final = "foremend"
RUN_TO_FAILURE: Final = "run_to_failure"
CALENDAR: Final = "calendar"
POLICIES: Final = (FOREMEND, RUN_TO_FAILURE, CALENDAR)
WEIGHTS: Final = {FOREMEND: 8.0, RUN_TO_FAILURE: 1.0, CALENDAR: 2.0}
"""About how long each policy takes beside the others; for the share that is told alone."""
NEWS_S: Final = 0.5

Told = dict["Part", float]


@dataclass(frozen=True, slots=True)
class Part:
    """One policy over one family: what a process does by itself."""

    policy: str
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a part; lessons of the whole system, ages in hours of the calendar."""

    account: Account
    lessons: tuple[Lesson, ...] = ()
    ages_h: Mapping[str, float | None] | None = None


def parts_of(terms: Terms) -> list[Part]:
    """Give the parts of a year, those that take longest first."""
    families = [f for f in FAMILIES if share(f, terms.devices)]
    by_length = sorted(POLICIES, key=lambda policy: -WEIGHTS[policy])
    return [Part(policy, family) for policy in by_length for family in families]


def lived(terms: Terms, part: Part, tell: Callable[[float], None]) -> Outcome:
    """Live through one part."""
    fleet = own_fleet(terms, part.family)
    if part.policy == FOREMEND:
        year = with_foremend(terms, fleet, pilot_fleet(terms, part.family), tell)
        return Outcome(account=year.account, lessons=year.lessons)
    if part.policy == CALENDAR:
        planned = by_calendar(terms, fleet, recorded_fleet(terms, part.family), tell)
        return Outcome(account=planned.account, ages_h=planned.ages_h)
    return Outcome(account=run_to_failure(terms, fleet, tell))


def run(
    terms: Terms, *, jobs: int = 1, news: Callable[[Told], None] | None = None
) -> dict[str, Any]:
    """Live through a year under every policy; the same terms give the same figures.

    `news` is told now and then which share of each part is over.
    """
    return report(terms, live(terms, jobs=jobs, news=news or unheard))


def live(terms: Terms, *, jobs: int, news: Callable[[Told], None]) -> dict[Part, Outcome]:
    """Live through every part, one after another or on so many processes."""
    parts = parts_of(terms)
    if jobs == 1:
        outcomes = [_alone(terms, part, news) for part in parts]
    else:
        outcomes = _together(terms, parts, jobs, news)
    return dict(zip(parts, outcomes, strict=True))


def report(terms: Terms, outcomes: Mapping[Part, Outcome]) -> dict[str, Any]:
    """Give the figures of all policies, amounts in US dollars, and how they came about."""
    by_policy = {
        policy: [o.account for part, o in outcomes.items() if part.policy == policy]
        for policy in POLICIES
    }
    return {
        **{policy: accounts.figures(mine) for policy, mine in by_policy.items()},
        "quarters": accounts.quarters(by_policy[FOREMEND]),
        "terms": asdict(terms) | {"currency": CURRENCY},
        "lessons": {
            part.family: [asdict(lesson) for lesson in outcome.lessons]
            for part, outcome in outcomes.items()
            if part.policy == FOREMEND
        },
        "calendar_ages_h": {
            part.family: {name: age and round(age) for name, age in outcome.ages_h.items()}
            for part, outcome in outcomes.items()
            if outcome.ages_h is not None
        },
    }


def unheard(told: Told) -> None:
    """Tell nobody how far a year has come."""


def _alone(terms: Terms, part: Part, tell: Callable[[Told], None]) -> Outcome:
    return lived(terms, part, lambda share: tell({part: share}))


def _together(
    terms: Terms, parts: Sequence[Part], jobs: int, tell: Callable[[Told], None]
) -> list[Outcome]:
    # Spawned, not forked: threads of numerical libraries do not survive a fork.
    context = multiprocessing.get_context("spawn")
    shares = context.Array("d", len(parts))
    with ProcessPoolExecutor(jobs, context, _begin, (shares,)) as pool:
        futures = [pool.submit(_lived, terms, part, at) for at, part in enumerate(parts)]
        left = set(futures)
        while left:
            done, left = wait(left, timeout=NEWS_S)
            for future in done:
                if (error := future.exception()) is not None:
                    pool.shutdown(cancel_futures=True)
                    raise error
            tell(dict(zip(parts, shares[:], strict=True)))
        return [future.result() for future in futures]


_shares: SynchronizedArray[float] | None = None
"""In a worker: where it says how far its parts have come."""


def _begin(shares: SynchronizedArray[float]) -> None:
    global _shares  # noqa: PLW0603 - a pool hands what is shared to its workers this way alone
    _shares = shares


def _lived(terms: Terms, part: Part, at: int) -> Outcome:
    def tell(share: float) -> None:
        if _shares is not None:
            _shares[at] = share

    return lived(terms, part, tell)
