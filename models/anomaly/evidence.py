"""The detectors: five statistics per frame, and how far each channel is behind each of them.

Channels c, frames n. Standardised residuals z that are unknown are 0 and count for nothing. Sums
over channels are `summed`, whose result for a frame does not depend on the others; BLAS's would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from models.anomaly.levels import FORGET, FORGET_FAST, USUAL_WANDER, Baseline
from models.anomaly.spec import Bools, Floats, Floats32, Ints
from models.anomaly.state import FAST, HIGH, LAST, LOW, MEAN, STIR
from models.channelwise import summed

ALLOWANCE = 0.5
"""CUSUM's k: half the shift, in standard deviations, that is to be found soonest (Page, 1954)."""
CUSUM_TOP = 50.0
"""A CUSUM rises no further, so that it comes down soon after its cause has gone."""
CUSUM_CLIP = 4.0
Z_TOP = 40.0
"""A standardised residual is taken to be at most this."""
USUAL_STIR = 0.7978845608028654
"""sqrt(2 / pi): what |step| / its standard deviation is on average."""
REFRESH_FRAMES = 16
"""A device's precision matrix is worked out again after so many frames entered its covariance."""
SHRINK_PER_CHANNEL = 1.0
"""The cohort's covariance counts for this many such frames per channel."""
RIDGE = 0.02
"""Variance added to every channel, so that copies of one channel can be told from a fault."""
_TINY = np.float32(1e-30)
_NOTHING = np.float32(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviations:
    """Frames against what was to be expected; all [c, n], 0 where unknown."""

    values: Floats
    z: Floats32
    """Residual over its standard deviation."""
    jumps: Floats32
    """Successive difference over its standard deviation."""
    known: Bools
    stepped: Bools
    """The difference is known too."""


def deviations(
    values: Floats, residuals: Floats32, steps: Floats32, base: Baseline, known: Bools
) -> Deviations:
    """Standardise residuals and steps [c, n], NaN where unknown."""
    stepped = known & np.isfinite(steps)
    return Deviations(
        values=values,
        z=np.where(known, _within(residuals / base.spread, Z_TOP), _NOTHING),
        jumps=np.where(stepped, _within(steps / base.step, Z_TOP), _NOTHING),
        known=known,
        stepped=stepped,
    )


def moved(
    motion: Floats, trend: Floats32, frame: Deviations, wander: Floats32
) -> tuple[Floats, Floats32]:
    """Advance `motion` [2, c, n] and `trend` [4, c, n] by one frame.

    A CUSUM's deviations are scaled to unit long-run variance, as seen in the wander of the mean:
    otherwise the most strongly autocorrelated channel would always be the highest.
    """
    values, fast = frame.values, motion[FAST]
    later = np.empty_like(motion)
    later[LAST] = values
    later[FAST] = np.where(np.isfinite(values), fast + FORGET_FAST * (values - fast), fast)
    whitened = frame.z * np.minimum(USUAL_WANDER / wander, 1.0)
    bounded = _within(whitened, CUSUM_CLIP)
    size = np.minimum(np.abs(frame.jumps), CUSUM_CLIP)
    mean, high, low, stir = (trend[row] for row in (MEAN, HIGH, LOW, STIR))
    after = np.empty_like(trend)
    after[MEAN] = np.where(frame.known, mean + FORGET * (frame.z - mean), mean)
    after[HIGH] = np.where(frame.known, _piled(high + bounded), high)
    after[LOW] = np.where(frame.known, _piled(low - bounded), low)
    after[STIR] = np.where(frame.stepped, stir + FORGET * (size - USUAL_STIR - stir), stir)
    return later, after


def _within(values: Floats32, most: float) -> Floats32:
    bounded: Floats32 = np.minimum(np.maximum(values, -most), most)
    return bounded


def _piled(risen: Floats32) -> Floats32:
    piled: Floats32 = np.minimum(np.maximum(risen - ALLOWANCE, _NOTHING), CUSUM_TOP)
    return piled


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The statistics [k, n], never negative, and each channel's part [c, n] in each."""

    statistics: Floats32
    parts: tuple[Floats32, ...]


def gathered(
    frame: Deviations, trend: Floats32, wander: Floats32, climbs: Floats32, precision: Floats32
) -> Evidence:
    """Work out the five statistics of each frame in the order of `state.STATISTICS`.

    `climbs` [c, n] are the log-tails of the channels' CUSUMs, each by its own channel's table: a
    channel that wanders by nature would otherwise hide the shift of one that does not. NaN is
    unknown; a frame of which no climb is known has no CUSUM statistic. `precision` [c, c, n].
    """
    present = np.maximum(frame.known.sum(axis=0), 1).astype(np.float32)
    means = np.where(frame.known, trend[MEAN] / wander, _NOTHING)
    (point, mean), (point_parts, mean_parts) = _mahalanobis(frame.z, means, precision)
    jump = frame.jumps * frame.jumps
    stir = np.where(frame.known, np.abs(trend[STIR]), _NOTHING)
    climb = np.where(np.isnan(climbs), np.float32(-1.0), climbs).max(axis=0)
    figures = [
        point / present,
        mean / present,
        np.where(climb < 0, np.float32(np.nan), climb),
        jump.max(axis=0),
        stir.max(axis=0) * 10.0,
    ]
    climbed = np.where(np.isnan(climbs), _NOTHING, climbs)
    stirred = stir * stir
    return Evidence(
        statistics=np.stack(figures),
        parts=(point_parts, mean_parts, climbed * climbed, jump * jump, stirred * stirred),
    )


def _mahalanobis(point: Floats32, mean: Floats32, precision: Floats32) -> tuple[Floats32, Floats32]:
    """Z' P z [2, n] of both, and what leaving one channel out takes off: (P z)_i² / P_ii."""
    z = np.stack([point, mean], axis=1)
    weighed = precision[0][:, None] * z[0]
    for row, of_row in zip(precision[1:], z[1:], strict=True):
        weighed += row[:, None] * of_row
    distance = np.maximum(summed(weighed * z), _NOTHING)
    diagonal = np.einsum("iin->in", precision)[:, None]
    parts = np.where(z != 0.0, weighed * weighed / diagonal, _NOTHING)
    return distance, parts.transpose(1, 0, 2)


def shares(parts: Sequence[Floats32], log_tails: Floats32) -> Floats32:
    """Share each frame's evidence out to its channels [c, n], detectors [k, n] by log-tail."""
    weighed = np.zeros_like(parts[0])
    for part, log_tail in zip(parts, log_tails, strict=True):
        total = np.maximum(summed(part), _TINY)
        weighed += part * (log_tail / total).astype(np.float32)
    return np.asarray(weighed / np.maximum(summed(weighed), _TINY), np.float32)


def paired(pairs: Floats32, z: Floats32, known: Bools, memory: float) -> Floats32:
    """Update the running covariance [1 + c (c + 1) / 2, n] of residuals, its weight first.

    With a channel that is unknown another's covariance fades, as its own variance does: one that is
    seldom known would otherwise make the matrix indefinite.
    """
    rows, columns = _triangle(len(z))
    bounded = _within(z, CUSUM_CLIP)
    rate = (1.0 / np.minimum(pairs[0] + 1.0, memory)).astype(np.float32)
    change = bounded[rows] * bounded[columns]
    change *= known[rows] & known[columns]
    change -= pairs[1:]
    change *= rate
    change *= known[rows] | known[columns]
    after = pairs.copy()
    after[0] += 1.0
    after[1:] += change
    return after


def precisions(pairs: Floats32, cohort: Floats) -> Floats32:
    """Invert the covariances of `pairs`, shrunk to the cohort's [n, c, c]; upper triangles.

    Gauss-Jordan elimination without pivoting, which positive definite matrices do not need;
    elementwise over the rows, unlike a BLAS call.
    """
    channels = cohort.shape[1]
    rows, columns = _triangle(channels)
    own = unfolded(pairs[:, 1:], channels).astype(np.float64)
    weight = pairs[:, 0].astype(np.float64)[:, None, None]
    pull = SHRINK_PER_CHANNEL * channels
    matrix = (weight * own + pull * cohort) / (weight + pull) + RIDGE * np.eye(channels)
    for pivot in range(channels):
        matrix = swept(matrix, pivot)
    return np.asarray(matrix[:, rows, columns], np.float32)


def unfolded_last(triangles: Floats32, channels: int) -> Floats32:
    """Make symmetric matrices [c, c, n] of their upper triangles [c (c + 1) / 2, n]."""
    whole: Floats32 = np.take(triangles, _unfolding(channels), axis=0)
    return whole.reshape(channels, channels, -1)


def unfolded(triangles: Floats32, channels: int) -> Floats32:
    """Make symmetric matrices [n, c, c] of their upper triangles [n, c (c + 1) / 2].

    Rows lie one after another, for one row as for many: the order in which sums are taken follows
    the layout in memory, and indexing columns would turn it round as soon as there are two.
    """
    whole: Floats32 = np.take(triangles, _unfolding(channels), axis=1)
    return whole.reshape(len(triangles), channels, channels)


@cache
def _triangle(channels: int) -> tuple[Ints, Ints]:
    return np.triu_indices(channels)


@cache
def _unfolding(channels: int) -> Ints:
    rows, columns = np.triu_indices(channels)
    place = np.empty((channels, channels), np.int64)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return place.ravel()


def swept(matrix: Floats, pivot: int) -> Floats:
    """Take one step of Gauss-Jordan elimination on matrices [n, c, c]; all c of them invert."""
    at = slice(pivot, pivot + 1)
    corner = matrix[:, at, at]
    row, column = matrix[:, at, :] / corner, matrix[:, :, at]
    after = matrix - column * row
    after[:, at, :] = row
    after[:, :, at] = -column / corner
    after[:, at, at] = 1.0 / corner
    return after
