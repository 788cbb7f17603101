"""Whether telemetry confirms a repair; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from field_service.values import Verified
from foremend.values import AsFound

if TYPE_CHECKING:
    from datetime import datetime

    from field_service.values import Order

PATIENCE: Final = 4
"""Telemetry is waited for this many times as long as it should take."""
SETTLING: Final = 1 / 3
"""Share of the watch in which the model may still speak of the time before the repair."""


class Action(Enum):
    """What becomes of an order that is being verified."""

    CLOSE = "close"
    REOPEN = "reopen"
    WAIT = "wait"


class Reason(Enum):
    """Why."""

    RECOVERED = "recovered"
    RAN_WITHOUT_A_WORD = "ran_without_a_word"
    NO_TELEMETRY = "no_telemetry"
    RISK_STILL_HIGH = "risk_still_high"
    FAILED_AGAIN = "failed_again"
    STILL_IN_ERROR = "still_in_error"
    WATCH_GOES_ON = "watch_goes_on"
    NOT_SEEN_RUNNING_LONG_ENOUGH = "not_seen_running_long_enough"
    IN_ERROR = "in_error"
    STILL_ANOMALOUS = "still_anomalous"
    NO_FRESH_RISK = "no_fresh_risk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What was seen of the device after the part went in; instants on its timeline."""

    running_h: float = 0.0
    """Hours seen running since the fit."""
    in_error: bool = False
    """The newest frame says error; or stopped, nothing was done since the last error, and no other
    order sees to that.

    A failed machine stands stopped, as one that is out of use does; the error tells them apart.
    """
    hazard: float | None = None
    """The newest probability of failure of this component and mode; None where none is fresh."""
    hazard_at: datetime | None = None
    threshold: float | None = None
    """The probability above which the model foresees a failure."""
    anomalous: bool = False
    """An anomaly began after the fit and has not cleared."""
    failed_again_at: datetime | None = None
    """An error of this very component since the fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, why, and what it says of the repair."""

    action: Action
    reason: Reason

    @property
    def verdict(self) -> Verified | None:
        """What is written beside the finding; None while the watch goes on."""
        if self.action is Action.WAIT:
            return None
        if self.action is Action.REOPEN:
            return Verified.NOT_RECOVERED
        if self.reason is Reason.NO_TELEMETRY:
            return Verified.NO_TELEMETRY
        return Verified.RECOVERED


def verify(order: Order, signals: Signals, now: datetime) -> Decision:
    """Decide what telemetry says of an order that is being verified.

    The watch lasts from `fitted_at` until the device has been seen running for as long as from
    there to `verify_until`, so that one that stands stopped all the while never passes. What is
    not settled after four times that is closed without a verdict or, where the device stands in
    error, reopened. Where somebody looked and found no fault, the model's opinion, which sent him
    there, does not count against his.
    """
    fitted = order.fitted_at or order.state_at
    watch = (order.verify_until or fitted) - fitted
    if order.as_found is AsFound.NO_FAULT_FOUND:
        signals = replace(signals, hazard=0.0, hazard_at=now)
    action, reason = _decide(signals, fitted, watch, now)
    return Decision(action=action, reason=reason)


def _decide(
    signals: Signals, fitted: datetime, watch: timedelta, now: datetime
) -> tuple[Action, Reason]:
    if signals.failed_again_at is not None and signals.failed_again_at > fitted:
        return Action.REOPEN, Reason.FAILED_AGAIN
    if _risky(signals, fitted + watch * SETTLING):
        return Action.REOPEN, Reason.RISK_STILL_HIGH
    doubt = _doubt(signals, fitted, watch, now)
    if doubt is None:
        return Action.CLOSE, Reason.RECOVERED
    if now >= fitted + watch * PATIENCE:
        return _last_word(signals, watch)
    return Action.WAIT, doubt


def _risky(signals: Signals, settled_at: datetime) -> bool:
    return (
        signals.hazard is not None
        and signals.threshold is not None
        and signals.hazard >= signals.threshold
        and signals.hazard_at is not None
        and signals.hazard_at >= settled_at
    )


def _doubt(signals: Signals, fitted: datetime, watch: timedelta, now: datetime) -> Reason | None:
    if now < fitted + watch:
        return Reason.WATCH_GOES_ON
    if signals.in_error:
        return Reason.IN_ERROR
    if not _ran_enough(signals, watch):
        return Reason.NOT_SEEN_RUNNING_LONG_ENOUGH
    return Reason.STILL_ANOMALOUS if signals.anomalous else _unspoken(signals, fitted)


def _unspoken(signals: Signals, fitted: datetime) -> Reason | None:
    if signals.hazard is None or signals.hazard_at is None or signals.hazard_at <= fitted:
        return Reason.NO_FRESH_RISK
    return None


def _last_word(signals: Signals, watch: timedelta) -> tuple[Action, Reason]:
    if signals.in_error:
        return Action.REOPEN, Reason.STILL_IN_ERROR
    if _ran_enough(signals, watch):
        return Action.CLOSE, Reason.RAN_WITHOUT_A_WORD
    return Action.CLOSE, Reason.NO_TELEMETRY


def _ran_enough(signals: Signals, watch: timedelta) -> bool:
    return timedelta(hours=signals.running_h) >= watch
