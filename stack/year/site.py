"""Where a year's devices stand, and the desk from which their work orders are worked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from field_service import catalogue
from field_service.bills import Job, Source, bill
from field_service.memory import MemoryFacts, MemoryParts, MemoryWorld
from field_service.network import NETWORK, OPENING
from field_service.store import Device
from foremend.clock import to_datetime
from stack.year.terms import VERIFY_H

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from field_service.catalogue import Kit
    from field_service.store import Desk
    from field_service.values import Order, Strategy
    from foremend.clock import Millis
    from simulators.fleets import AnyFleet

TENANT: Final = "year"
TIMELINE: Final = "sim:year"
CURRENCY: Final = "USD"
"""Every bill is turned into it at the catalogue's planning rate of the device's region."""
_NODES: Final = {node.id: node for node in NETWORK}
_DEPOTS: Final = tuple(node for node in NETWORK if node.kind == "local_node")
"""Devices stand at the depots in turn, so that every region has some."""


def chain(org_node: str | None) -> tuple[str, ...]:
    """Give the nodes that would serve a device at a node, from there upwards."""
    out: list[str] = []
    while org_node is not None:
        out.append(org_node)
        org_node = _NODES[org_node].parent
    return tuple(out)


@dataclass(frozen=True, slots=True)
class ChainedFacts(MemoryFacts):
    """The facts of a world whose nodes form a tree, not one chain."""

    def sources(self, tenant: str, org_node: str | None, kit: str) -> Sequence[Source]:  # noqa: ARG002 - a year has one tenant
        """Give the nodes above a device that have a kit, the nearest first."""
        parts, known = MemoryParts(self.world), {s.org_node: s for s in self.world.sources}
        mine = [known[name] for name in chain(org_node)]
        stocked = (replace(s, available=s.available + parts.moved(s.org_node, kit)) for s in mine)
        return [s for s in stocked if s.available > 0]


class Site:
    """The devices of one fleet as field service sees them, by their place in the fleet."""

    def __init__(self, fleet: AnyFleet) -> None:
        self.family = fleet.family
        self.now_ms: Millis = fleet.now_ms
        self.world = MemoryWorld(
            devices={i: _device(fleet, i, name) for i, name in enumerate(fleet.names)},
            sources=[
                Source(
                    org_node=node.id,
                    node_kind=node.kind,
                    region=node.region,
                    available=OPENING[node.kind],
                )
                for node in NETWORK
            ],
        )
        desk = self.world.desk(VERIFY_H)
        self.desk: Desk = replace(desk, facts=ChainedFacts(self.world))

    def at(self, now_ms: Millis, devices: Iterable[int]) -> None:
        """Let it be `now_ms` for some devices: those whose orders are about to be touched."""
        now = to_datetime(now_ms)
        for device in devices:
            known = self.world.devices[device]
            if known.now != now:
                self.world.devices[device] = replace(known, now=now)

    def job(self, device: int, kit: Kit | None, node: str | None) -> Job:
        """Describe work on a device with a kit from a node; from headquarters if none is named."""
        place = self.world.devices[device]
        known = {s.org_node: s for s in self.world.sources}
        return Job(
            family=self.desk.catalogue.family(self.family),
            region_code=place.region,
            region=self.desk.catalogue.region(place.region),
            kit=kit,
            source=known.get(node or ""),
        )

    def cost(self, order: Order, strategy: Strategy) -> Decimal:
        """Give what one attempt at an order was billed, in US dollars; no standstill in it."""
        shipped = [e for e in self.desk.orders.ledger(order) if e.action == "ship"]
        node = shipped[-1].params.get("shipped_from") if shipped else None
        resolution = self.desk.catalogue.by_kit(order.kit) if order.kit else None
        job = self.job(order.subject.device_id, resolution.kit if resolution else None, node)
        return bill(strategy, job).total / job.region.per_usd


def standstill_usd_per_h(family: str) -> Decimal:
    """Give what an hour without a device costs, US dollars, as the catalogue tells."""
    return catalogue.load().family(family).standstill_usd_per_h


def _device(fleet: AnyFleet, place: int, name: str) -> Device:
    depot = _DEPOTS[place % len(_DEPOTS)]
    return Device(
        id=place,
        tenant=TENANT,
        timeline=TIMELINE,
        name=name,
        family=fleet.family,
        region=depot.region,
        org_node=depot.id,
        now=to_datetime(fleet.now_ms),
    )
