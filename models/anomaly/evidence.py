"""The detectors: five statistics per frame, and how far each channel is behind each of them.

Rows n, channels c. Standardised residuals z that are unknown are 0 and count for nothing. Sums over
channels are `einsum`s, whose result for a row does not depend on the other rows; BLAS's would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from models.anomaly.levels import FORGET, FORGET_FAST, USUAL_WANDER, Baseline, Reals
from models.anomaly.spec import Bools, Floats, Floats32, Ints
from models.anomaly.state import FAST, HIGH, LAST, LOW, MEAN, STIR

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
    """One frame against what was to be expected; all [n, c], 0 where unknown."""

    values: Floats
    z: Floats32
    """Residual over its standard deviation."""
    jumps: Floats32
    """Successive difference over its standard deviation."""
    known: Bools
    stepped: Bools
    """The difference is known too."""

    def rows(self, which: Ints) -> "Deviations":
        """Some of the frames."""
        return Deviations(**{name: getattr(self, name)[which] for name in self.__slots__})


def deviations(
    values: Floats, residuals: Floats32, steps: Floats32, base: Baseline, known: Bools
) -> Deviations:
    """Standardise residuals and steps [n, c], NaN where unknown."""
    stepped = known & np.isfinite(steps)
    return Deviations(
        values=values,
        z=np.where(known, np.clip(residuals / base.spread, -Z_TOP, Z_TOP), _NOTHING),
        jumps=np.where(stepped, np.clip(steps / base.step, -Z_TOP, Z_TOP), _NOTHING),
        known=known,
        stepped=stepped,
    )


def moved(
    motion: Floats, trend: Floats32, frame: Deviations, wander: Floats32
) -> tuple[Floats, Floats32]:
    """Advance `motion` [n, 2, c] and `trend` [n, 4, c] by one frame.

    A CUSUM's deviations are scaled to unit long-run variance, as seen in the wander of the mean:
    otherwise the most strongly autocorrelated channel would always be the highest.
    """
    values, fast = frame.values, motion[:, FAST]
    later = np.empty_like(motion)
    later[:, LAST] = values
    later[:, FAST] = np.where(np.isfinite(values), fast + FORGET_FAST * (values - fast), fast)
    whitened = frame.z * np.minimum(USUAL_WANDER / wander, 1.0)
    bounded = np.clip(whitened, -CUSUM_CLIP, CUSUM_CLIP)
    size = np.minimum(np.abs(frame.jumps), CUSUM_CLIP)
    mean, high, low, stir = (trend[:, row] for row in (MEAN, HIGH, LOW, STIR))
    after = np.empty_like(trend)
    after[:, MEAN] = np.where(frame.known, mean + FORGET * (frame.z - mean), mean)
    after[:, HIGH] = np.where(frame.known, np.clip(high + bounded - ALLOWANCE, 0, CUSUM_TOP), high)
    after[:, LOW] = np.where(frame.known, np.clip(low - bounded - ALLOWANCE, 0, CUSUM_TOP), low)
    after[:, STIR] = np.where(frame.stepped, stir + FORGET * (size - USUAL_STIR - stir), stir)
    return later, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The statistics [n, k], never negative, and each channel's part [n, c] in each."""

    statistics: Floats
    parts: tuple[Floats32, ...]


def gathered(
    frame: Deviations, trend: Floats32, wander: Floats32, climbs: Floats, precision: Floats32
) -> Evidence:
    """Work out the five statistics of each frame in the order of `state.STATISTICS`.

    `climbs` [n, c] are the log-tails of the channels' CUSUMs, each by its own channel's table: a
    channel that wanders by nature would otherwise hide the shift of one that does not. NaN is
    unknown; a frame of which no climb is known has no CUSUM statistic.
    """
    present = np.maximum(frame.known.sum(axis=1), 1)
    point, point_parts = _mahalanobis(frame.z, precision)
    mean, mean_parts = _mahalanobis(
        np.where(frame.known, trend[:, MEAN] / wander, _NOTHING), precision
    )
    jump = frame.jumps * frame.jumps
    stir = np.where(frame.known, np.abs(trend[:, STIR]), _NOTHING)
    climb = _largest(np.where(np.isnan(climbs), -1.0, climbs))
    figures = [
        point / present,
        mean / present,
        np.where(climb < 0, np.nan, climb),
        _largest(jump),
        _largest(stir) * 10.0,
    ]
    climbed = np.where(np.isnan(climbs), 0.0, climbs).astype(np.float32)
    stirred = stir * stir
    return Evidence(
        statistics=np.stack(figures, axis=1).astype(np.float64),
        parts=(point_parts, mean_parts, climbed * climbed, jump * jump, stirred * stirred),
    )


def _largest(values: Reals) -> Reals:
    """Give each row's largest value: in half the time of a maximum over short rows."""
    largest: Reals = values[np.arange(len(values)), values.argmax(axis=1)]
    return largest


def _mahalanobis(z: Floats32, precision: Floats32) -> tuple[Floats32, Floats32]:
    """Z' P z, and what it falls by when one channel is left out: (P z)_i² / P_ii."""
    weighed = np.einsum("nij,nj->ni", precision, z)
    distance = np.maximum(np.einsum("ni,ni->n", weighed, z), _NOTHING)
    diagonal = np.einsum("nii->ni", precision)
    return distance, np.where(z != 0.0, weighed * weighed / diagonal, _NOTHING)


def shares(parts: Sequence[Floats32], log_tails: Floats) -> Floats32:
    """Share each frame's evidence out to its channels [n, c], detectors weighed by log-tail."""
    weighed = np.zeros_like(parts[0])
    for part, log_tail in zip(parts, log_tails.T, strict=True):
        total = np.maximum(np.einsum("nc->n", part), _TINY)
        weighed += part * (log_tail / total).astype(np.float32)[:, None]
    whole: Floats32 = weighed / np.maximum(np.einsum("nc->n", weighed), _TINY)[:, None]
    return whole


def paired(pairs: Floats32, frame: Deviations, memory: float) -> Floats32:
    """Update the running covariance of residuals [n, 1 + c (c + 1) / 2], its weight first."""
    rows, columns = _triangle(frame.z.shape[1])
    bounded = np.clip(frame.z, -CUSUM_CLIP, CUSUM_CLIP)
    weight = pairs[:, :1].astype(np.float64)
    rate = 1.0 / np.minimum(weight + 1.0, memory)
    use = frame.known[:, rows] & frame.known[:, columns]
    change = np.where(use, bounded[:, rows] * bounded[:, columns] - pairs[:, 1:], 0.0)
    after = np.concatenate([weight + 1.0, pairs[:, 1:] + rate * change], axis=1)
    return np.asarray(after, np.float32)


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
        matrix = _swept(matrix, pivot)
    return np.asarray(matrix[:, rows, columns], np.float32)


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


def _swept(matrix: Floats, pivot: int) -> Floats:
    at = slice(pivot, pivot + 1)
    corner = matrix[:, at, at]
    row, column = matrix[:, at, :] / corner, matrix[:, :, at]
    after = matrix - column * row
    after[:, at, :] = row
    after[:, :, at] = -column / corner
    after[:, at, at] = 1.0 / corner
    return after
