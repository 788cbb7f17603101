"""Trains a model of remaining life from complete lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from foremend.errors import ForemendError
from models.rul import features
from models.rul.intervals import LEAST_DEVICES, Band, learn_band
from models.rul.model import RulModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.rul.lives import Lives

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Progress = Callable[[str, int, int], None]

ROWS_OF_A_BAG: Final = 7_000
"""Rows that one bag is grown on: neighbouring rows of a life tell nearly the same."""
HEALTHY: Final = 0.3
"""Weight of rows from long before the cap, of which all lives have many and all tell the same."""
BEYOND: Final = 1.12
"""Remaining life, as a share of the cap, from which a row is one of those."""


class NoLives(ForemendError):
    """There is no device that failed: nothing can be learnt of remaining life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulPlan:
    """How to train; `cap` in cycles, or whatever unit of use lives are told in."""

    cap: float = 125.0
    folds: int = 5
    bags: int = 10
    seed: int = 7

    @property
    def bags_of_fold(self) -> int:
        """Bags of each model that is judged on devices left out."""
        return -(-self.bags // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was told of each row by models that had not seen its device: all [m]."""

    expected: Floats
    truth: Floats
    device: NDArray[np.int64]
    weight: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRul:
    """A model, and what it told of devices left out (None where there were too few)."""

    model: RulModel
    left_out: LeftOut | None


def train(lives: Lives, plan: RulPlan, *, progress: Progress = lambda *_: None) -> TrainedRul:
    """Return the model that complete lives teach: every device failed after its last row.

    Raises `NoLives`.
    """
    if not len(lives):
        raise NoLives
    truth = np.minimum(lives.remaining(), plan.cap)
    weight = np.where(lives.remaining() > BEYOND * plan.cap, HEALTHY, 1.0)
    calibrated = len(lives.devices) >= LEAST_DEVICES
    total = plan.folds + 1 if calibrated else 1
    progress("fit", 0, total)
    told = _left_out(lives, truth, weight, plan, progress) if calibrated else None
    view = features.learn_view(lives, truth)
    x = features.columns(view, lives)
    bags = _grow_bags(x, truth, weight, lives.device, bags=plan.bags, seed=plan.seed)
    progress("fit", total, total)
    model = RulModel(
        view=view,
        bags=bags,
        band=None if told is None else _band(told, plan),
        cap=plan.cap,
        devices=len(lives.devices),
    )
    return TrainedRul(model=model, left_out=told)


def _band(told: LeftOut, plan: RulPlan) -> Band:
    return learn_band(told.expected, told.truth, told.device, told.weight, cap=plan.cap)


def _left_out(
    lives: Lives, truth: Floats, weight: Floats, plan: RulPlan, progress: Progress
) -> LeftOut:
    """Return what models of the other devices tell of each device."""
    folds = min(plan.folds, len(lives.devices))
    fold = np.random.default_rng(plan.seed).permutation(len(lives.devices)) % folds
    expected = np.empty(len(lives))
    for f in range(folds):
        mine = fold[lives.device] == f
        view = features.learn_view(lives.where(~mine), truth[~mine])
        x, seed = features.columns(view, lives), plan.seed + 1000 * (f + 1)
        bags = _grow_bags(
            x[~mine],
            truth[~mine],
            weight[~mine],
            lives.device[~mine],
            bags=plan.bags_of_fold,
            seed=seed,
        )
        model = RulModel(view=view, bags=bags, band=None, cap=plan.cap, devices=0)
        expected[mine] = model.expected(x[mine])
        progress("fit", f + 1, folds + 1)
    return LeftOut(expected=expected, truth=truth, device=lives.device, weight=weight)


def _grow_bags(
    x: Floats, truth: Floats, weight: Floats, device: NDArray[np.int64], *, bags: int, seed: int
) -> tuple[Any, ...]:
    """Return trees, each bag grown on a bootstrap of the devices and a draw of their rows.

    Rows are drawn by weight, and stand as often as their device was drawn: weights given to the
    trees themselves cost ten times the time, for weighted quantiles of every feature.
    """
    rng = np.random.default_rng(seed)
    names, index = np.unique(device, return_inverse=True)
    share = min(1.0, ROWS_OF_A_BAG / float(weight.sum()))
    grown = []
    for bag in range(bags):
        times = np.bincount(rng.choice(len(names), len(names)), minlength=len(names))[index]
        drawn = np.repeat(np.arange(len(x)), times * (rng.random(len(x)) < share * weight))
        if len(drawn):
            grown.append(_grow(x[drawn], truth[drawn], seed + bag))
    return tuple(grown) or (_grow(x, truth, seed),)


def _grow(x: Floats, truth: Floats, seed: int) -> HistGradientBoostingRegressor:
    trees = HistGradientBoostingRegressor(
        max_iter=150,
        learning_rate=0.06,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(limits=1):
        trees.fit(x, truth)
    return trees
