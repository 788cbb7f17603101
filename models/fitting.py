"""One fit of the failure model on what was known at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models import deviations, evidence, hazard
from models.aim import Aim
from models.labels import intervals, outcomes
from models.slices import HeldOut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.features import Rows
    from models.history import History
    from models.labels import Outcomes

    Floats = NDArray[np.float64]

FOLDS = 5
MAX_NEAR = 20_000
"""Components of rows with a failure near that are trained on."""
QUIET_SHARE = 1200
"""Components of rows without a failure near per failure, the rest being told by weights."""
MAX_QUIET = 40_000
FEW = 60
"""Failures under which only the core evidence is weighed, by many bags of trees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is trained for; horizons in hours.

    `right_within_h`: for the choice of thresholds an order is right if its component fails within
    so many hours. None is the order horizon itself; more says that a part found degraded a day or
    two early was no visit for nothing. `recall_weight` says how many times as much as precision
    recall counts there.
    """

    horizons_h: tuple[float, ...] = (6.0, 12.0, 24.0, 48.0)
    order_horizon_h: float = 24.0
    right_within_h: float | None = None
    recall_weight: float = 1.0
    min_failures: int = 3
    seed: int = 7
    jobs: int = 2
    failure_modes: tuple[tuple[str, str], ...] = ()
    held_out: HeldOut = HeldOut.LATER
    bags_of_few: int = 8

    @property
    def aim(self) -> Aim:
        """What thresholds are chosen for."""
        return Aim(
            right_within_h=self.right_within_h or self.order_horizon_h,
            recall_weight=self.recall_weight,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What one fit gives."""

    prior: deviations.CohortPrior
    signatures: evidence.Signatures
    columns: tuple[int, ...]
    bags: tuple[Any, ...]


def fit(rows: Rows, history: History, plan: TrainingPlan) -> Fitted:
    """Fit on the rows, labelled with what `history` knows."""
    prior = deviations.learn_prior(history.spec, rows.device, rows.values)
    result = outcomes(rows, history)
    weight = _weights(result, plan.horizons_h[-1])
    used = np.flatnonzero(weight.any(axis=1))
    values = rows.values[used]
    result = result.at(used)
    prior = deviations.learn_mix(
        prior, deviations.compare(history.spec, prior, values).z[evidence.calm(result)]
    )
    seen = evidence.sight(history.spec, deviations.compare(history.spec, prior, values), values)
    return _fit(seen, result, rows.device[used], weight[used], prior, plan)


def _fit(
    seen: evidence.Sighted,
    result: Outcomes,
    device: NDArray[np.int64],
    weight: Floats,
    prior: deviations.CohortPrior,
    plan: TrainingPlan,
) -> Fitted:
    failures = len(np.unique(result.episode[result.episode >= 0]))
    columns = _columns(seen, result, few=failures < FEW)
    x = _out_of_fold(seen, result, device, plan.seed)[:, :, columns]
    at_risk, event = intervals(result, plan.horizons_h)
    told = weight > 0
    periods = hazard.Periods(
        x=x[told],
        at_risk=at_risk[told],
        event=event[told],
        weight=weight[told],
        group=np.broadcast_to(device[:, None], told.shape)[told],
    )
    bags = hazard.fit_bags(
        periods,
        rising=[evidence.RISING[c] for c in columns],
        bags=plan.bags_of_few if failures < FEW else 1,
        seed=plan.seed,
    )
    every = np.ones(len(device), dtype=bool)
    taught = evidence.learn(seen, result, every)
    return Fitted(prior=prior, signatures=taught, columns=columns, bags=bags)


def _columns(seen: evidence.Sighted, result: Outcomes, *, few: bool) -> tuple[int, ...]:
    """Return the evidence to weigh; with many failures the rhythm of visits brought nothing."""
    if not few:
        return tuple(range(evidence.VISIT))
    rhythm = evidence.keeps_rhythm(seen, result)
    return (*evidence.CORE, *((evidence.VISIT,) if rhythm else ()))


def _out_of_fold(
    seen: evidence.Sighted, result: Outcomes, device: NDArray[np.int64], seed: int
) -> Floats:
    """Return evidence by signatures that other devices taught, so trees learn its true worth."""
    names = np.unique(device)
    fold_of = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, len(names))
    fold = fold_of[np.searchsorted(names, device)]
    x = np.full((len(device), result.hours.shape[1], len(evidence.COLUMNS)), np.nan)
    for f in np.unique(fold):
        mine = fold == f
        taught = evidence.learn(seen, result, ~mine if len(names) > 1 else mine)
        x[mine] = evidence.evidence(taught, _rows_of(seen, mine))
    return x


def _weights(result: Outcomes, last_horizon_h: float) -> Floats:
    """Return the weight of each row and component, 0 where it is left out; [m, k].

    Of components with a failure near every n-th is taken and counts n times; of the others, those
    of every n-th row.
    """
    near = result.failed & (result.hours <= 1.5 * last_horizon_h)
    thin = max(1, -(-int(near.sum()) // MAX_NEAR))
    order = np.cumsum(near.reshape(-1)).reshape(near.shape)
    weight = np.where(near & (order % thin == 0), float(thin), 0.0)
    most = min(MAX_QUIET, QUIET_SHARE * len(np.unique(result.episode)))
    stride = max(1, -(-int((~near).sum()) // most))
    row = np.arange(len(near))[:, None]
    return np.where(~near & (row % stride == 0), float(stride), weight)


def _rows_of(seen: evidence.Sighted, at: NDArray[np.bool_]) -> evidence.Sighted:
    return type(seen)(
        z=seen.z[at],
        heard=seen.heard[at],
        hours_since=seen.hours_since[at],
        age_h=seen.age_h[at],
        device=seen.device[at],
        reach_h=seen.reach_h,
    )
