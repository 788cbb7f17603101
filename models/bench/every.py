"""Every public recording that there are figures of, each where its folder is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.bench.ai4i import ai4i_figures
from models.bench.watched import nab_figures, skab_figures
from models.bench.wear import azure_figures, cmapss_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Progress = Callable[[str], None]
    Figures = Callable[[Path, Progress], dict[str, Any]]

SETS: Final[Mapping[str, tuple[str, str, Figures]]] = {
    "nab": ("nab", "labels/combined_windows.json", nab_figures),
    "skab_valve1": ("skab/valve1", "*.csv", skab_figures),
    "azure_pdm": ("azure_pdm", "telemetry_*.csv", azure_figures),
    "cmapss_fd001": ("cmapss", "train_FD001.txt", cmapss_figures),
    "ai4i": ("ai4i", "*.csv", lambda folder, progress: ai4i_figures(folder, progress=progress)),
}
"""By name: the folder, a file that it must hold, and what measures it."""


def recorded(folder: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Give what was measured on each set beneath `folder`, or why it was not.

    Raises foremend.errors.InputError, models.scorefile.FileRefused: a file cannot be read.
    """
    return {name: _measured(folder, *each, progress) for name, each in SETS.items()}


def _measured(
    folder: Path, below: str, must_hold: str, figures: Figures, progress: Progress
) -> dict[str, Any]:
    if not any((folder / below).glob(must_hold)):
        return {"skipped": f"there is no {below}/{must_hold} in {folder}"}
    return figures(folder / below, progress)
