"""AI4I 2020: single machining runs, of which a few end in one of several failure modes.

Matzka, Explainable Artificial Intelligence for Predictive Maintenance Applications (2020). Rows are
not a time series, so this judges no forecast, only whether a failure is told from a healthy run and
given the right mode. Trees see what physics makes of the columns: power, the heat that can flow
off, and wear under torque.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from models.tables.names import Column
from models.tables.reading import read_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.tables.reading import Table

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Progress = Callable[[str], None]

FOLDS: Final = 5
AIR: Final = Column(name="air temperature [K]", kin=("air temperature",))
PROCESS: Final = Column(name="process temperature [K]", kin=("process temperature",))
SPEED: Final = Column(name="rotational speed [rpm]", kin=("rotational speed",))
TORQUE: Final = Column(name="torque [Nm]", kin=("torque",))
WEAR: Final = Column(name="tool wear [min]", kin=("tool wear",))
KIND: Final = Column(name="type", kin=("product type", "quality"))
FAILED: Final = Column(name="machine failure", kin=("failure", "target"))
MODES: Final = ("TWF", "HDF", "PWF", "OSF")
"""Tool wear, heat dissipation, power, overstrain; a fifth is drawn at random and has no cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Runs m, modes k."""

    x: Floats
    """[m, f]"""
    failed: Bools
    modes: Bools
    """[m, k]; none where a failure's cause was not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """By cross-validation: every run by models that did not see it, nor chose a threshold on it."""

    runs: int
    failures: int
    f1: float
    precision: float
    recall: float
    found: int
    right_mode_percent: float
    """Of the failures found whose mode was recorded."""
    found_without_recorded_mode: int


def ai4i_figures(
    folder: Path, seed: int = 7, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Judge the one table of a folder. Raises foremend.errors.InputError."""
    path = min(folder.glob("*.csv"))
    return asdict(cross_validated(runs_of(read_table(path)), seed=seed, progress=progress))


def runs_of(table: Table) -> Runs:
    """Return a table's runs. Raises foremend.errors.InputError where a column is missing."""
    air, process, speed, torque, wear = (
        table.numbers(table.place(column)) for column in (AIR, PROCESS, SPEED, TORQUE, WEAR)
    )
    kinds = table.names(table.place(KIND))
    kind = np.array([sorted(set(kinds)).index(name) for name in kinds], np.float64)
    power_w = torque * speed * (2.0 * np.pi / 60.0)
    raw = (air, process, speed, torque, wear, kind)
    modes = [table.numbers(table.place(Column(name=name, kin=()))) > 0 for name in MODES]
    return Runs(
        x=np.column_stack([*raw, power_w, process - air, wear * torque]),
        failed=table.numbers(table.place(FAILED)) > 0,
        modes=np.column_stack(modes),
    )


def cross_validated(
    runs: Runs, *, seed: int, folds: int = FOLDS, progress: Progress = lambda _: None
) -> Judged:
    """Judge each fold by what the others teach; the threshold is chosen on the others alone."""
    told = np.zeros(len(runs.failed), np.bool_)
    mode = np.zeros(len(runs.failed), np.int64)
    with threadpool_limits(limits=1):
        for fold, (taught, judged) in enumerate(_split(runs.failed, folds, seed), 1):
            progress(f"ai4i: fold {fold} of {folds}")
            limit = _threshold(runs.x[taught], runs.failed[taught], max(folds - 1, 2), seed)
            told[judged] = _chance(runs.x, runs.failed, taught, judged, seed) >= limit
            chances = [_chance(runs.x, one, taught, judged, seed) for one in runs.modes.T]
            mode[judged] = np.argmax(chances, axis=0)
    return _judged(runs, told, mode)


def _judged(runs: Runs, told: Bools, mode: NDArray[np.int64]) -> Judged:
    found = np.flatnonzero(told & runs.failed)
    recorded = found[runs.modes[found].any(axis=1)]
    precision, recall = len(found) / max(told.sum(), 1), len(found) / max(runs.failed.sum(), 1)
    right = runs.modes[recorded, mode[recorded]]
    return Judged(
        runs=len(told),
        failures=int(runs.failed.sum()),
        f1=2 * len(found) / max(int(told.sum() + runs.failed.sum()), 1),
        precision=float(precision),
        recall=float(recall),
        found=len(found),
        right_mode_percent=100.0 * float(right.mean()) if len(recorded) else 0.0,
        found_without_recorded_mode=len(found) - len(recorded),
    )


def _threshold(x: Floats, failed: Bools, folds: int, seed: int) -> float:
    """The chance at which F1 is best on runs left out in turn."""
    chance = np.zeros(len(failed))
    for taught, judged in _split(failed, folds, seed):
        chance[judged] = _chance(x, failed, taught, judged, seed)
    order = np.argsort(-chance, kind="stable")
    hits = np.cumsum(failed[order])
    f1 = 2.0 * hits / (np.arange(1, len(order) + 1) + failed.sum())
    best = int(f1.argmax())
    following = min(best + 1, len(order) - 1)
    return float(chance[order[best]] + chance[order[following]]) / 2.0


def _split(
    failed: Bools, folds: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(cut.split(np.zeros(len(failed)), failed))


def _chance(
    x: Floats, what: Bools, taught: NDArray[np.int64], judged: NDArray[np.int64], seed: int
) -> Floats:
    if not what[taught].any():
        return np.zeros(len(judged))
    trees = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
    chance: Floats = trees.fit(x[taught], what[taught]).predict_proba(x[judged])[:, 1]
    return chance
