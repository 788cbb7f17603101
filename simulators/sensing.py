"""From physical quantities to what a firmware reports: noise, bursts, resolution, drop-outs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.values import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.wire import Channel
    from simulators.specs import Sensor
    from simulators.steps import Floats, Ints, Shorts

BURSTS_PER_H: Final = 1 / 70
"""Engineering estimate: interference for some minutes, about every third day."""
BURST_GAIN: Final = 5.0
DROPOUT: Final = 6e-5
"""Share of readings that are missing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensing:
    """Constants as columns [c, 1]; `scale` is ten to the number of decimals."""

    noise: Floats
    relative: Floats
    scale: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What is reported: values [n, c], quality [n], and frames left of each burst [n]."""

    values: Floats
    quality: Shorts
    burst_left: Ints


def sensing(channels: Sequence[Channel], sensors: Sequence[Sensor]) -> Sensing:
    """Lay the sensors' constants out for arithmetic on [c, n]."""

    def column(numbers: Sequence[float]) -> Floats:
        return np.asarray(numbers, dtype=np.float64)[:, None]

    return Sensing(
        noise=column([s.noise for s in sensors]),
        relative=column([s.relative for s in sensors]),
        scale=column([10.0**s.decimals for s in sensors]),
        low=column([-np.inf if c.low is None else c.low for c in channels]),
        high=column([np.inf if c.high is None else c.high for c in channels]),
    )


def read(
    truth: Floats,
    sensing: Sensing,
    unit_noise: Floats,
    burst_left: Ints,
    rng: np.random.Generator,
    dt_s: float,
) -> Reading:
    """Read true values [c, n], NaN where nothing came through; always draws as many variates."""
    n = truth.shape[1]
    u = rng.random((3, n))
    starts = (burst_left <= 0) & (u[0] < BURSTS_PER_H * dt_s / 3600.0)
    left = np.where(starts, 2 + (u[1] * 5).astype(np.int64), burst_left - 1)
    loud = unit_noise * np.where(left > 0, BURST_GAIN, 1.0)
    z = rng.standard_normal(truth.shape)
    noisy = truth + loud * z * (sensing.noise + sensing.relative * truth)
    kept = np.minimum(np.maximum(noisy, sensing.low), sensing.high)
    values = np.ascontiguousarray((np.rint(kept * sensing.scale) / sensing.scale + 0.0).T)
    lost = u[2] < DROPOUT * truth.shape[0]
    blind = np.isnan(truth).any(axis=0)
    quality = np.where(blind, Quality.SUSPECT, Quality.GOOD).astype(np.int16)
    if lost.any():
        _drop(values, quality, lost, u[1])
    return Reading(values=values, quality=quality, burst_left=left)


def _drop(values: Floats, quality: Shorts, lost: Ints, which: Floats) -> None:
    rows = np.flatnonzero(lost)
    values[rows, (which[rows] * values.shape[1]).astype(np.int64)] = np.nan
    quality[rows] = Quality.SUSPECT
