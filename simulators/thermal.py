"""Heated masses under control: a PID with PWM in short frames, its exact mean in long ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.steps import Bools, Floats

PID_UP_TO_S: Final = 10.0
"""Longest frame whose control is followed step by step; a longer one is integrated exactly."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plant:
    """Lumped thermal masses: degC around, W/K lost, J/K held, and W at full duty; all one shape."""

    ambient: Floats
    loss: Floats
    capacity: Floats
    limit: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pid:
    """Gains as columns [h, 1] of duty: per K, per K s, s per K; period, smoothing, levels."""

    kp: Floats
    ki: Floats
    kd: Floats
    every_s: float
    smooth_s: float
    levels: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heated:
    """State at the end of a frame and means over it; degC, watts, duty, K/s."""

    temp: Floats
    mean_temp: Floats
    mean_watts: Floats
    integral: Floats
    rate: Floats


def pid(table: Mapping[str, Mapping[str, Any]], heaters: Sequence[str]) -> Pid:
    """Read the gains of some heaters; the file gives them as firmwares do, in 255ths of duty."""

    def column(gain: str) -> Floats:
        return np.asarray([[table[f"{heater}_{gain}"]["value"] / 255.0] for heater in heaters])

    return Pid(
        kp=column("kp"),
        ki=column("ki"),
        kd=column("kd"),
        every_s=float(table["every"]["value"]),
        smooth_s=float(table["smooth"]["value"]),
        levels=float(table["levels"]["value"]),
    )


def control(
    plant: Plant,
    gains: Pid,
    *,
    temp: Floats,
    integral: Floats,
    rate: Floats,
    setpoint: Floats,
    dt_s: float,
) -> Heated:
    """Control heated masses over one frame, step by step or exactly, as its length asks for."""
    if dt_s <= PID_UP_TO_S:
        return regulate(
            plant, gains, temp=temp, integral=integral, rate=rate, setpoint=setpoint, dt_s=dt_s
        )
    return hold(plant, temp=temp, setpoint=setpoint, dt_s=dt_s)


def regulate(
    plant: Plant,
    gains: Pid,
    *,
    temp: Floats,
    integral: Floats,
    rate: Floats,
    setpoint: Floats,
    dt_s: float,
) -> Heated:
    """Follow a PID with PWM: duty in so many levels, integral held while the duty is at an end.

    Between two decisions C dT/dt = P - G (T - Ta) is linear and solved exactly. A setpoint of 0
    means off. `integral` is in duty, `rate` in K/s as last seen.
    """
    steps = max(1, round(dt_s / gains.every_s))
    each_s, tau = dt_s / steps, plant.capacity / plant.loss
    decay = np.exp(-each_s / tau)
    on = setpoint > 0.0
    heat, watts = np.zeros_like(temp), np.zeros_like(temp)
    for _ in range(steps):
        error = setpoint - temp
        summed = np.clip(integral + gains.ki * error * each_s, 0.0, 1.0)
        wanted = gains.kp * error + summed - gains.kd * rate
        duty = np.where(on, np.rint(np.clip(wanted, 0.0, 1.0) * gains.levels) / gains.levels, 0.0)
        free = (wanted > 0.0) & (wanted < 1.0)
        integral = np.where(on, np.where(free, summed, integral), 0.0)
        goal = plant.ambient + duty * plant.limit / plant.loss
        after = goal + (temp - goal) * decay
        heat += goal * each_s + (temp - after) * tau
        rate = rate + ((after - temp) / each_s - rate) * min(1.0, each_s / gains.smooth_s)
        temp = after
        watts += duty * plant.limit * each_s
    return Heated(
        temp=temp,
        mean_temp=heat / dt_s,
        mean_watts=watts / dt_s,
        integral=integral,
        rate=rate,
    )


def hold(plant: Plant, *, temp: Floats, setpoint: Floats, dt_s: float) -> Heated:
    """Integrate C dT/dt = P - G (T - Ta) with the P that a perfect controller would choose.

    That is: full power below the setpoint, none above it, and the loss once it is reached, or full
    power for good where the loss exceeds the limit. Between those moments the equation is linear
    with constant terms, so the result is exact; what is neglected is a real controller's overshoot
    of a degree or two for some seconds, which a frame of minutes does not show. A setpoint below
    the ambient means off.
    """
    need = plant.loss * (setpoint - plant.ambient)
    wanted = need > 0.0
    drive = np.where(wanted & ((temp < setpoint) | (need > plant.limit)), plant.limit, 0.0)
    goal = plant.ambient + drive / plant.loss
    tau = plant.capacity / plant.loss
    reachable = wanted & (need <= plant.limit)
    ramp_s = _seconds_to(temp, setpoint, goal, tau, reachable=reachable, dt_s=dt_s)
    span = goal - temp
    decay = np.exp(-ramp_s / tau)
    held_s = dt_s - ramp_s
    ramp_end = goal - span * decay
    held = held_s > 0.0
    area = goal * ramp_s - span * tau * (1.0 - decay)
    holding = np.minimum(np.maximum(need, 0.0), plant.limit)
    mean_watts = (drive * ramp_s + holding * held_s) / dt_s
    return Heated(
        temp=np.where(held, setpoint, ramp_end),
        mean_temp=np.where(held, area + setpoint * held_s, area) / dt_s,
        mean_watts=mean_watts,
        integral=np.where(wanted, holding / plant.limit, 0.0),
        rate=np.zeros_like(temp),
    )


def _seconds_to(
    temp: Floats, setpoint: Floats, goal: Floats, tau: Floats, *, reachable: Bools, dt_s: float
) -> Floats:
    """Seconds until an exponential towards `goal` passes `setpoint`; `dt_s` if it does not."""
    span, rest = goal - temp, goal - setpoint
    crosses = (span * rest > 0.0) & (np.abs(span) >= np.abs(rest)) & reachable
    ratio = np.divide(span, rest, out=np.ones_like(span), where=crosses)
    return np.where(crosses, np.minimum(tau * np.log(ratio), dt_s), dt_s)


def towards(before: Floats, goal: Floats, dt_s: float, tau_s: float) -> Floats:
    """Move a first-order quantity on by one frame."""
    return np.asarray(before + (goal - before) * (1.0 - math.exp(-dt_s / tau_s)))
