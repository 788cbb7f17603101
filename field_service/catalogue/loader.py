"""Reads the catalogue; every error names the file and the field."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from field_service.catalogue.schema import Family, Kit, Prior, Region, Resolution
from field_service.values import Strategy
from foremend.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.resources.abc import Traversable
    from pathlib import Path

T = TypeVar("T")

FAMILIES: Final = ("fdm_printer.toml", "rotating_machine.toml", "hydraulic_excavator.toml")
REGIONS: Final = "regions.toml"
STRATEGIES: Final = "strategies.toml"
DEFAULT_REGION: Final = "north_america"
"""Where a device counts as being until somebody says where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything that is known before an order is opened."""

    families: dict[str, Family]
    regions: dict[str, Region]
    priors: dict[Strategy, Prior]

    def resolution(self, family: str, component: str, failure_mode: str) -> Resolution | None:
        """Give what cures a failure mode, or None where the catalogue knows no cure."""
        known = self.families.get(family)
        wanted = (component, failure_mode)
        for resolution in known.resolution if known else ():
            if (resolution.component, resolution.failure_mode) == wanted:
                return resolution
        return None

    def family(self, name: str) -> Family:
        """Give a family; one that the catalogue does not know is fixed in place and worth 0."""
        return self.families.get(name) or Family(
            family=name or "unknown",
            name=name or "unknown",
            portable=False,
            mass_kg=1.0,
            value_usd=Decimal(0),
            standstill_usd_per_h=Decimal(0),
        )

    def region(self, code: str) -> Region:
        """Give a region's figures; the default region's where the code is not known."""
        return self.regions.get(code) or self.regions[DEFAULT_REGION]

    def by_kit(self, code: str) -> Resolution | None:
        """Give the resolution whose kit has this code."""
        return next((r for r in self.resolutions() if r.kit.code == code), None)

    def kits(self) -> Iterable[Kit]:
        """Give every kit once, however many failure modes it cures."""
        return {r.kit.code: r.kit for r in self.resolutions()}.values()

    def resolutions(self) -> Iterable[Resolution]:
        """Give every resolution of every family."""
        return (r for family in self.families.values() for r in family.resolution)


@cache
def load(folder: Path | None = None) -> Catalogue:
    """Read the catalogue that is shipped, or one from a folder of the same files.

    Raises:
        InputError: a file is missing or not TOML, a field is wrong, or two entries clash.
    """
    place: Traversable = folder or files("field_service.catalogue")
    names = FAMILIES if folder is None else _family_files(folder)
    families = [(name, _family(place, name)) for name in names]
    _refuse_clashes(families)
    return Catalogue(
        families={family.family: family for _, family in families},
        regions=_with_default(_table(place, REGIONS, Region)),
        priors=_priors(place),
    )


def _family_files(folder: Path) -> list[str]:
    others = {REGIONS, STRATEGIES}
    return sorted(path.name for path in folder.glob("*.toml") if path.name not in others)


def _family(place: Traversable, name: str) -> Family:
    raw = _toml(place, name)
    _share_kits(raw, name)
    for i, entry in enumerate(raw.get("resolution", ())):
        # One by one, because msgspec does not number the entry that is wrong.
        _convert(entry, Resolution, name, f"resolution[{i}]")
    return _convert(raw, Family, name)


def _share_kits(raw: dict[str, Any], name: str) -> None:
    """Put a kit's whole table where only its code stands: one part may fail in several ways."""
    tables = [entry.get("kit") for entry in raw.get("resolution", ())]
    known = {kit["code"]: kit for kit in tables if isinstance(kit, dict) and "code" in kit}
    for i, entry in enumerate(raw.get("resolution", ())):
        code = entry.get("kit")
        if isinstance(code, str) and code not in known:
            raise InputError(name, None, f"resolution[{i}].kit", f"no kit of this file is {code}")
        if isinstance(code, str):
            entry["kit"] = known[code]


def _table(place: Traversable, name: str, shape: type[T]) -> dict[str, T]:
    raw = _toml(place, name)
    return {key: _convert(entry, shape, name, key) for key, entry in raw.items()}


def _toml(place: Traversable, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(place.joinpath(name).read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(name, None, None, "the file is missing") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(name, None, None, f"not TOML: {error}") from error


def _convert(raw: object, shape: type[T], name: str, inside: str = "") -> T:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = (inside + path.strip("`")).strip(".")
        raise InputError(name, None, field or None, message) from error


def _priors(place: Traversable) -> dict[Strategy, Prior]:
    table = _table(place, STRATEGIES, Prior)
    known = {s.value for s in Strategy}
    for name in sorted(table.keys() - known):
        raise InputError(STRATEGIES, None, name, "is not a strategy")
    for name in sorted(known - table.keys()):
        raise InputError(STRATEGIES, None, name, "has no prior")
    return {Strategy(name): prior for name, prior in table.items()}


def _with_default(regions: dict[str, Region]) -> dict[str, Region]:
    if DEFAULT_REGION not in regions:
        raise InputError(REGIONS, None, DEFAULT_REGION, "the default region is missing")
    return regions


def _refuse_clashes(families: list[tuple[str, Family]]) -> None:
    every = [r.kit for _, family in families for r in family.resolution]
    # A kit holds tables, so it has no hash; what it says of itself tells it apart as well.
    kits = Counter(code for code, _ in {(kit.code, repr(kit)) for kit in every})
    for name, family in families:
        seen: set[tuple[str, str]] = set()
        for i, resolution in enumerate(family.resolution):
            _refuse_clash(f"{name}", i, resolution, seen, kits)


def _refuse_clash(
    file: str, i: int, resolution: Resolution, seen: set[tuple[str, str]], kits: Counter[str]
) -> None:
    key = (resolution.component, resolution.failure_mode)
    if key in seen:
        raise InputError(file, None, f"resolution[{i}]", f"{key[0]}/{key[1]} stands here twice")
    seen.add(key)
    if kits[resolution.kit.code] > 1:
        raise InputError(
            file, None, f"resolution[{i}].kit.code", f"{resolution.kit.code} names two kits"
        )
    if resolution.component not in resolution.kit.replaces:
        raise InputError(
            file,
            None,
            f"resolution[{i}].kit.replaces",
            f"the kit does not replace {resolution.component}",
        )
