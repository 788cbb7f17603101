"""A heated mass under ideal control with a limited heater, integrated exactly over a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from simulators.steps import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heated:
    """State at the end of a frame and means over it; degC and watts."""

    temp: Floats
    mean_temp: Floats
    mean_watts: Floats


def hold(
    *,
    temp: Floats,
    setpoint: Floats,
    ambient: Floats,
    loss: Floats,
    capacity: Floats,
    limit: Floats,
    dt_s: float,
) -> Heated:
    """Integrate C dT/dt = P - G (T - Ta) with the P that a perfect controller would choose.

    That is: full power below the setpoint, none above it, and the loss once it is reached, or full
    power for good where the loss exceeds the limit. Between those moments the equation is linear
    with constant terms, so the result is exact; what is neglected is a real controller's overshoot
    of a degree or two for some seconds, which a frame of minutes does not show. A setpoint below
    the ambient means off.

    All arrays have one shape: degC, W/K (`loss`), J/K (`capacity`), W (`limit`).
    """
    need = loss * (setpoint - ambient)
    wanted = need > 0.0
    drive = np.where(wanted & ((temp < setpoint) | (need > limit)), limit, 0.0)
    goal = ambient + drive / loss
    tau = capacity / loss
    reachable = wanted & (need <= limit)
    ramp_s = _seconds_to(temp, setpoint, goal, tau, reachable=reachable, dt_s=dt_s)
    span = goal - temp
    decay = np.exp(-ramp_s / tau)
    held_s = dt_s - ramp_s
    ramp_end = goal - span * decay
    held = held_s > 0.0
    area = goal * ramp_s - span * tau * (1.0 - decay)
    holding = np.minimum(np.maximum(need, 0.0), limit)
    return Heated(
        temp=np.where(held, setpoint, ramp_end),
        mean_temp=np.where(held, area + setpoint * held_s, area) / dt_s,
        mean_watts=(drive * ramp_s + holding * held_s) / dt_s,
    )


def _seconds_to(
    temp: Floats, setpoint: Floats, goal: Floats, tau: Floats, *, reachable: Bools, dt_s: float
) -> Floats:
    """Seconds until an exponential towards `goal` passes `setpoint`; `dt_s` if it does not."""
    span, rest = goal - temp, goal - setpoint
    crosses = (span * rest > 0.0) & (np.abs(span) >= np.abs(rest)) & reachable
    ratio = np.divide(span, rest, out=np.ones_like(span), where=crosses)
    return np.where(crosses, np.minimum(tau * np.log(ratio), dt_s), dt_s)
