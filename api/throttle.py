"""Whether one more attempt to sign in is let through; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

WINDOW_MINUTES: Final = 15
PER_PAIR: Final = 5
"""Failures of one login from one address within the window."""
PER_ADDRESS: Final = 40
"""Failures from one address, whatever the login: one source tries many names."""
PER_LOGIN: Final = 200
"""Failures of one login from anywhere; high, since it lets strangers lock a person out."""


class Action(Enum):
    """What becomes of the attempt."""

    TRY = "try"
    REFUSE = "refuse"


class Reason(Enum):
    """Why."""

    WITHIN_LIMITS = "within_limits"
    LOGIN_FROM_ADDRESS = "login_from_address"
    ADDRESS = "address"
    LOGIN = "login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Failed attempts within the window."""

    pair: int
    address: int
    login: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome and its reason."""

    action: Action
    reason: Reason


def decide(failures: Failures) -> Decision:
    """Refuse where one of the three limits is reached.

    >>> decide(Failures(pair=5, address=5, login=5)).reason
    <Reason.LOGIN_FROM_ADDRESS: 'login_from_address'>
    """
    limits = (
        (failures.pair, PER_PAIR, Reason.LOGIN_FROM_ADDRESS),
        (failures.address, PER_ADDRESS, Reason.ADDRESS),
        (failures.login, PER_LOGIN, Reason.LOGIN),
    )
    for count, limit, reason in limits:
        if count >= limit:
            return Decision(action=Action.REFUSE, reason=reason)
    return Decision(action=Action.TRY, reason=Reason.WITHIN_LIMITS)
