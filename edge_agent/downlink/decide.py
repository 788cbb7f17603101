"""Whether a command is obeyed; pure. What is decided on here was signed by whom we trust."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from foremend.clock import Millis
    from foremend.wire import Address, Command

Phases = frozenset[int]
"""Phases in which something may run; empty means any."""


class Action(Enum):
    """What becomes of a command."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    ANSWER_AGAIN = "answer_again"
    IGNORE = "ignore"
    """No answer: it is repeated, and may fit then."""


class Reason(Enum):
    """Why; the words that a refusal carries."""

    FIT = "fit"
    DUPLICATE = "duplicate"
    OTHER_DEVICE = "other_device"
    PASSED = "passed"
    """Its number is not above the highest that was taken: a replay, or out of order."""
    EXPIRED = "expired"
    UNKNOWN_KIND = "unknown_kind"
    FORBIDDEN_PHASE = "forbidden_phase"
    BUSY = "busy"
    CLOCK_NOT_TRUSTED = "clock_not_trusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the device stands when a command comes."""

    address: Address
    now_ms: Millis | None
    """On the device's timeline; None while the clock cannot be trusted."""
    phase: int
    busy: bool
    """Whether a command runs."""
    kinds: Mapping[str, Phases]
    """What it can do, and in which phases at all."""
    counter: int
    """The highest number that was taken; -1 before the first."""
    answered: Collection[str] = ()
    """Ids of commands whose answers are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome and its reason."""

    action: Action
    reason: Reason


def decide_command(command: Command, standing: Standing) -> Decision:
    """Accept a command once, for this device, in time, and in a phase that both sides allow."""
    if (command.tenant, command.device) != (standing.address.tenant, standing.address.device):
        return Decision(action=Action.REFUSE, reason=Reason.OTHER_DEVICE)
    if command.id in standing.answered:
        return Decision(action=Action.ANSWER_AGAIN, reason=Reason.DUPLICATE)
    if command.counter <= standing.counter:
        return Decision(action=Action.REFUSE, reason=Reason.PASSED)
    if standing.now_ms is None:
        return Decision(action=Action.IGNORE, reason=Reason.CLOCK_NOT_TRUSTED)
    if standing.busy:
        return Decision(action=Action.IGNORE, reason=Reason.BUSY)
    return _judged(command, standing, standing.now_ms)


def _judged(command: Command, standing: Standing, now_ms: Millis) -> Decision:
    own = standing.kinds.get(command.kind)
    if now_ms >= command.expires_ms:
        reason = Reason.EXPIRED
    elif own is None:
        reason = Reason.UNKNOWN_KIND
    elif not allowed(standing.phase, own, frozenset(command.interlock)):
        reason = Reason.FORBIDDEN_PHASE
    else:
        return Decision(action=Action.ACCEPT, reason=Reason.FIT)
    return Decision(action=Action.REFUSE, reason=reason)


def allowed(phase: int, own: Phases, asked: Phases) -> bool:
    """Tell whether both allow the phase; one that names none allows any.

    >>> allowed(1, frozenset(), frozenset({1, 4})), allowed(3, frozenset({1}), frozenset({1, 3}))
    (True, False)
    """
    return all(not phases or phase in phases for phases in (own, asked))
