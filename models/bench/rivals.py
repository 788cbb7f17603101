"""Detectors of others on one series [n], each value scored before it is learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from river import anomaly, preprocessing

if TYPE_CHECKING:
    from models.anomaly.spec import Floats

WINDOW: Final = 1000


def windowed_gaussian(values: Floats, window: int = WINDOW) -> Floats:
    """How many standard deviations a value is off the mean of the last `window` ones."""
    shifted = values - values[0]
    sums = np.concatenate([[0.0], np.cumsum(shifted)])
    squares = np.concatenate([[0.0], np.cumsum(shifted * shifted)])
    last = np.arange(len(values))
    first = np.maximum(last - window, 0)
    count = np.maximum(last - first, 1)
    mean = (sums[last] - sums[first]) / count
    variance = np.maximum((squares[last] - squares[first]) / count - mean * mean, 1e-12)
    off = np.abs(shifted - mean) / np.sqrt(variance)
    return np.where(last > 0, off, 0.0)


def half_space_trees(values: Floats) -> Floats:
    """River's half-space trees as they come, on values scaled to the range seen so far."""
    trees, scaler = anomaly.HalfSpaceTrees(seed=1), preprocessing.MinMaxScaler()
    scores = np.zeros(len(values))
    for row, value in enumerate(values.tolist()):
        scaler.learn_one({"v": value})
        scaled = scaler.transform_one({"v": value})
        scores[row] = trees.score_one(scaled)
        trees.learn_one(scaled)
    return scores
