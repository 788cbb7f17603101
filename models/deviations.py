"""How far a device stands from its own baseline, blended with what its cohort taught."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
RIDGE = 0.1
"""Added to the variance of each channel's standardised deviations, against chance relations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPrior:
    """Where devices of a cohort stand; each [b, c] over baselines and channels, NaN if unknown.

    `scale` is one device's own spread over blocks, `between` the spread of devices' centres.
    `mix[l, c, c]` turns the deviations of one level into what each channel does beyond what the
    others explain (fan speed beyond the command, power beyond the target and the flow).
    """

    centre: Floats
    scale: Floats
    between: Floats
    mix: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Rows against their baselines: `z`, `beyond`, `now`, `usual`, `sigma`, each [m, l, c].

    `beyond` is the part of z that the other channels do not explain.
    """

    z: Floats
    beyond: Floats
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
        mix=np.repeat(np.eye(len(spec.channels))[None], len(LEVELS), axis=0),
    )


def learn_mix(prior: CohortPrior, z: Floats) -> CohortPrior:
    """Return the prior with the relations between channels that healthy rows z[m, l, c] show.

    Regresses each channel on all others at once: with the precision matrix P of their deviations,
    what is left of channel j is (P z)_j / P_jj. Ridge-shrunk towards no relation.
    """
    known = np.nan_to_num(z)
    sigma = np.maximum(known.std(axis=0), 1e-3) if len(z) else np.ones(z.shape[1:])
    mixes = []
    for level in range(z.shape[1]):
        x = known[:, level] / sigma[level]
        spread = np.einsum("mi,mj->ij", x, x) / max(len(x), 1)
        precision = np.linalg.inv(spread + RIDGE * np.eye(len(spread)))
        relation = precision / np.diag(precision)[:, None]
        mixes.append(relation * sigma[level][:, None] / sigma[level][None, :])
    return replace(prior, mix=np.stack(mixes))


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
    filled = values[:, spec.parts["filled"]].reshape(len(values), len(WINDOWS), len(spec.channels))
    for i, (name, blocks) in enumerate(zip(WINDOWS, (SHORT, RING), strict=True)):
        learnt = count[:, 0] + PRIOR_BLOCKS * told[0]
        noise = 1.0 + blocks * filled[:, i] / np.maximum(learnt, 1.0)
        z[:, LEVELS.index(name)] *= np.sqrt(filled[:, i] / noise)
    beyond = np.einsum("lij,mlj->mli", prior.mix, np.nan_to_num(z))
    beyond = np.where(np.isfinite(z), beyond, np.nan)
    return Compared(z=z, beyond=beyond, now=now, usual=usual[:, at], sigma=sigma[:, at])


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
