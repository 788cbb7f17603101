"""When to try again; pure, with the chance that spreads a fleet's attempts passed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

FIRST_RESEND_S: Final = 30.0
LONGEST_RESEND_S: Final = 900.0
FIRST_RECONNECT_S: Final = 0.5
LONGEST_RECONNECT_S: Final = 30.0
_MOST_DOUBLINGS: Final = 16
BIRTH_REST_S: Final = 1.0
"""Requests for birth that come within this time of one are answers to what went before it."""


def resend_after_s(times_sent: int, first_s: float = FIRST_RESEND_S) -> float:
    """Give how long to wait for the acknowledgement of a message sent for the nth time.

    >>> [resend_after_s(n) for n in (1, 2, 3)]
    [30.0, 60.0, 120.0]
    """
    doublings = min(times_sent - 1, _MOST_DOUBLINGS)
    return min(LONGEST_RESEND_S, first_s * 2.0**doublings)


def reconnect_after_s(failures: int, chance: float) -> float:
    """Give how long to wait after the nth failure in a row; `chance` is uniform in [0, 1).

    Between half and the whole of a doubling delay, so that a fleet does not come back at once.
    """
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    longest = min(LONGEST_RECONNECT_S, FIRST_RECONNECT_S * 2.0**doublings)
    return longest * (1 + chance) / 2


class BirthAction(Enum):
    """What to do about a birth that ingest asks for."""

    SAY = "say"
    IGNORE = "ignore"


class BirthReason(Enum):
    """Why."""

    ASKED = "asked"
    JUST_SAID = "just_said"
    UNKNOWN_BOOT = "unknown_boot"


@dataclass(frozen=True, slots=True, kw_only=True)
class BirthDecision:
    """Whether to say a birth, why, and when what was sent of the boot goes again."""

    action: BirthAction
    reason: BirthReason
    resend_in_s: float = 0.0


def decide_birth(*, known: bool, said_s: float | None, now_s: float) -> BirthDecision:
    """Decide on a request for a boot's birth, last said on this connection at `said_s`."""
    if not known:
        return BirthDecision(action=BirthAction.IGNORE, reason=BirthReason.UNKNOWN_BOOT)
    if said_s is not None and now_s < said_s + BIRTH_REST_S:
        rest_s = said_s + BIRTH_REST_S - now_s
        return BirthDecision(
            action=BirthAction.IGNORE, reason=BirthReason.JUST_SAID, resend_in_s=rest_s
        )
    return BirthDecision(action=BirthAction.SAY, reason=BirthReason.ASKED)
