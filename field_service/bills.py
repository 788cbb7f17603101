"""What each strategy costs by itself and how long it takes; pure.

Amounts are Decimal in the region's currency, times are elapsed hours. `lead_h` runs before the
work while the device may still run; `work_h` is the time it certainly stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from field_service.catalogue import OldPart
from field_service.values import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from field_service.catalogue import Family, Kit, Region

OWNER_PACE: Final = 1.5
"""An owner takes half as long again as the catalogue's minutes."""
TRAVEL_H: Final = Decimal(1)
"""Paid travel of a visit, there and back within a local node's reach."""
INSPECTION_MINUTES: Final = 90
"""Work on something for which the catalogue has no kit."""
REFURBISHING: Final = Decimal("0.25")
"""Share of a device's value that a swap costs us: refurbishing the one that comes back."""
RESIDUAL: Final = Decimal("0.45")
"""Share of a device's value that is credited when it is traded in."""
UNPACKING_H: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a kit would come from."""

    org_node: str
    node_kind: str
    region: str
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done, where, and with what from where."""

    family: Family
    region_code: str
    region: Region
    kit: Kit | None
    source: Source | None = None
    """None: nobody near has the kit, and headquarters sends it."""

    @property
    def minutes(self) -> int:
        """Working minutes of somebody skilled."""
        return self.kit.minutes if self.kit else INSPECTION_MINUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One strategy's own cost, without what standing still costs."""

    lead_h: float
    work_h: float
    parts: Decimal = Decimal(0)
    freight: Decimal = Decimal(0)
    duty: Decimal = Decimal(0)
    labour: Decimal = Decimal(0)
    old_part: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """Everything that somebody is paid."""
        return self.parts + self.freight + self.duty + self.labour + self.old_part


def bill(strategy: Strategy, job: Job) -> Bill:
    """Give what one strategy costs."""
    return _BILLS[strategy](job)


def local(usd: Decimal, region: Region) -> Decimal:
    """Turn US dollars of the catalogue into the region's currency at its planning rate."""
    return usd * region.per_usd


def _self_repair(job: Job) -> Bill:
    return Bill(
        lead_h=_courier_h(job),
        work_h=job.minutes / 60 * OWNER_PACE,
        parts=_parts(job),
        freight=_freight(job.region, _kit_kg(job)),
        duty=_duty(job),
        old_part=_old_part(job),
    )


def _walk_in(job: Job) -> Bill:
    return Bill(
        lead_h=max(job.region.walk_in_lead_h, _courier_h(job) if job.kit else 0.0),
        work_h=2 * float(TRAVEL_H) + job.minutes / 60,
        parts=_parts(job),
        duty=_duty(job),
        labour=job.region.walk_in_fee + _labour(job),
    )


def _mail_in(job: Job) -> Bill:
    return Bill(
        lead_h=0.0,
        work_h=job.region.mail_in_tat_h,
        parts=_parts(job),
        freight=2 * _freight(job.region, Decimal(str(job.family.mass_kg))),
        duty=_duty(job),
        labour=_labour(job),
    )


def _on_site(job: Job) -> Bill:
    return Bill(
        lead_h=max(job.region.visit_lead_h, _courier_h(job) if job.kit else 0.0),
        work_h=job.minutes / 60,
        parts=_parts(job),
        duty=_duty(job),
        labour=job.region.visit_fee + job.region.labour_per_h * TRAVEL_H + _labour(job),
        old_part=Decimal(0),
    )


def _swap(job: Job) -> Bill:
    value = local(job.family.value_usd, job.region)
    return Bill(
        lead_h=job.region.swap_lead_h,
        work_h=UNPACKING_H,
        parts=value * REFURBISHING,
        freight=2 * _freight(job.region, Decimal(str(job.family.mass_kg))),
    )


def _trade_in(job: Job) -> Bill:
    value = local(job.family.value_usd, job.region)
    return Bill(
        lead_h=job.region.swap_lead_h,
        work_h=2 * UNPACKING_H,
        parts=value * (1 - RESIDUAL),
        freight=2 * _freight(job.region, Decimal(str(job.family.mass_kg))),
    )


_BILLS: Final[dict[Strategy, Callable[[Job], Bill]]] = {
    Strategy.SELF_REPAIR: _self_repair,
    Strategy.WALK_IN: _walk_in,
    Strategy.MAIL_IN: _mail_in,
    Strategy.ON_SITE: _on_site,
    Strategy.SWAP: _swap,
    Strategy.TRADE_IN: _trade_in,
}


def _courier_h(job: Job) -> float:
    hours = job.region.courier_h
    kind = job.source.node_kind if job.source else "hq"
    return float(getattr(hours, kind))


def _parts(job: Job) -> Decimal:
    return local(job.kit.price_usd, job.region) if job.kit else Decimal(0)


def _labour(job: Job) -> Decimal:
    return job.region.labour_per_h * job.minutes / 60


def _freight(region: Region, kg: Decimal) -> Decimal:
    return region.freight + region.freight_per_kg * kg


def _kit_kg(job: Job) -> Decimal:
    return Decimal(job.kit.mass_g if job.kit else 0) / 1000


def _duty(job: Job) -> Decimal:
    """Duty falls due where the kit crosses into the region for this order."""
    at_home = job.source is not None and job.source.region == job.region_code
    return Decimal(0) if at_home else _parts(job) * job.region.duty


def _old_part(job: Job) -> Decimal:
    if job.kit is None or job.kit.old_part is not OldPart.RETURN:
        return Decimal(0)
    return _freight(job.region, _kit_kg(job))
