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
    from collections.abc import Iterable, Mapping

    from simulators.specs import Family
    from simulators.steps import Truth

FAN_ON_C: Final = 50.0
"""Where the hot end's own fan starts."""
_SPIN_UP_S: Final = 0.6
"""Engineering estimate: time in which a small fan reaches 63 % of its speed."""


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

    @property
    def rests(self) -> bool:
        """Whether nothing is asked of it."""
        return not (self.hotend_target or self.bed_target or self.fan)


def advance(bench: Bench, family: Family, wear: Mapping[str, float], dt_s: float) -> Bench:
    """Move on by a step; `wear` is from 0 to 1 by component, as far as it is known."""
    made = {name: float(entry["mean"]) for name, entry in family.units.items()}
    lost = {name: float(entry["value"]) for name, entry in family.effects.items()}
    watts = made["hotend_watts"] * (
        1.0 - lost["heater_watts_lost"] * wear.get("hotend_heater", 0.0)
    )
    limit = np.array([max(watts, 1.0), made["bed_watts"]])
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
    top = made["hotend_fan_top"] * (1.0 - lost["hotend_fan_lost"] * wear.get("hotend_fan", 0.0))
    part = made["part_fan_top"] * (1.0 - lost["part_fan_lost"] * wear.get("part_fan", 0.0))
    return replace(
        bench,
        hotend_c=float(heat.temp[0]),
        bed_c=float(heat.temp[1]),
        hotend_power=float(heat.mean_watts[0] / limit[0]),
        bed_power=float(heat.mean_watts[1] / limit[1]),
        fan_rpm=_towards(bench.fan_rpm, part * bench.fan, dt_s),
        hotend_fan_rpm=_towards(bench.hotend_fan_rpm, top * hot_spin, dt_s),
    )


def _towards(now: float, goal: float, dt_s: float) -> float:
    share = 1.0 - float(np.exp(-dt_s / _SPIN_UP_S))
    return now + (goal - now) * share


def worn(truths: Iterable[Truth], now_ms: int) -> dict[str, float]:
    """Give how far each part's fault has grown, 0 to 1, of what is still fitted."""
    found: dict[str, float] = {}
    for truth in truths:
        if truth.repaired_ms is None:
            span = max(truth.due_ms - truth.onset_ms, 1)
            found[truth.component] = min(max((now_ms - truth.onset_ms) / span, 0.0), 1.0)
    return found
