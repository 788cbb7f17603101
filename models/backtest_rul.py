"""Backtest of remaining life: what is told of devices that have not failed yet, and the figures."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.backtest import wilson
from models.rul.intervals import LEAST_DEVICES, learn_band
from models.rul.training import RulPlan, train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.rul.lives import Lives
    from models.rul.training import LeftOut, TrainedRul

    Floats = NDArray[np.float64]

HALVES = 2
CYCLES = "cycles"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRul:
    """What was told of each device at its last cycle: quantiles[n, 3], NaN where it abstained."""

    devices: tuple[str, ...]
    quantiles: Floats
    trained: TrainedRul
    mean_life: float
    age: Floats


def tell(
    lives: Lives,
    test: Lives,
    plan: RulPlan,
    *,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> ToldRul:
    """Learn from complete lives, and tell what is left of others. Raises `NoLives`."""
    return told_by(train(lives, plan, progress=progress), lives, test)


def told_by(trained: TrainedRul, lives: Lives, test: Lives) -> ToldRul:
    """Return what a model, trained on complete lives, tells of others in the same unit of use."""
    model = trained.model
    quantiles = model.predict(model.columns(test)[test.last])
    blind = ~np.isfinite(test.seen_as(model.view.channels)).any(axis=1)
    seen = np.bincount(test.device[~blind], minlength=len(test.devices)) > 0
    quantiles[~seen] = np.nan
    return ToldRul(
        devices=test.devices,
        quantiles=quantiles,
        trained=trained,
        mean_life=float(lives.cycle[lives.last].mean()),
        age=test.cycle[test.last],
    )


def figures(told: ToldRul, truth: Floats | None, unit: str = CYCLES) -> dict[str, Any]:
    """Return the figures, in a unit of use; of the test devices only where the truth is given.

    NASA's score is defined for cycles alone, and null in another unit.
    """
    model = told.trained.model
    known = np.isfinite(told.quantiles).all(axis=1)
    out: dict[str, Any] = {
        "devices": len(told.devices),
        "abstained": int((~known).sum()),
        "learnt_from_devices": model.devices,
        "least_devices": LEAST_DEVICES,
        "cap": model.cap,
        "unit": unit,
        "cross_validated": _cross_validated(told.trained.left_out, model.cap),
    }
    if truth is None:
        return out
    capped = np.minimum(truth, model.cap)
    simple = np.clip(told.mean_life - told.age, 0.0, model.cap)
    late = simple - capped
    return out | {
        "told": _told(told, truth),
        **judged(told.quantiles[known], capped[known], unit),
        "mean_life_minus_age": {"rmse": _rmse(late), "score": _score(late, unit)},
    }


def _told(told: ToldRul, truth: Floats) -> list[dict[str, Any]]:
    """Return each device that was told of, for a report to draw."""
    return [
        {"device": name, "truth": true, "p10": low, "p50": middle, "p90": high}
        for name, true, (low, middle, high) in zip(
            told.devices, truth.tolist(), told.quantiles.tolist(), strict=True
        )
        if np.isfinite(middle)
    ]


def judged(quantiles: Floats, truth: Floats, unit: str = CYCLES) -> dict[str, Any]:
    """Return RMSE and NASA score of P50, and how often and how widely P10 to P90 holds."""
    if not len(truth):
        return {"rmse": None, "score": None, "coverage": asdict(wilson(0, 0)), "width": None}
    low, middle, high = quantiles.T
    held = (low <= truth) & (truth <= high)
    return {
        "rmse": _rmse(middle - truth),
        "score": _score(middle - truth, unit),
        "coverage": asdict(wilson(int(held.sum()), len(held))),
        "width": float((high - low).mean()),
        "below_p10": int((truth < low).sum()),
        "above_p90": int((truth > high).sum()),
    }


def nasa(late: Floats) -> float:
    """Return the score of the PHM08 challenge, lower being better: late costs more than early.

    Saxena et al., Damage propagation modeling for aircraft engine run-to-failure simulation (2008).
    """
    return float(np.where(late < 0, np.expm1(-late / 13.0), np.expm1(late / 10.0)).sum())


def _score(late: Floats, unit: str) -> float | None:
    return nasa(late) if unit == CYCLES else None


def _rmse(error: Floats) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _cross_validated(left_out: LeftOut | None, cap: float) -> dict[str, Any] | None:
    """Return what held on devices left out, for intervals learnt on the other half of them."""
    if left_out is None:
        return None
    o = left_out
    half = o.device % HALVES
    each = 1.0 / np.bincount(o.device)[o.device]
    hits = np.empty(len(o.truth))
    for h in range(HALVES):
        mine = half == h
        band = learn_band(
            o.expected[~mine], o.truth[~mine], o.device[~mine], o.weight[~mine], cap=cap
        )
        low, _, high = band.around(o.expected[mine], cap).T
        hits[mine] = (low <= o.truth[mine]) & (o.truth[mine] <= high)
    worn = each * (o.truth < cap)
    error = (o.expected - o.truth) ** 2
    return {
        "rmse": float(np.sqrt((each * error).sum() / each.sum())),
        "rmse_below_cap": float(np.sqrt((worn * error).sum() / worn.sum())),
        "coverage": float((each * hits).sum() / each.sum()),
        "coverage_below_cap": float((worn * hits).sum() / worn.sum()),
    }


def write_rul(path: Path, told: ToldRul) -> None:
    """Write rul.csv: device, rul_p10, rul_p50, rul_p90; empty where nothing was told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(("device", "rul_p10", "rul_p50", "rul_p90"))
        for name, row in zip(told.devices, told.quantiles.tolist(), strict=True):
            out.writerow((name, *("" if np.isnan(v) else f"{v:.2f}" for v in row)))
