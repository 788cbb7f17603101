"""Whether a reading is worth a frame; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.sampling.config import ChannelSampling
    from foremend.clock import Millis


class Action(Enum):
    """What becomes of a frame."""

    SEND = "send"
    HOLD_BACK = "hold_back"


class Reason(Enum):
    """Why."""

    EVERY = "every"
    FIRST = "first"
    CHANGED = "changed"
    HEARTBEAT = "heartbeat"
    PERIOD = "period"
    PHASE = "phase"
    QUALITY = "quality"
    BURST = "burst"
    NOTHING_NEW = "nothing_new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a frame is sent, and why."""

    action: Action
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one frame says: the one at hand, or the one that was sent last."""

    ts_ms: Millis
    values: tuple[float | None, ...]
    phase: int
    quality: int


def decide(
    rules: tuple[ChannelSampling, ...], sent: Snapshot | None, now: Snapshot, *, bursting: bool
) -> Decision:
    """Decide on a frame, given the last one that was sent."""
    reason = _reason(rules, sent, now, bursting=bursting)
    if reason is None:
        return Decision(action=Action.HOLD_BACK, reason=Reason.NOTHING_NEW)
    return Decision(action=Action.SEND, reason=reason)


def _reason(
    rules: tuple[ChannelSampling, ...], sent: Snapshot | None, now: Snapshot, *, bursting: bool
) -> Reason | None:
    if bursting:
        return Reason.BURST
    if sent is None:
        return Reason.FIRST
    if now.phase != sent.phase:
        return Reason.PHASE
    if now.quality != sent.quality:
        return Reason.QUALITY
    # A clock that went back makes everything due: nobody knows for how long nothing was sent.
    waited_ms = now.ts_ms - sent.ts_ms
    channels = zip(rules, sent.values, now.values, strict=True)
    found = (asks(rule, before, value, waited_ms) for rule, before, value in channels)
    return next((reason for reason in found if reason is not None), None)


def asks(
    rule: ChannelSampling, sent: float | None, value: float | None, waited_ms: Millis
) -> Reason | None:
    """Tell why a channel asks for a frame, so long after the last one; None where it does not."""
    if rule.report == "every":
        return Reason.EVERY
    if rule.report == "never":
        return None
    if rule.report == "period":
        return Reason.PERIOD if is_due(waited_ms, rule.period_s) else None
    if changed(rule, sent, value):
        return Reason.CHANGED
    return Reason.HEARTBEAT if is_due(waited_ms, rule.heartbeat_s) else None


def is_due(waited_ms: Millis, after_s: float) -> bool:
    """Tell whether enough time has passed; a clock that went back counts as enough."""
    return waited_ms < 0 or waited_ms >= 1000 * after_s


def changed(rule: ChannelSampling, sent: float | None, value: float | None) -> bool:
    """Tell whether a value is out of the deadband around what was sent last."""
    if sent is None or value is None:
        return sent is not value
    return abs(value - sent) > max(rule.deadband, rule.deadband_ratio * abs(sent))
