"""Turnaround times and service levels, computed from an order's ledger and nothing else; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from field_service.values import OVER, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from field_service.values import LedgerEvent

ZERO: Final = timedelta(0)


class Leg(Enum):
    """A part of the way from opening to closing."""

    DECISION = "decision"
    """Until somebody consents."""
    LOGISTICS = "logistics"
    """Until work begins."""
    WORK = "work"
    VERIFICATION = "verification"
    STUCK = "stuck"
    """While it cannot be completed."""


LEG_OF: Final = {
    State.PROPOSED: Leg.DECISION,
    State.REMOTE_FIX: Leg.DECISION,
    State.QUALIFIED: Leg.DECISION,
    State.OFFERED: Leg.DECISION,
    State.ACCEPTED: Leg.LOGISTICS,
    State.PARTS_PENDING: Leg.LOGISTICS,
    State.IN_PROGRESS: Leg.WORK,
    State.VERIFYING: Leg.VERIFICATION,
    State.CANNOT_COMPLETE: Leg.STUCK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How long an order took, by leg; `held` runs beside the legs and counts in none."""

    legs: dict[Leg, timedelta]
    held: timedelta
    turnaround: timedelta
    """From opening to the end, or to now, without what was held."""
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was promised for one leg."""

    leg: Leg
    within: timedelta


class Standing(Enum):
    """How a promise stands."""

    RUNNING = "running"
    MET = "met"
    BREACHED = "breached"


def clocks(events: Sequence[LedgerEvent], now: datetime) -> Clocks:
    """Add up what the ledger says; an order that is not over runs until `now`.

    Events must stand in their order; times never go back, whatever the ledger's clocks did.
    """
    legs = dict.fromkeys(Leg, ZERO)
    held = ZERO
    for state, spent in _stays(events, now):
        if state is State.ON_HOLD:
            held += spent
        elif state in LEG_OF:
            legs[LEG_OF[state]] += spent
    over = bool(events) and events[-1].to_state in OVER
    return Clocks(legs=legs, held=held, turnaround=sum(legs.values(), ZERO), over=over)


def standing(target: Target, events: Sequence[LedgerEvent], now: datetime) -> Standing:
    """Tell whether a promise is kept; time on hold does not count against it."""
    if clocks(events, now).legs[target.leg] > target.within:
        return Standing.BREACHED
    running = events and LEG_OF.get(_present(events)) is target.leg
    return Standing.RUNNING if running else Standing.MET


def _present(events: Sequence[LedgerEvent]) -> State:
    """Give the state that counts: of an order on hold, the one it is held from."""
    last = events[-1]
    held = last.to_state is State.ON_HOLD and last.from_state is not None
    return last.from_state if held and last.from_state else last.to_state


def _stays(events: Sequence[LedgerEvent], now: datetime) -> Iterator[tuple[State, timedelta]]:
    for event, following in pairwise(events):
        yield event.to_state, max(following.at - event.at, ZERO)
    if events and events[-1].to_state not in OVER:
        yield events[-1].to_state, max(now - events[-1].at, ZERO)
