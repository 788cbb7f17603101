"""What field service needs of its storage; everything is used inside one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from field_service.bills import Source
    from field_service.catalogue import Catalogue
    from field_service.strategy import Tally
    from field_service.values import (
        Alert,
        Finding,
        LedgerEvent,
        Order,
        Strategy,
        Subject,
        Verified,
    )
    from field_service.verify import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What an order needs to know of a device, and its timeline's present."""

    id: int
    tenant: str
    timeline: str
    name: str
    family: str
    region: str
    org_node: str | None
    now: datetime


class Inbox(Protocol):
    """What waits to be acted upon."""

    def next_alert(self) -> Alert | None:
        """Give the unmuted failure alert that fired first and that nobody has acted on, locked."""
        ...

    def handled(self, alert_id: int) -> None:
        """Mark an alert as acted upon."""
        ...

    def next_watched(self, after: int) -> Order | None:
        """Give, locked, the next order by id that time or telemetry may move."""
        ...


class Orders(Protocol):
    """Work orders and their ledger."""

    def standing(self, tenant: str, subject: Subject) -> Sequence[Order]:
        """Give the open orders of a subject's component, one a failure mode, the oldest first.

        They are locked; until the end of the transaction nobody opens another.
        """
        ...

    def get(self, tenant: str, number: int) -> Order:
        """Give an order, locked.

        Raises:
            NotFound: no such order of this tenant.
        """
        ...

    def insert(self, draft: Order) -> Order | None:
        """Write a new order under the tenant's next number; None where one is open already."""
        ...

    def save(self, order: Order, expected_version: int) -> None:
        """Write an order that moved.

        Raises:
            Conflict: somebody moved it first.
        """
        ...

    def record(self, order: Order, event: LedgerEvent) -> None:
        """Append to the ledger."""
        ...

    def ledger(self, order: Order) -> Sequence[LedgerEvent]:
        """Give the ledger of an order, oldest first."""
        ...


class Findings(Protocol):
    """What was found by those who looked."""

    def add(self, finding: Finding) -> None:
        """Write a finding; the same attempt twice is written once."""
        ...

    def judge(self, order_id: int, verified: Verified) -> None:
        """Write what telemetry said of the latest attempt."""
        ...


class Facts(Protocol):
    """What the rest of the system knows."""

    def device(self, device_id: int) -> Device:
        """Give a device.

        Raises:
            NotFound: no such device of this tenant.
        """
        ...

    def outcomes(self, tenant: str, failure_mode: str) -> Mapping[Strategy, Tally]:
        """Give the repairs that telemetry has judged, by strategy; finding no fault is none."""
        ...

    def sources(self, tenant: str, org_node: str | None, kit: str) -> Sequence[Source]:
        """Give the nodes that have a kit, the nearest first, from the device's node upwards."""
        ...

    def signals(self, order: Order) -> Signals:
        """Give what telemetry says since the part went in."""
        ...

    def replaced_at(self, order: Order) -> datetime | None:
        """Give when the device first said that the order's component was replaced.

        Only what came after the order was opened, last fitted or last reopened: an earlier
        replacement is accounted for.
        """
        ...

    def alert_over(self, alert_id: int) -> bool:
        """Tell whether an alert is resolved."""
        ...


class Parts(Protocol):
    """Stock as a ledger of movements; each call may be repeated without further effect."""

    def reserve(self, order: Order, kit: str, nodes: Sequence[str], at: datetime) -> str | None:
        """Reserve one kit at the first node that has one; gives the node, None where none has."""
        ...

    def release(self, order: Order, at: datetime) -> None:
        """Give back what is reserved and not shipped."""
        ...

    def ship(self, order: Order, at: datetime) -> str | None:
        """Ship what is reserved; gives the node it left, None where nothing is reserved."""
        ...

    def use(self, order: Order, at: datetime) -> None:
        """Say that the order's kit was fitted; what was only reserved leaves its node first."""
        ...

    def take_back(self, order: Order, at: datetime) -> None:
        """Take a shipped kit back that was not used."""
        ...


class Notices(Protocol):
    """Who is told."""

    def tell(self, order: Order, *, event: str, key: str, payload: dict[str, Any]) -> None:
        """Queue one event for the outside, once a key, and wake up who listens inside."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything an order is worked with, for the length of one transaction."""

    inbox: Inbox
    orders: Orders
    findings: Findings
    facts: Facts
    parts: Parts
    notices: Notices
    catalogue: Catalogue
    verify_hours: float
