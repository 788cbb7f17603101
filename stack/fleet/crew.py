"""What the simulated people do about work orders: decisions alone, on the simulation's clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from foremend.clock import HOUR_MS

if TYPE_CHECKING:
    from foremend.clock import Millis

CONSENT_H: Final = 0.5
"""Hours an owner takes to accept an offer."""
PACKING_H: Final = 0.5
FITTING_H: Final = 1.0
NOTICED_H: Final = 4.0
"""Hours a failed device stands before somebody reports it."""
TRANSIT_H: Final = {
    "self_repair": 6.0,
    "walk_in": 6.0,
    "on_site": 12.0,
    "mail_in": 48.0,
    "swap": 36.0,
    "trade_in": 72.0,
}
"""Hours from dispatch until the work can begin: engineering estimates for a near depot."""


MOST_AHEAD_H: Final = 6.0
"""Hours that simulated time may run ahead of what has been scored."""


class Deed(Enum):
    """What somebody does next."""

    ACCEPT = "accept"
    SHIP = "ship"
    START = "start"
    FIT = "fit"
    WAIT = "wait"


class Why(Enum):
    """The reason for a deed, or for none."""

    OWNER_CONSENTS = "owner_consents"
    KIT_PACKED = "kit_packed"
    KIT_ARRIVED = "kit_arrived"
    WORK_DONE = "work_done"
    NOT_YET = "not_yet"
    NOTHING_TO_DO = "nothing_to_do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An order as the crew sees it; times on the simulation's clock."""

    number: int
    version: int
    device: str
    component: str
    state: str
    state_ms: Millis
    strategy: str | None
    kit: str | None
    reopened: int
    lead_h: float | None = None
    """Hours from dispatch until the work can begin, where more is known than TRANSIT_H."""
    work_h: float | None = None
    """Hours of work, where more is known than FITTING_H."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about an order, and why."""

    deed: Deed
    why: Why


def decide(order: Standing, now_ms: Millis) -> Decision:
    """Decide what the people who have this order in hand do now."""
    step = _STEPS.get(order.state)
    if step is None:
        return Decision(Deed.WAIT, Why.NOTHING_TO_DO)
    deed, why, after_h = step
    if deed is Deed.START:
        usual_h = TRANSIT_H.get(order.strategy or "", TRANSIT_H["on_site"])
        after_h = usual_h if order.lead_h is None else order.lead_h
    if deed is Deed.FIT and order.work_h is not None:
        after_h = order.work_h
    if now_ms - order.state_ms < after_h * HOUR_MS:
        return Decision(Deed.WAIT, Why.NOT_YET)
    return Decision(deed, why)


def runs_ahead(now_ms: Millis, scored_ms: Millis | None) -> bool:
    """Tell whether simulated time should wait for whoever judges it: a busy machine is no fault."""
    return scored_ms is not None and now_ms - scored_ms > MOST_AHEAD_H * HOUR_MS


_STEPS: Final = {
    "offered": (Deed.ACCEPT, Why.OWNER_CONSENTS, CONSENT_H),
    "accepted": (Deed.SHIP, Why.KIT_PACKED, PACKING_H),
    "parts_pending": (Deed.START, Why.KIT_ARRIVED, 0.0),
    "in_progress": (Deed.FIT, Why.WORK_DONE, FITTING_H),
}
"""Per state: what follows, why, and how many hours after it began."""
