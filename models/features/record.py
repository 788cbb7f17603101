"""The record kept per device, and the arithmetic on blocks of frames; pure but for `learn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.features.spec import BASELINES, RING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.features.spec import FeatureSpec

    Floats = NDArray[np.float64]

PHASES = 3
QUICK = 4
"""Quickly forgetting means: spread, peak, heating, rest."""
QUICK_RATE = 1.0 / 6.0
LEARNING = 8
"""Values a baseline takes as they come, before it trusts its scale enough to clip."""
ABS_TO_SIGMA = 1.2533
"""Standard deviation over mean absolute deviation of a normal variable, sqrt(pi / 2)."""


def record_type(spec: FeatureSpec) -> np.dtype[np.void]:
    """Return the layout of one device's state."""
    c, q, k = len(spec.channels), len(spec.codes) + 1, len(spec.components)
    return np.dtype(
        [
            ("block_end", "<i8"),
            ("started", "<i8"),
            ("installed", "<i8", (k,)),
            ("last_event", "<i8", (q,)),
            ("n", "<u4", (PHASES, c)),
            ("sum", "<f8", (PHASES, c)),
            ("square", "<f8", (c,)),
            ("peak", "<f8", (c,)),
            ("last", "<f8", (c,)),
            ("quick", "<f8", (QUICK, c)),
            ("centre", "<f8", (len(BASELINES), c)),
            ("scale", "<f8", (len(BASELINES), c)),
            ("count", "<u2", (len(BASELINES), c)),
            ("ring", "<f4", (RING, c)),
            ("frames", "<u4", (2,)),
            ("events", "u1", (RING, q)),
            ("working", "<f4"),
            ("missing", "<f4"),
            ("score", "<f4"),
            ("scores", "<f4", (RING,)),
        ]
    )


def blank(spec: FeatureSpec, devices: int) -> NDArray[np.void]:
    """Return records of devices of which nothing is known."""
    records = np.zeros(devices, dtype=record_type(spec))
    for name in ("last", "quick", "ring", "working", "missing", "score", "scores"):
        records[name] = np.nan
    records["peak"] = -np.inf
    return records


def mean(total: Floats, n: NDArray[np.uint32]) -> Floats:
    """Return total / n, NaN where nothing was counted."""
    out = np.full(total.shape, np.nan)
    np.divide(total, n, out=out, where=n > 0)
    return out


def deviation(total: Floats, square: Floats, n: NDArray[np.uint32]) -> Floats:
    """Return the standard deviation from shifted sums; NaN under two values."""
    count = np.maximum(n, 2).astype(float)
    variance = np.maximum(square - total * total / count, 0.0) / (count - 1.0)
    return np.where(n > 1, np.sqrt(variance), np.nan)


def follow(old: Floats, new: Floats, rate: float) -> Floats:
    """Return an exponentially weighted mean that begins at its first value and skips NaN."""
    moved = np.where(np.isnan(old), new, old + rate * (new - old))
    return np.where(np.isnan(new), old, moved)


def learn(
    centre: Floats, scale: Floats, count: NDArray[np.uint16], x: Floats, memory: int
) -> tuple[Floats, Floats, NDArray[np.uint16]]:
    """Return a slow robust baseline after one more value per channel; NaN teaches nothing.

    A running mean and mean absolute deviation for `memory` values, exponentially forgetting
    afterwards; after the first eight, a value counts for at most three scales (winsorised), so a
    developing fault moves its own baseline only slowly.
    """
    known = np.isfinite(x)
    n = np.minimum(count + 1, memory).astype(float)
    step = np.where(known & (count > 0), x - centre, 0.0)
    limit = 3.0 * scale + 1e-3 * np.abs(centre) + 1e-12
    step = np.where(count >= LEARNING, np.clip(step, -limit, limit), step)
    new_centre = np.where(count == 0, x, centre + step / n)
    new_scale = scale + (ABS_TO_SIGMA * np.abs(step) - scale) / np.maximum(n - 1.0, 1.0)
    return (
        np.where(known, new_centre, centre),
        np.where(known & (count > 0), new_scale, scale),
        np.where(known, n, count).astype(np.uint16),
    )


def occurrence(device: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each entry how many earlier entries name the same device; [n]."""
    order = np.argsort(device, kind="stable")
    ordered = device[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[first, len(device)])
    rank = np.empty(len(device), np.int64)
    rank[order] = np.arange(len(device)) - np.repeat(first, lengths)
    return rank
