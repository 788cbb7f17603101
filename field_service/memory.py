"""A desk in memory that answers like the one in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from field_service.catalogue import load
from field_service.orders import Action
from field_service.store import Desk
from field_service.strategy import Tally
from field_service.values import OVER, Verified
from field_service.verify import Signals
from foremend.errors import Conflict, NotFound
from foremend.values import AsFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from field_service.bills import Source
    from field_service.store import Device
    from field_service.values import Alert, Finding, LedgerEvent, Order, Strategy, Subject

_ACCOUNTED: Final = {Action.FIT.value, Action.PART_SEEN.value, Action.REOPEN.value}


@dataclass(slots=True)
class MemoryWorld:
    """Everything a desk sees; fill what the test needs and read what came of it."""

    devices: dict[int, Device] = field(default_factory=dict)
    alerts: dict[int, Alert] = field(default_factory=dict)
    handled: set[int] = field(default_factory=set)
    resolved: set[int] = field(default_factory=set)
    replaced: list[tuple[int, str, datetime]] = field(default_factory=list)
    signals: dict[int, Signals] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    orders: dict[int, Order] = field(default_factory=dict)
    ledgers: dict[int, list[LedgerEvent]] = field(default_factory=lambda: defaultdict(list))
    findings: list[Finding] = field(default_factory=list)
    movements: list[tuple[int, str, str, str, int]] = field(default_factory=list)
    """(order, node, kit, kind, quantity), as in `part_movement`."""
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def desk(self, verify_hours: float = 6.0) -> Desk:
        """Give a desk over this world."""
        return Desk(
            inbox=MemoryInbox(self),
            orders=MemoryOrders(self),
            findings=MemoryFindings(self),
            facts=MemoryFacts(self),
            parts=MemoryParts(self),
            notices=MemoryNotices(self),
            catalogue=load(),
            verify_hours=verify_hours,
        )


@dataclass(frozen=True, slots=True)
class MemoryInbox:
    """What waits to be acted upon."""

    world: MemoryWorld

    def next_alert(self) -> Alert | None:
        """Give the oldest alert that nobody has acted on."""
        waiting = [a for n, a in self.world.alerts.items() if n not in self.world.handled]
        return min(waiting, key=lambda a: (a.fired_at, a.id), default=None)

    def handled(self, alert_id: int) -> None:
        """Mark an alert as acted upon."""
        self.world.handled.add(alert_id)

    def next_watched(self, after: int) -> Order | None:
        """Give the next open order; one too many is looked at in vain."""
        open_ones = (o for o in self.world.orders.values() if o.state not in OVER)
        later = sorted((o for o in open_ones if o.id > after), key=lambda o: o.id)
        return later[0] if later else None


@dataclass(frozen=True, slots=True)
class MemoryOrders:
    """Work orders and their ledger."""

    world: MemoryWorld

    def standing(self, tenant: str, subject: Subject) -> Sequence[Order]:
        """Give the open orders of a subject's component, the oldest first."""
        return [
            order
            for order in self.world.orders.values()
            if replace(order.subject, failure_mode=subject.failure_mode) == subject
            and order.tenant == tenant
            and order.state not in OVER
        ]

    def get(self, tenant: str, number: int) -> Order:
        """Give an order."""
        for order in self.world.orders.values():
            if (order.tenant, order.number) == (tenant, number):
                return order
        raise NotFound(f"there is no work order WO-{number}")

    def insert(self, draft: Order) -> Order | None:
        """Write a new order under the tenant's next number; None where one is open already."""
        standing = self.standing(draft.tenant, draft.subject)
        if any(order.subject == draft.subject for order in standing):
            return None
        numbers = [o.number for o in self.world.orders.values() if o.tenant == draft.tenant]
        number = max(numbers, default=0) + 1
        order = replace(draft, id=len(self.world.orders) + 1, number=number)
        self.world.orders[order.id] = order
        return order

    def save(self, order: Order, expected_version: int) -> None:
        """Write an order that moved."""
        if self.world.orders[order.id].version != expected_version:
            raise Conflict(f"{order.name} was moved by somebody else; load it again")
        self.world.orders[order.id] = order

    def record(self, order: Order, event: LedgerEvent) -> None:
        """Append to the ledger."""
        self.world.ledgers[order.id].append(event)

    def ledger(self, order: Order) -> Sequence[LedgerEvent]:
        """Give the ledger of an order, oldest first."""
        return list(self.world.ledgers[order.id])


@dataclass(frozen=True, slots=True)
class MemoryFindings:
    """What was found by those who looked."""

    world: MemoryWorld

    def add(self, finding: Finding) -> None:
        """Write a finding; the same attempt twice is written once."""
        known = {(f.order_id, f.attempt) for f in self.world.findings}
        if (finding.order_id, finding.attempt) not in known:
            self.world.findings.append(finding)

    def judge(self, order_id: int, verified: Verified) -> None:
        """Write what telemetry said of the latest attempt."""
        mine = [f for f in self.world.findings if f.order_id == order_id]
        latest = max(mine, key=lambda f: f.attempt, default=None)
        if latest is not None and latest.verified is None:
            place = self.world.findings.index(latest)
            self.world.findings[place] = replace(latest, verified=verified)


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What the rest of the system knows."""

    world: MemoryWorld

    def device(self, device_id: int) -> Device:
        """Give a device."""
        if device_id not in self.world.devices:
            raise NotFound(f"there is no device {device_id}")
        return self.world.devices[device_id]

    def outcomes(self, tenant: str, failure_mode: str) -> Mapping[Strategy, Tally]:
        """Give the repairs that telemetry has judged, by strategy."""
        counts: dict[Strategy, list[int]] = defaultdict(lambda: [0, 0])
        for finding in self.world.findings:
            strategy = self.world.orders[finding.order_id].strategy
            judged = {Verified.RECOVERED: 0, Verified.NOT_RECOVERED: 1}.get(
                finding.verified or Verified.NO_TELEMETRY
            )
            same = (finding.tenant, finding.failure_mode) == (tenant, failure_mode)
            repair = finding.as_found is not AsFound.NO_FAULT_FOUND
            if same and repair and strategy is not None and judged is not None:
                counts[strategy][judged] += 1
        return {s: Tally(*pair) for s, pair in counts.items()}

    def sources(self, tenant: str, org_node: str | None, kit: str) -> Sequence[Source]:  # noqa: ARG002 - a world has one chain of nodes
        """Give the nodes that have a kit, the nearest first."""
        parts = MemoryParts(self.world)
        stocked = (
            replace(s, available=s.available + parts.moved(s.org_node, kit))
            for s in self.world.sources
        )
        return [s for s in stocked if s.available > 0]

    def signals(self, order: Order) -> Signals:
        """Give what telemetry says since the part went in."""
        return self.world.signals.get(order.id, Signals())

    def replaced_at(self, order: Order) -> datetime | None:
        """Give when the device first said that the order's component was replaced."""
        ledger = self.world.ledgers[order.id]
        accounted = [e.at for e in ledger if e.action in _ACCOUNTED]
        since = max(accounted, default=order.opened_at)
        subject = (order.subject.device_id, order.subject.component)
        times = [at for *who, at in self.world.replaced if tuple(who) == subject and at > since]
        return min(times, default=None)

    def alert_over(self, alert_id: int) -> bool:
        """Tell whether an alert is resolved."""
        return alert_id not in self.world.alerts or alert_id in self.world.resolved


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """Stock as a ledger of movements."""

    world: MemoryWorld

    def moved(self, node: str, kit: str) -> int:
        """Give what the movements add to a node's opening stock."""
        return sum(q for _, n, k, _, q in self.world.movements if (n, k) == (node, kit))

    def reserve(self, order: Order, kit: str, nodes: Sequence[str], at: datetime) -> str | None:  # noqa: ARG002 - movements here carry no time
        """Reserve one kit at the first node that has one."""
        held = self._reserved(order)
        if held is not None:
            return held[0]
        for source in self.world.sources:
            if source.org_node in nodes and source.available + self.moved(source.org_node, kit) > 0:
                self._move(order, source.org_node, kit, "reserve", -1)
                return source.org_node
        return None

    def release(self, order: Order, at: datetime) -> None:  # noqa: ARG002 - likewise
        """Give back what is reserved and not shipped."""
        held = self._reserved(order)
        if held is not None:
            self._move(order, *held, "release", 1)

    def ship(self, order: Order, at: datetime) -> str | None:
        """Ship what is reserved, or give the node of what is underway already."""
        held = self._reserved(order)
        if held is not None:
            self.release(order, at)
            self._move(order, *held, "ship", -1)
        underway = self._underway(order)
        return underway[0] if underway else None

    def use(self, order: Order, at: datetime) -> None:
        """Say that the order's kit was fitted."""
        self.ship(order, at)
        underway = self._underway(order)
        if underway is not None:
            self._move(order, *underway, "use", 0)

    def take_back(self, order: Order, at: datetime) -> None:  # noqa: ARG002 - likewise
        """Take a shipped kit back that was not used."""
        underway = self._underway(order)
        if underway is not None:
            self._move(order, *underway, "return", 1)

    def _move(self, order: Order, node: str, kit: str, kind: str, quantity: int) -> None:
        self.world.movements.append((order.id, node, kit, kind, quantity))

    def _reserved(self, order: Order) -> tuple[str, str] | None:
        return self._left(order, "reserve", {"release"})

    def _underway(self, order: Order) -> tuple[str, str] | None:
        return self._left(order, "ship", {"return", "use"})

    def _left(self, order: Order, opens: str, closes: set[str]) -> tuple[str, str] | None:
        """Give the node and kit of an opening movement that no closing one has followed."""
        left: list[tuple[str, str]] = []
        for number, node, kit, kind, _ in self.world.movements:
            if number == order.id and kind == opens:
                left.append((node, kit))
            elif number == order.id and kind in closes:
                left.remove((node, kit))
        return left[0] if left else None


@dataclass(frozen=True, slots=True)
class MemoryNotices:
    """Who is told."""

    world: MemoryWorld

    def tell(self, order: Order, *, event: str, key: str, payload: dict[str, Any]) -> None:  # noqa: ARG002 - the payload names the order
        """Queue one event, once a key."""
        self.world.told.setdefault(key, {"event": event} | payload)
