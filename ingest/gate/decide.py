"""Who is let in, and who may stay; pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Action(Enum):
    """What becomes of who asks to come in."""

    ADMIT = "admit"
    REFUSE = "refuse"


class Reason(Enum):
    """Why."""

    OWN_SECRET = "own_secret"  # noqa: S105 - a reason, not a secret
    UNKNOWN_LOGIN = "unknown_login"
    REVOKED = "revoked"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - likewise
    FOREIGN_CLIENT_ID = "foreign_client_id"
    """Under another's client id it would throw that other off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One MQTT client that asks to come in."""

    login: str
    secret_hash: bytes
    """SHA-256 of the password that it sent."""
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What is kept of one device's credentials; `login` is its one client id as well."""

    login: str
    tenant: str
    device: str
    secret_hash: bytes
    changed_at: datetime
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome and its reason."""

    action: Action
    reason: Reason


def decide(asked: Asked, credential: Credential | None) -> Decision:
    """Admit a device under its own name, with its own secret, while it is not revoked."""
    reason = _obstacle(asked, credential)
    if reason is None:
        return Decision(action=Action.ADMIT, reason=Reason.OWN_SECRET)
    return Decision(action=Action.REFUSE, reason=reason)


def _obstacle(asked: Asked, credential: Credential | None) -> Reason | None:
    if credential is None:
        return Reason.UNKNOWN_LOGIN
    if not hmac.compare_digest(asked.secret_hash, credential.secret_hash):
        return Reason.WRONG_SECRET
    if credential.revoked:
        return Reason.REVOKED
    return Reason.FOREIGN_CLIENT_ID if asked.client_id != credential.login else None


class StayAction(Enum):
    """What becomes of who is in."""

    STAY = "stay"
    CUT = "cut"


class StayReason(Enum):
    """Why."""

    VALID = "valid"
    UNKNOWN_LOGIN = "unknown_login"
    REVOKED = "revoked"
    OLD_SECRET = "old_secret"  # noqa: S105 - a reason, not a secret
    """It came in before the credentials were changed, and may have come in by the old ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One connection that a broker holds for a device."""

    server: str
    number: int
    """The broker's own, by which it can be told to end the connection."""
    login: str
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StayDecision:
    """The outcome and its reason."""

    action: StayAction
    reason: StayReason


def decide_stay(session: Session, credential: Credential | None) -> StayDecision:
    """Cut off whose credentials are gone, revoked, or younger than the connection."""
    if credential is None:
        return StayDecision(action=StayAction.CUT, reason=StayReason.UNKNOWN_LOGIN)
    if credential.revoked:
        return StayDecision(action=StayAction.CUT, reason=StayReason.REVOKED)
    if session.began_at < credential.changed_at:
        return StayDecision(action=StayAction.CUT, reason=StayReason.OLD_SECRET)
    return StayDecision(action=StayAction.STAY, reason=StayReason.VALID)


def is_device(login: str) -> bool:
    """Tell a device's login, `DEVICE@TENANT`, from that of a service, which holds no `@`."""
    return "@" in login
