"""A hot end, a bed and a fan that do as they are told, with the constants of a printer's family.

The simulated fleets print jobs of their own and take no orders; this stands in while somebody
gives some. Its parts are as worn as those of the fleet's printer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.thermal import Plant, hold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.specs import Family

FAN_ON_C: Final = 50.0
"""Where the hot end's own fan starts."""
_SPIN_UP_S: Final = 0.6
"""Engineering estimate: time in which a small fan reaches 63 % of its speed."""
_GAIN_K: Final = 2.0
_GAIN_S: Final = 20.0
"""At full power no 2 K in 20 s: where Klipper's verify_heater and Marlin's watch trip."""
_NOTHING_W: Final = 1e-3
"""What a heater gives that has failed: its power is told as a share of what it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """State of what obeys; degC, shares of one, turns a minute."""

    hotend_c: float
    bed_c: float
    room_c: float
    hotend_target: float = 0.0
    bed_target: float = 0.0
    fan: float = 0.0
    hotend_power: float = 0.0
    bed_power: float = 0.0
    fan_rpm: float = 0.0
    hotend_fan_rpm: float = 0.0
    watched_c: float = 0.0
    watched_s: float = 0.0
    """Since when the hot end has been at full power and no more than `_GAIN_K` above that."""

    @property
    def rests(self) -> bool:
        """Whether nothing is asked of it."""
        return not (self.hotend_target or self.bed_target or self.fan)


def advance(bench: Bench, family: Family, wear: Mapping[str, float], dt_s: float) -> Bench:
    """Move on by a step; `wear` is from 0 to 1 by component, as far as it is known."""
    made = {name: float(entry["mean"]) for name, entry in family.units.items()}
    lost = {name: float(entry["value"]) for name, entry in family.effects.items()}
    watts = made["hotend_watts"] * _left(wear, "hotend_heater", lost["heater_watts_lost"])
    limit = np.array([max(watts, _NOTHING_W), made["bed_watts"]])
    air = made["hotend_fan_loss"] * bench.fan
    plant = Plant(
        ambient=np.array([bench.room_c, bench.room_c]),
        loss=np.array([made["hotend_loss"] + air, made["bed_loss"]]),
        capacity=np.array([made["hotend_capacity"], made["bed_capacity"]]),
        limit=limit,
    )
    heat = hold(
        plant,
        temp=np.array([bench.hotend_c, bench.bed_c]),
        setpoint=np.array([bench.hotend_target, bench.bed_target]),
        dt_s=dt_s,
    )
    hot_spin = 1.0 if bench.hotend_c > FAN_ON_C else 0.0
    top = made["hotend_fan_top"] * _left(wear, "hotend_fan", lost["hotend_fan_lost"])
    part = made["part_fan_top"] * _left(wear, "part_fan", lost["part_fan_lost"])
    moved = replace(
        bench,
        hotend_c=float(heat.temp[0]),
        bed_c=float(heat.temp[1]),
        hotend_power=float(heat.mean_watts[0] / limit[0]),
        bed_power=float(heat.mean_watts[1] / limit[1]),
        fan_rpm=_towards(bench.fan_rpm, part * bench.fan, dt_s),
        hotend_fan_rpm=_towards(bench.hotend_fan_rpm, top * hot_spin, dt_s),
    )
    return _watched(moved, dt_s)


def _left(wear: Mapping[str, float], component: str, lost: float) -> float:
    """Give what is left of a part's strength: it fades, and is gone once the part has failed."""
    worn = wear.get(component, 0.0)
    return 0.0 if worn >= 1.0 else 1.0 - lost * worn


def _watched(bench: Bench, dt_s: float) -> Bench:
    if bench.hotend_power < 1.0 or bench.hotend_c >= bench.watched_c + _GAIN_K:
        return replace(bench, watched_c=bench.hotend_c, watched_s=0.0)
    return replace(bench, watched_s=bench.watched_s + dt_s)


def _towards(now: float, goal: float, dt_s: float) -> float:
    share = 1.0 - float(np.exp(-dt_s / _SPIN_UP_S))
    return now + (goal - now) * share


def noticed(bench: Bench, wear: Mapping[str, float]) -> frozenset[str]:
    """Name the failed parts that a firmware notices as it uses them; it sees no part fan."""
    failed = {component for component, share in wear.items() if share >= 1.0}
    seen = {
        "hotend_heater": bench.watched_s > _GAIN_S,
        "hotend_thermistor": bench.hotend_target > 0.0,
        "hotend_fan": bench.hotend_c > FAN_ON_C,
    }
    return frozenset(component for component in failed if seen.get(component, False))
