"""Whether a claim token yields a device's credentials; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from foremend.values import ID_PATTERN

if TYPE_CHECKING:
    from datetime import datetime


class Action(Enum):
    """What becomes of a claim."""

    ENROL = "enrol"
    ANSWER_AGAIN = "answer_again"
    REFUSE = "refuse"


class Reason(Enum):
    """Why."""

    FIRST_USE = "first_use"
    SAME_REQUEST = "same_request"
    """The same device says the same secret again: it did not hear the answer."""
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason, not a secret
    USED = "used"
    EXPIRED = "expired"
    OTHER_DEVICE = "other_device"
    DEVICE_ENROLLED = "device_enrolled"
    """A token for many devices must not take one away from whoever has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is kept of a token."""

    device: str
    """A device's name, or the beginning of names with `*` at its end."""
    expires_at: datetime
    used_at: datetime | None = None
    used_device: str | None = None
    used_secret: bytes | None = None

    @property
    def exact(self) -> bool:
        """Whether it names one device."""
        return not self.device.endswith("*")

    def fits(self, device: str) -> bool:
        """Tell whether it is for this device.

        >>> Claim(device="printer-*", expires_at=datetime.now()).fits("printer-01")
        True
        """
        return device == self.device if self.exact else device.startswith(self.device[:-1])

    def was_used_by(self, device: str, secret_hash: bytes) -> bool:
        """Tell whether this very device has used it for this very secret."""
        return self.used_device == device and self.used_secret == secret_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome and its reason."""

    action: Action
    reason: Reason


def decide(
    claim: Claim | None, *, device: str, secret_hash: bytes, enrolled: bool, now: datetime
) -> Decision:
    """Enrol a device once; `enrolled` says whether it has credentials that hold."""
    if claim is not None and claim.was_used_by(device, secret_hash):
        return Decision(action=Action.ANSWER_AGAIN, reason=Reason.SAME_REQUEST)
    reason = _obstacle(claim, device, now, enrolled=enrolled)
    if reason is None:
        return Decision(action=Action.ENROL, reason=Reason.FIRST_USE)
    return Decision(action=Action.REFUSE, reason=reason)


def _obstacle(claim: Claim | None, device: str, now: datetime, *, enrolled: bool) -> Reason | None:
    if claim is None:
        return Reason.UNKNOWN_TOKEN
    if claim.used_at is not None:
        return Reason.USED
    if claim.expires_at <= now:
        return Reason.EXPIRED
    if not claim.fits(device):
        return Reason.OTHER_DEVICE
    return Reason.DEVICE_ENROLLED if enrolled and not claim.exact else None


def is_pattern(text: str) -> bool:
    """Tell whether a token may be made for this: a name, or the beginning of one and `*`.

    >>> [is_pattern(text) for text in ("printer-01", "printer-*", "*", "prin*ter")]
    [True, True, True, False]
    """
    beginning = text.removesuffix("*")
    return bool(ID_PATTERN.match(beginning)) or text == "*"
