"""How far a device stands from its own baseline, blended with what its cohort taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.features.spec import BASELINE_OF, BASELINES, LEVELS, RING, SHORT, WINDOWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.features import FeatureSpec

    Floats = NDArray[np.float64]

PRIOR_BLOCKS = 6.0
"""Blocks of a device's own that weigh as much as its cohort."""
OWN_BLOCKS = 3
"""Blocks below which a device's own baseline is not used."""
LIMIT = 12.0
"""Deviations are clipped here: beyond it, more says nothing new."""
SCALE_FLOOR = 0.2
"""Share of the cohort's usual scale that a device's own scale may not fall below."""
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPrior:
    """Where devices of a cohort stand; each [b, c] over baselines and channels, NaN if unknown.

    `scale` is one device's own spread over blocks, `between` the spread of devices' centres.
    """

    centre: Floats
    scale: Floats
    between: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Rows against their baselines: `z`, `now`, `usual`, `sigma`, each [m, l, c]."""

    z: Floats
    now: Floats
    usual: Floats
    sigma: Floats


def learn_prior(
    spec: FeatureSpec, device: NDArray[np.int64], values: NDArray[np.float32]
) -> CohortPrior:
    """Return the prior of a cohort from the last row of each device (rows in order of time)."""
    last = len(device) - 1 - np.unique(device[::-1], return_index=True)[1]
    centre, scale, count = (_part(spec, values[last], n) for n in ("centre", "scale", "count"))
    known = count > OWN_BLOCKS
    middle = _median(centre, known)
    return CohortPrior(
        centre=middle,
        scale=_median(scale, known),
        between=MAD_TO_SIGMA * _median(np.abs(centre - middle), known),
    )


def compare(spec: FeatureSpec, prior: CohortPrior, values: NDArray[np.float32]) -> Compared:
    """Return every level of every channel against the blended baseline.

    The own centre and variance weigh n / (n + 6) after n blocks, the cohort's the rest, whose
    variance then includes how much devices differ from one another. A window's mean counts with the
    square root of how full the window is, and less while the baseline rests on few blocks: the
    noise of a difference of two means.
    """
    own, sigma, count = (_part(spec, values, name) for name in ("centre", "scale", "count"))
    told = np.isfinite(prior.centre)
    weight = np.where(count >= OWN_BLOCKS, count / (count + PRIOR_BLOCKS), 0.0)
    weight = np.where(told, weight, np.where(count >= OWN_BLOCKS, 1.0, np.nan))
    total = prior.scale**2 + prior.between**2
    usual = weight * own + (1.0 - weight) * np.where(told, prior.centre, 0.0)
    variance = weight * sigma**2 + (1.0 - weight) * np.where(told, total, 0.0)
    floor = np.where(told, SCALE_FLOOR * prior.scale, 0.0) + 1e-9
    sigma = np.maximum(np.sqrt(variance), floor)
    at = np.array(BASELINE_OF)
    now = values[:, spec.parts["level"]].astype(float)
    now = now.reshape(len(values), len(LEVELS), len(spec.channels))
    z = np.clip((now - usual[:, at]) / sigma[:, at], -LIMIT, LIMIT)
    filled = values[:, spec.parts["filled"]].reshape(len(values), len(WINDOWS), -1)
    for i, (name, blocks) in enumerate(zip(WINDOWS, (SHORT, RING), strict=True)):
        learnt = count[:, 0] + PRIOR_BLOCKS * told[0]
        noise = 1.0 + blocks * filled[:, i] / np.maximum(learnt, 1.0)
        z[:, LEVELS.index(name)] *= np.sqrt(filled[:, i] / noise)
    return Compared(z=z, now=now, usual=usual[:, at], sigma=sigma[:, at])


def _part(spec: FeatureSpec, values: NDArray[np.float32], name: str) -> Floats:
    part = values[:, spec.parts[name]].astype(float)
    return part.reshape(len(values), len(BASELINES), len(spec.channels))


def _median(x: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return medians over devices of what is known; NaN where nothing is; [b, c]."""
    out = np.full(x.shape[1:], np.nan)
    for b, c in np.ndindex(*out.shape):
        told = x[known[:, b, c], b, c]
        if len(told):
            out[b, c] = np.median(told)
    return out
