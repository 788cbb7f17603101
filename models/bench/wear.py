"""Failures foreseen and remaining life told, on public recordings of machines that wear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models import backtest_failures, backtest_figures, backtest_rul
from models.rul.files import read_lives, read_truth
from models.rul.training import RulPlan
from models.tables import times
from models.tables.fleet import FleetFiles, read_fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[str], None]

DAY_H: Final = 24.0
SEED: Final = 7
TOLD: Final = (
    "work_orders",
    "precision",
    "event_recall",
    "wrong_components",
    "false_per_100_machine_weeks",
    "median_lead_h",
    "lead_p10_h",
    "left_out",
    "labelled_failures",
)
TASKS: Final = {
    "before_august": ("telemetry_daily.csv", "2015-08-01", DAY_H),
    "january_and_february_alone": ("telemetry_daily.csv", "2015-03-01", DAY_H),
    "hourly": ("telemetry_hourly.csv", "2015-02-20", DAY_H),
    "hourly_two_days_ahead": ("telemetry_hourly.csv", "2015-02-20", 2 * DAY_H),
}
"""Telemetry, the day until which is learnt and from which is judged, and an order's horizon."""


def azure_figures(folder: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Backtest the recorded fleet at each task. Raises foremend.errors.InputError."""
    return {
        name: _backtested(folder, *task, name, progress)
        for name, task in TASKS.items()
        if (folder / task[0]).exists()
    }


def _backtested(
    folder: Path, telemetry: str, day: str, horizon_h: float, name: str, progress: Progress
) -> dict[str, Any]:
    progress(f"azure_pdm: {name}")
    files = FleetFiles(
        telemetry=folder / telemetry,
        errors=folder / "errors.csv",
        maintenance=folder / "maintenance.csv",
        failures=folder / "failures.csv",
        machines=folder / "machines.csv",
    )
    fleet = read_fleet(
        files, longest_step_ms=round(horizon_h * 3_600_000), progress=lambda *_: None
    )
    task = backtest_failures.Task(
        train_until_ms=times.instant_ms(day),
        judge_from_ms=times.instant_ms(day),
        horizon_h=horizon_h,
        seed=SEED,
    )
    figures = backtest_figures.figures(backtest_failures.tell(fleet, task))
    return {"learnt_until": day, "horizon_h": horizon_h} | {key: figures[key] for key in TOLD}


def cmapss_figures(folder: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Tell the remaining life of FD001's test engines. Raises foremend.errors.InputError."""
    progress("cmapss: FD001")
    lives = read_lives(folder / "train_FD001.txt")
    test = read_lives(folder / "test_FD001.txt")
    truth = read_truth(folder / "RUL_FD001.txt", test.devices)
    told = backtest_rul.figures(backtest_rul.tell(lives, test, RulPlan(seed=SEED)), truth)
    return {key: each for key, each in told.items() if key != "told"}
