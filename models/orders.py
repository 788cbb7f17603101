"""Which forecasts open a work order: one open order per device and component."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

HOUR_MS = 3_600_000


class OrderReason(Enum):
    """Why an order was opened or not."""

    FORESEEN = "foreseen"
    BELOW_THRESHOLD = "below_threshold"
    ALREADY_OPEN = "already_open"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class OrderDecision:
    """Whether an order opens, and why."""

    opens: bool
    reason: OrderReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A work order as it was opened; times in ms, probability at the order horizon."""

    device: str
    component: str
    opened_ms: int
    probability: float
    top_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """What keeps a second order from opening: the first, until replaced or until its end."""

    opened_ms: int
    horizon_ms: int


def decide_order(
    *, probability: float, threshold: float, now_ms: int, standing: OpenOrder | None
) -> OrderDecision:
    """Decide whether a forecast opens an order.

    `standing` is the last order of this device and component that no replacement has closed yet.
    """
    if probability != probability:  # noqa: PLR0124 - NaN: the model abstained
        return OrderDecision(opens=False, reason=OrderReason.ABSTAINED)
    if probability < threshold:
        return OrderDecision(opens=False, reason=OrderReason.BELOW_THRESHOLD)
    if standing is not None and now_ms <= standing.opened_ms + standing.horizon_ms:
        return OrderDecision(opens=False, reason=OrderReason.ALREADY_OPEN)
    return OrderDecision(opens=True, reason=OrderReason.FORESEEN)
