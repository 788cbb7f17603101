"""One parcel from the outbox to its destination, and what its outcome means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from alerting.schedule import wait_after

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

LEASE: Final = timedelta(seconds=60)
"""How long a try may take before another worker takes the parcel; well over every timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One queued event for one destination; `attempts` counts the present try."""

    id: int
    tenant: str
    key: str
    destination_id: int
    kind: str
    url: str
    secrets: tuple[str, ...]
    event: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int


class Verdict(Enum):
    """What becomes of a parcel after a try."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    DISABLE = "disable"


class Why(Enum):
    """Why."""

    ACCEPTED = "accepted"
    GONE = "gone"
    REFUSED_BY_GUARD = "refused_by_guard"
    FAILED = "failed"
    LAST_TRY_FAILED = "last_try_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one try met: a status, or an error; `final` where no further try can help."""

    status: int | None = None
    error: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What to write about a try."""

    verdict: Verdict
    why: Why
    wait: timedelta | None = None
    error: str | None = None


class DeliveryStore(Protocol):
    """The outbox as delivery sees it."""

    def claim(self, limit: int, busy: Collection[int]) -> list[Parcel]:
        """Lease due parcels, at most one a destination and none of the busy destinations."""
        ...

    def settle(self, parcel: Parcel, outcome: Outcome) -> None:
        """Write a try's outcome."""
        ...


class Sender(Protocol):
    """A way out of the house."""

    def send(self, parcel: Parcel) -> Answer:
        """Try once."""
        ...


def judge(answer: Answer, attempts: int, chance: float) -> Outcome:
    """Decide what a try's answer means; `chance` in [0, 1) spreads retries."""
    if answer.status is not None and HTTPStatus(200) <= answer.status < HTTPStatus(300):
        return Outcome(verdict=Verdict.DELIVERED, why=Why.ACCEPTED)
    error = answer.error or f"status {answer.status}"
    if answer.status == HTTPStatus.GONE:
        return Outcome(verdict=Verdict.DISABLE, why=Why.GONE, error=error)
    if answer.final:
        return Outcome(verdict=Verdict.DEAD, why=Why.REFUSED_BY_GUARD, error=error)
    wait = wait_after(attempts, chance)
    if wait is None:
        return Outcome(verdict=Verdict.DEAD, why=Why.LAST_TRY_FAILED, error=error)
    return Outcome(verdict=Verdict.RETRY, why=Why.FAILED, wait=wait, error=error)
