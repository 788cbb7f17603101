"""The detectors: five statistics per frame, and how far each channel is behind each of them.

Rows n, channels c. Standardised residuals z that are unknown are 0 and count for nothing.
"""

from dataclasses import dataclass

import numpy as np

from models.anomaly.levels import FORGET, FORGET_FAST, USUAL_WANDER, Baseline
from models.anomaly.spec import Bools, Floats, Floats32
from models.anomaly.state import FAST, HIGH, LAST, LOW, MEAN, STIR

ALLOWANCE = 0.5
"""CUSUM's k: half the shift, in standard deviations, that is to be found soonest (Page, 1954)."""
CUSUM_TOP = 50.0
"""A CUSUM rises no further, so that it comes down soon after its cause has gone."""
CUSUM_CLIP = 4.0
Z_TOP = 12.0
"""A standardised residual is taken to be at most this."""
USUAL_STIR = 0.7978845608028654
"""sqrt(2 / pi): what |step| / its standard deviation is on average."""
REFRESH_FRAMES = 64
"""A device's precision matrix is worked out again after so many frames learnt."""
SHRINK_PER_CHANNEL = 4.0
"""The cohort's covariance counts for this many frames per channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """One frame's standardised residuals and the motion [n, 6, c] that they lead to."""

    z: Floats
    jumps: Floats
    """[n, c] successive difference over its standard deviation; 0 where unknown."""
    motion: Floats


def moved(
    motion: Floats,
    *,
    values: Floats,
    z: Floats,
    jumps: Floats,
    wander: Floats,
    known: Bools,
    stepped: Bools,
) -> Floats:
    """Advance last value, fast level, mean deviation, CUSUMs and stir by one frame.

    A CUSUM's deviations are scaled to unit long-run variance, as seen in the wander of the mean:
    otherwise the most strongly autocorrelated channel would always be the highest.
    """
    whitened = z * np.minimum(USUAL_WANDER / wander, 1.0)
    bounded = np.clip(whitened, -CUSUM_CLIP, CUSUM_CLIP)
    size = np.minimum(np.abs(jumps), CUSUM_CLIP)
    present = np.isfinite(values)
    after = motion.copy()
    after[:, LAST] = np.where(present, values, motion[:, LAST])
    fast = motion[:, FAST] + FORGET_FAST * (values - motion[:, FAST])
    after[:, FAST] = np.where(present, fast, motion[:, FAST])
    mean = motion[:, MEAN] + FORGET * (z - motion[:, MEAN])
    after[:, MEAN] = np.where(known, mean, motion[:, MEAN])
    high = np.clip(motion[:, HIGH] + bounded - ALLOWANCE, 0.0, CUSUM_TOP)
    after[:, HIGH] = np.where(known, high, motion[:, HIGH])
    low = np.clip(motion[:, LOW] - bounded - ALLOWANCE, 0.0, CUSUM_TOP)
    after[:, LOW] = np.where(known, low, motion[:, LOW])
    stir = motion[:, STIR] + FORGET * (size - USUAL_STIR - motion[:, STIR])
    after[:, STIR] = np.where(stepped, stir, motion[:, STIR])
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The statistics [n, k], never negative, and each channel's part [n, k, c] in them."""

    statistics: Floats
    parts: Floats


def gathered(
    residuals: Residuals, base: Baseline, climbs: Floats, precision: Floats, known: Bools
) -> Evidence:
    """Work out the five statistics of each frame in the order of `state.STATISTICS`.

    `climbs` [n, c] are the log-tails of the channels' CUSUMs, each by its own channel's table: a
    channel that wanders by nature would otherwise hide the shift of one that does not.
    """
    motion = residuals.motion
    present = np.maximum(known.sum(axis=1), 1)
    point, point_parts = _mahalanobis(residuals.z, precision)
    means = np.where(known, motion[:, MEAN] / base.wander, 0.0)
    mean, mean_parts = _mahalanobis(means, precision)
    jump = residuals.jumps * residuals.jumps
    stir = np.where(known, np.abs(motion[:, STIR]), 0.0)
    return Evidence(
        statistics=np.stack(
            [
                point / present,
                mean / present,
                climbs.max(axis=1),
                jump.max(axis=1),
                stir.max(axis=1) * 10.0,
            ],
            axis=1,
        ),
        parts=np.stack([point_parts, mean_parts, climbs * climbs, jump * jump, stir**4], axis=1),
    )


def _mahalanobis(z: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Z' P z, and what it falls by when one channel is left out: (P z)_i² / P_ii."""
    weighed = (precision * z[:, :, None]).sum(axis=1)
    distance = np.maximum((weighed * z).sum(axis=1), 0.0)
    diagonal = np.diagonal(precision, axis1=1, axis2=2)
    return distance, np.where(z != 0.0, weighed * weighed / diagonal, 0.0)


def shares(parts: Floats, log_tails: Floats) -> Floats:
    """[n, c] each channel's share of the evidence, weighing detectors by their log-tails."""
    total = np.maximum(parts.sum(axis=2, keepdims=True), 1e-300)
    weighed = (parts / total * log_tails[:, :, None]).sum(axis=1)
    whole: Floats = weighed / np.maximum(weighed.sum(axis=1, keepdims=True), 1e-300)
    return whole


def paired(pairs: Floats32, z: Floats, known: Bools, where: Bools, memory: float) -> Floats32:
    """Running covariance of residuals [n, 1 + c (c + 1) / 2], its weight first."""
    rows, columns = np.triu_indices(z.shape[1])
    bounded = np.clip(z, -CUSUM_CLIP, CUSUM_CLIP)
    weight = pairs[:, :1].astype(np.float64)
    rate = 1.0 / np.minimum(weight + 1.0, memory)
    use = known[:, rows] & known[:, columns] & where[:, None]
    change = np.where(use, bounded[:, rows] * bounded[:, columns] - pairs[:, 1:], 0.0)
    after = np.concatenate([weight + where[:, None], pairs[:, 1:] + rate * change], axis=1)
    return after.astype(np.float32)


def precisions(pairs: Floats32, cohort: Floats) -> Floats32:
    """Inverse covariances [n, c, c] of `pairs`, shrunk to the cohort's [n, c, c].

    Gauss-Jordan elimination without pivoting, which positive definite matrices do not need;
    elementwise over the rows, unlike a BLAS call.
    """
    channels = cohort.shape[1]
    rows, columns = np.triu_indices(channels)
    own = np.empty(cohort.shape)
    own[:, rows, columns] = own[:, columns, rows] = pairs[:, 1:]
    weight = pairs[:, 0].astype(np.float64)[:, None, None]
    pull = SHRINK_PER_CHANNEL * channels
    matrix = (weight * own + pull * cohort) / (weight + pull) + 0.02 * np.eye(channels)
    for pivot in range(channels):
        matrix = _swept(matrix, pivot)
    return matrix.astype(np.float32)


def _swept(matrix: Floats, pivot: int) -> Floats:
    row = matrix[:, pivot : pivot + 1, :] / matrix[:, pivot : pivot + 1, pivot : pivot + 1]
    column = matrix[:, :, pivot : pivot + 1]
    after = matrix - column * row
    after[:, pivot : pivot + 1, :] = row
    after[:, :, pivot : pivot + 1] = -column / matrix[:, pivot : pivot + 1, pivot : pivot + 1]
    after[:, pivot, pivot] = 1.0 / matrix[:, pivot, pivot]
    return after
