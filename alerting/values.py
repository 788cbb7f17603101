"""Evaluations, alerts, what mutes them, and decisions with their reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class AlertKind(Enum):
    """What an alert asks for."""

    FAILURE = "failure"
    """A failure is foreseen: may lead to a work order."""
    INSPECTION = "inspection"
    """Something is unusual: somebody should look; never leads to a work order."""
    FAULT = "fault"
    """The device itself tells a critical fault: somebody must look; opens no work order."""


class Life(Enum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Word(Enum):
    """What one evaluation says."""

    ABOVE = "above"
    BELOW = "below"
    DRIFT = "drift"


class Mute(Enum):
    """Why nobody is told about an alert for now."""

    SILENCED = "silenced"
    OPEN_WORK_ORDER = "open_work_order"
    EXPLAINED_BY_FAILURE = "explained_by_failure"
    DEVICE_OFFLINE = "device_offline"


class Action(Enum):
    """What is done to an alert."""

    IGNORE = "ignore"
    WAIT = "wait"
    FIRE = "fire"
    KEEP = "keep"
    RESOLVE = "resolve"
    REMUTE = "remute"


class Reason(Enum):
    """Why."""

    FIRST_ABOVE = "first_above"
    STILL_RISING = "still_rising"
    CONFIRMED = "confirmed"
    CERTAIN = "certain"
    HORIZON_PASSED = "horizon_passed"
    RENEWED = "renewed"
    STILL_ABOVE = "still_above"
    FIRST_BELOW = "first_below"
    STILL_BELOW = "still_below"
    STAYED_BELOW = "stayed_below"
    NEVER_CONFIRMED = "never_confirmed"
    NO_WORD = "no_word"
    NOTHING_OPEN = "nothing_open"
    OUT_OF_ORDER = "out_of_order"
    DRIFT_ALONE = "drift_alone"
    TOLD = "told"
    TOLD_AGAIN = "told_again"
    WELL_AGAIN = "well_again"
    RUNS_AGAIN = "runs_again"
    RAN_ON = "ran_on"
    MUTE_BEGAN = "mute_began"
    MUTE_ENDED = "mute_ended"
    NOTHING_DUE = "nothing_due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What shares one open alert."""

    timeline: str
    device_id: int
    kind: AlertKind
    component: str = ""
    failure_mode: str = ""
    """Of a fault: the code by which the device told it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One row to judge by: scoring's prediction or anomaly, or a device's critical event."""

    row_id: int
    """Of an event: its seq."""
    boot_id: int | None = None
    """Of an event alone."""
    tenant: str
    group: Group
    ts: datetime
    word: Word
    probability: float | None = None
    threshold: float | None = None
    horizon_h: float | None = None
    p10_h: float | None = None
    p50_h: float | None = None
    p90_h: float | None = None
    evidence: tuple[dict[str, Any], ...] = ()
    model_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """An alert as far as decisions look at it; all times on its timeline."""

    life: Life
    opened_at: datetime
    updated_at: datetime
    hits: int = 0
    misses: int = 0
    below_since: datetime | None = None
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    muted_by: Mute | None = None
    told_at: datetime | None = None
    """When somebody was first told of it."""

    @property
    def loud(self) -> bool:
        """Whether people are to hear of it: it fires, and nothing mutes it."""
        return self.life is Life.FIRING and self.muted_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A promise to stay quiet about what matches, within a time; again each week if `weekly`."""

    matcher: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    weekly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What stands around a group while it is decided on."""

    device: str
    tenant: str
    region: str = ""
    org_node: str | None = None
    device_online: bool = True
    open_work_order: bool = False
    """On the group's failure mode; for a fault, on its component, whatever the failure mode."""
    failure_alert: bool = False
    """Another alert already foresees a failure of the same device."""
    silences: tuple[Silence, ...] = ()
    well_at: tuple[datetime, ...] = ()
    """When the device said, after it told the fault, that this is over; for faults alone."""
    running: bool = False
    """Its newest reading is from work that it did after it told the fault; for faults alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How many words it takes, and how long silence lasts; times on the timeline."""

    fire_after: int
    clear_after: int
    clear_for: timedelta
    forget_after: timedelta
    certain: float | None = None
    """Fire at once where the probability stands this far between threshold and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, why, and what mutes it."""

    action: Action
    reason: Reason
    muted_by: Mute | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One decided step of one alert, ready to be saved."""

    group: Group
    decision: Decision
    before: AlertState | None
    after: AlertState
    context: Context
    at: datetime
    evaluation: Evaluation | None = None
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether somebody hears of it: it begins to fire, or goes on firing unmuted."""
        return self.after.loud and not (self.before is not None and self.before.loud)
