"""The shape of the catalogue's files; msgspec checks each field and names the one that is wrong."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from field_service.values import Strategy  # noqa: TC001 - msgspec reads it at run time

Code = Annotated[str, Meta(pattern=r"\A[A-Z0-9]+-[0-9]+\Z")]
Amount = Decimal
Hours = Annotated[float, Meta(ge=0)]
Difficulty = Annotated[int, Meta(ge=1, le=5)]
Lines = Annotated[tuple[Annotated[str, Meta(min_length=3)], ...], Meta(min_length=1)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Weight = Annotated[float, Meta(ge=0.8, le=1.25)]


class Safety(Enum):
    """What can hurt whoever does the work."""

    BENIGN = "benign"
    HOT_SURFACE = "hot_surface"
    MOVING_PARTS = "moving_parts"
    LIFTING = "lifting"
    PRESSURE = "pressure"
    MAINS = "mains"
    THERMAL_RUNAWAY = "thermal_runaway"


class OldPart(Enum):
    """What becomes of the part that comes out."""

    DISCARD = "discard"
    RECYCLE = "recycle"
    RETURN = "return"


def _refuse_negative(record: Struct) -> None:
    """Raise ValueError where an amount is below zero, which msgspec cannot check on Decimal."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, Decimal) and not (value.is_finite() and value >= 0):
            raise ValueError(f"{name} must be a number that is not below 0")


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a kit."""

    name: str
    quantity: Annotated[int, Meta(ge=1)]
    price_usd: Amount

    def __post_init__(self) -> None:
        _refuse_negative(self)


class Kit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One revision of what is sent, and how it is fitted."""

    code: Code
    revision: Annotated[int, Meta(ge=1)]
    replaces: Annotated[tuple[str, ...], Meta(min_length=1)]
    minutes: Annotated[int, Meta(ge=1)]
    difficulty: Difficulty
    safety: Safety
    old_part: OldPart
    mass_g: Annotated[int, Meta(ge=1)]
    parts: Annotated[tuple[Part, ...], Meta(min_length=1)]
    tools: tuple[str, ...]
    consumables: tuple[str, ...]
    steps: Annotated[dict[str, Lines], Meta(min_length=1)]
    """By language code."""

    @property
    def price_usd(self) -> Decimal:
        """The sum of its parts."""
        return sum((part.price_usd * part.quantity for part in self.parts), Decimal(0))


class Iso14224(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Failure mode and mechanism by ISO 14224, Annex B."""

    mode: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    mechanism: Annotated[str, Meta(pattern=r"\A[1-6]\.[0-9]\Z")]


class Resolution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What cures one failure mode of one component."""

    component: str
    failure_mode: str
    iso_14224: Iso14224
    kit: Kit
    remark: str = ""


class Family(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device family and everything that cures it."""

    family: str
    name: str
    portable: bool
    mass_kg: Annotated[float, Meta(gt=0)]
    value_usd: Amount
    standstill_usd_per_h: Amount
    resolution: tuple[Resolution, ...] = ()

    def __post_init__(self) -> None:
        _refuse_negative(self)


class Couriers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours a parcel takes from each kind of node."""

    local_node: Hours
    regional_centre: Hours
    hq: Hours


class Region(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region's planning figures; amounts in its own currency."""

    name: str
    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    per_usd: Amount
    labour_per_h: Amount
    visit_fee: Amount
    walk_in_fee: Amount
    freight: Amount
    freight_per_kg: Amount
    duty: Amount
    strategies: Annotated[tuple[Strategy, ...], Meta(min_length=1)]
    courier_h: Couriers
    visit_lead_h: Hours
    walk_in_lead_h: Hours
    mail_in_tat_h: Hours
    swap_lead_h: Hours
    preference: dict[Strategy, Weight] = {}

    def __post_init__(self) -> None:
        _refuse_negative(self)
        if not self.per_usd:
            raise ValueError("per_usd must not be 0")


class Prior(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is believed of a strategy before outcomes are known: a Beta prior by difficulty."""

    first_time_fix: Annotated[tuple[Share, ...], Meta(min_length=5, max_length=5)]
    worth: Annotated[float, Meta(gt=0)]
