"""Runs the scorer, and others beside it, over a folder of recorded benchmarks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.bench import nab, rivals, skab
from models.scorefile import opened
from models.scorefile.times import iso
from models.scorefile.watch import Verdicts, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from models.anomaly.spec import Floats, Ints

    Progress = Callable[[str], None]

BUDGET: Final = 1.0
RIVALS: Final = {
    "windowed_gaussian": rivals.windowed_gaussian,
    "half_space_trees": rivals.half_space_trees,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One recorded file."""

    ts_ms: Ints
    values: Floats
    channels: tuple[str, ...]


def nab_figures(folder: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Standard profile per detector, thresholds transferred from the other categories."""
    progress("nab: three detectors")
    told = json.loads((folder / "labels" / "combined_windows.json").read_text("utf-8"))
    present = {name: windows for name, windows in told.items() if _data(folder, name).exists()}
    series = {name: read(_data(folder, name), "timestamp", ("value",)) for name in present}
    files = {name: _labelled(name, series[name], windows) for name, windows in present.items()}
    verdicts = watched(series, warm_up=0)
    scores = {"foremend": {name: verdicts[name].score for name in series}} | {
        rival: {name: score(one.values[:, 0]) for name, one in series.items()}
        for rival, score in RIVALS.items()
    }
    alarms = {name: np.flatnonzero(verdicts[name].alarm).tolist() for name in series}
    windows = sum(len(file.judged) for file in files.values())
    raw = sum(nab.raw_score(file, alarms[name]) for name, file in files.items())
    return {
        "files": len(files),
        "windows": windows,
        "refractory_rows": nab.REFRACTORY_ROWS,
        **{name: asdict(nab.transferred(files, by_file)) for name, by_file in scores.items()},
        "foremend_alarms_by_budget": {
            "score": nab.normalised(raw, windows),
            "alarms": sum(len(rows) for rows in alarms.values()),
        },
    }


def skab_figures(folder: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Row by row F1 and false alarms, as the anomalous state tells it."""
    progress("skab: valve1")
    names = sorted(path.name for path in folder.glob("*.csv"))
    labels = {name: read(folder / name, "datetime", ("anomaly",)) for name in names}
    series = {name: read(folder / name, "datetime", None, skab.LABELS) for name in names}
    verdicts = watched(series, warm_up=skab.HEALTHY_ROWS)
    after = slice(skab.HEALTHY_ROWS, None)
    told = np.concatenate([verdicts[name].anomalous[after] for name in names])
    truth = np.concatenate([labels[name].values[after, 0] > 0 for name in names])
    return {"files": len(names), **asdict(skab.judged(told, truth))}


def read(
    path: Path,
    time: str,
    channels: Sequence[str] | None,
    without: frozenset[str] = frozenset(),
) -> Series:
    """Read a file whole. Raises models.scorefile.FileRefused."""
    with opened(path, time, channels) as recording:
        keep = [i for i, name in enumerate(recording.channels) if name not in without]
        rows = list(recording.rows())
        names = recording.channels
    return Series(
        ts_ms=np.array([row.ts_ms for row in rows], np.int64),
        values=np.array([[row.values[i] for i in keep] for row in rows], np.float64),
        channels=tuple(names[i] for i in keep),
    )


def watched(series: Mapping[str, Series], warm_up: int) -> dict[str, Verdicts]:
    """Judge files of the same channels, each as a device of its own, side by side."""
    channels = next(iter(series.values())).channels
    watch = Watch(channels, BUDGET, devices=len(series))
    sizes = [len(one.ts_ms) for one in series.values()]
    found = watch.judge(
        np.concatenate([one.ts_ms for one in series.values()]),
        np.concatenate([one.values for one in series.values()]),
        np.concatenate([np.arange(size) < warm_up for size in sizes]),
        np.repeat(np.arange(len(sizes)), sizes),
    )
    ends = np.cumsum(sizes)
    spans = zip(series, ends - sizes, ends, strict=True)
    return {name: found.rows(slice(int(a), int(b))) for name, a, b in spans}


def _data(folder: Path, name: str) -> Path:
    return folder / "data" / name


def _labelled(name: str, series: Series, windows: list[list[str]]) -> nab.Labelled:
    edges = [(iso(first), iso(last)) for first, last in windows]
    return nab.Labelled(
        category=name.partition("/")[0],
        rows=len(series.ts_ms),
        spans=nab.spans_of(series.ts_ms, edges),
    )
