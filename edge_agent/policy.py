"""When to try again; pure, with the chance that spreads a fleet's attempts passed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_agent.messages import Load

FIRST_RESEND_S: Final = 30.0
LONGEST_RESEND_S: Final = 900.0
FIRST_RECONNECT_S: Final = 0.5
LONGEST_RECONNECT_S: Final = 30.0
_MOST_DOUBLINGS: Final = 16
REPORT_S: Final = 60.0
"""Between two words on how much waits in the outbox."""
BIRTH_REST_S: Final = 1.0
"""Requests for birth that come within this time of one are answers to what went before it."""

MAX_UNCOMMITTED: Final = 4096
"""Messages that may wait in memory for a disk that does not answer."""
FILLING: Final = 0.5
"""Fullness at which a source that can wait is made to, well before anything is given up."""


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


class IntakeAction(Enum):
    """What to do with the next reading."""

    TAKE = "take"
    WAIT = "wait"


class IntakeReason(Enum):
    """Why."""

    ROOM = "room"
    DISK_BEHIND = "disk_behind"
    TOO_MUCH_UNSETTLED = "too_much_unsettled"
    OUTBOX_FILLING = "outbox_filling"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeDecision:
    """Whether a source's next reading is taken in, and why."""

    action: IntakeAction
    reason: IntakeReason


def decide_intake(load: Load, max_unsettled: int | None) -> IntakeDecision:
    """Decide whether more may come in; `max_unsettled` is None for a source that cannot wait."""
    reason = _obstacle(load, max_unsettled)
    if reason is None:
        return IntakeDecision(action=IntakeAction.TAKE, reason=IntakeReason.ROOM)
    return IntakeDecision(action=IntakeAction.WAIT, reason=reason)


def _obstacle(load: Load, max_unsettled: int | None) -> IntakeReason | None:
    if load.uncommitted >= MAX_UNCOMMITTED:
        return IntakeReason.DISK_BEHIND
    if max_unsettled is None:
        return None
    if load.unsettled >= max_unsettled:
        return IntakeReason.TOO_MUCH_UNSETTLED
    return IntakeReason.OUTBOX_FILLING if load.fullness >= FILLING else None
