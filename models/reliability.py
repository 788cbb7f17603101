"""How well probabilities of failing were calibrated: Brier score and reliability table."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from models.backtest import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.labels import Outcomes

    Floats = NDArray[np.float64]

EDGES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Bounds of the table's bins; most rows are healthy, so the bins are narrow near zero."""


def figures(probability: Floats, result: Outcomes, horizon_h: float) -> dict[str, Any]:
    """Return `brier` [0, 1], what the base rate alone would get, and the table; rows [m, k].

    A row counts if its outcome within the horizon is known: a part replaced before, or a horizon
    that the end cuts, tells nothing. Brier score: mean squared difference of probability and
    outcome (Brier, Monthly Weather Review 1950).
    """
    failed = result.failed & (result.hours <= horizon_h)
    known = failed | (result.hours >= horizon_h)
    told = known & np.isfinite(probability) & (result.watched_h[:, None] >= horizon_h)
    p, y = probability[told], failed[told].astype(float)
    if not len(p):
        return {"rows": 0, "brier": None, "brier_of_base_rate": None, "reliability": []}
    return {
        "rows": len(p),
        "brier": float(np.mean((p - y) ** 2)),
        "brier_of_base_rate": float(np.mean((y.mean() - y) ** 2)),
        "reliability": _table(p, y),
    }


def _table(p: Floats, y: Floats) -> list[dict[str, Any]]:
    place = np.clip(np.searchsorted(EDGES, p, side="right") - 1, 0, len(EDGES) - 2)
    return [
        {
            "from": EDGES[b],
            "to": EDGES[b + 1],
            "mean_probability": float(p[place == b].mean()),
            "failed": asdict(wilson(int(y[place == b].sum()), int((place == b).sum()))),
        }
        for b in np.unique(place).tolist()
    ]
