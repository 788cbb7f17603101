"""Orders, their states, and what may be asked of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - msgspec reads the annotations of Ask at run time
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from foremend.values import AsFound  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from foremend.values import Money


class Strategy(Enum):
    """How a device is brought back."""

    SELF_REPAIR = "self_repair"
    WALK_IN = "walk_in"
    MAIL_IN = "mail_in"
    ON_SITE = "on_site"
    SWAP = "swap"
    TRADE_IN = "trade_in"


class State(Enum):
    """Where a work order stands."""

    PROPOSED = "proposed"
    REMOTE_FIX = "remote_fix"
    QUALIFIED = "qualified"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    PARTS_PENDING = "parts_pending"
    IN_PROGRESS = "in_progress"
    VERIFYING = "verifying"
    CLOSED = "closed"
    ON_HOLD = "on_hold"
    CANNOT_COMPLETE = "cannot_complete"
    MERGED = "merged"
    CANCELLED = "cancelled"


OVER: Final = frozenset({State.CLOSED, State.MERGED, State.CANCELLED})
"""An order in one of these no longer stands in the way of a new one."""


class Kind(Enum):
    """What led to an order."""

    PREDICTIVE = "predictive"
    REACTIVE = "reactive"
    MAINTENANCE = "maintenance"


class Verified(Enum):
    """What telemetry said after a repair."""

    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    NO_TELEMETRY = "no_telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What shares one open work order."""

    timeline: str
    device_id: int
    component: str
    failure_mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the model said of the time that is left; hours, from the moment it spoke."""

    probability: float | None = None
    horizon_h: float | None = None
    p10_h: float | None = None
    p50_h: float | None = None
    p90_h: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A firing failure alert, as far as field service looks at it."""

    id: int
    tenant: str
    subject: Subject
    fired_at: datetime
    outlook: Outlook
    evidence: tuple[dict[str, Any], ...] = ()
    model_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One work order; all times on its timeline. `options` are rows of `Option.row`."""

    id: int
    tenant: str
    number: int
    subject: Subject
    device: str
    region: str
    org_node: str | None
    kind: Kind
    state: State
    opened_at: datetime
    state_at: datetime
    alert_id: int | None = None
    held_from: State | None = None
    fitted_at: datetime | None = None
    verify_until: datetime | None = None
    strategy: Strategy | None = None
    kit: str | None = None
    kit_revision: int | None = None
    cost: Money | None = None
    options: tuple[dict[str, Any], ...] = ()
    outlook: Outlook = field(default_factory=Outlook)
    evidence: tuple[dict[str, Any], ...] = ()
    model_version: str | None = None
    assignee: str | None = None
    as_found: AsFound | None = None
    reopened: int = 0
    version: int = 1

    @property
    def name(self) -> str:
        """What people call it."""
        return f"WO-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """One move of an order; the ledger is never rewritten."""

    at: datetime
    actor: str
    action: str
    from_state: State | None
    to_state: State
    reason: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What somebody saw who looked; one an attempt."""

    order_id: int
    attempt: int
    tenant: str
    timeline: str
    device_id: int
    component: str
    failure_mode: str
    as_found: AsFound
    replaced: bool
    occurred_at: datetime
    known_at: datetime
    kit: str | None = None
    note: str = ""
    verified: Verified | None = None


class Ask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes with an action; which fields count depends on the action."""

    reason: str = ""
    """For hold, cancel and cannot_complete: why, in the words of whoever asks."""
    strategy: Strategy | None = None
    """For choose."""
    assignee: str | None = None
    """For accept and start."""
    as_found: AsFound | None = None
    """For fit, which needs it."""
    replaced: bool | None = None
    """For fit: whether a part was changed; by default yes, unless no fault was found."""
    component: str | None = None
    failure_mode: str | None = None
    """For fit: what was found faulty, where it is not what the order says."""
    kit: str | None = None
    """For fit: the kit that was used, where it is not the order's."""
    note: str = ""
    occurred_at: datetime | None = None
    """For fit: when, on the timeline; by default now."""
