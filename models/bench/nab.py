"""The Numenta Anomaly Benchmark's standard profile (Lavin & Ahmad, 2015), from its definition.

A labelled window is worth +1 if detected at its left edge, falling by a scaled sigmoid to 0 at its
right edge, and -1 if missed; only its earliest detection counts. A detection outside of windows
costs up to 0.11, less the nearer it follows a window. The first 15 % of a file (of 5,000 rows at
most) are for learning and are not judged. 0 is what a detector that never speaks gets, 100 what
one gets that hits every window at once and nothing else.

Thresholds are never chosen on the category that they are judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.anomaly.spec import Floats, Ints

FALSE_WEIGHT: Final = 0.11
PROBATION: Final = 0.15
PROBATION_ROWS: Final = 5000
FAR_BEHIND: Final = 3.0
"""A false detection so many window widths after a window costs the whole weight."""
REFRACTORY_ROWS: Final = 144
"""After a detection, so many rows raise no other: the same for every detector."""
THRESHOLDS: Final = 60

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One file of the benchmark."""

    category: str
    rows: int
    spans: Spans
    """First and last row of each window, in order."""

    @property
    def probation(self) -> int:
        """Rows that are not judged."""
        return int(min(PROBATION * self.rows, PROBATION * PROBATION_ROWS))

    @property
    def judged(self) -> Spans:
        """The windows that are not over before judging begins."""
        return tuple(span for span in self.spans if span[1] >= self.probation)


def sigmoid(position: float) -> float:
    """Worth of a detection at a position relative to a window: -1 left edge, 0 right edge."""
    return -1.0 if position >= FAR_BEHIND else float(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)


def detections(score: Floats, threshold: float, refractory: int = REFRACTORY_ROWS) -> Ints:
    """Rows where a detection is raised: at the threshold or above, and rested."""
    raised: list[int] = []
    for row in np.flatnonzero(score >= threshold).tolist():
        if not raised or row - raised[-1] >= refractory:
            raised.append(row)
    return np.array(raised, np.int64)


def raw_score(labelled: Labelled, rows: Sequence[int]) -> float:
    """Worth of detections at these rows, windows missed included."""
    windows = dict.fromkeys(labelled.judged, -1.0)
    false = 0.0
    for row in rows:
        if row < labelled.probation:
            continue
        span = next((span for span in labelled.judged if span[0] <= row <= span[1]), None)
        if span is None:
            false += FALSE_WEIGHT * _after(labelled.spans, row)
        else:
            windows[span] = max(windows[span], _within(span, row))
    return sum(windows.values()) + false


def normalised(raw: float, windows: int) -> float:
    """Put a raw score on the scale from 0 (silence) to 100 (perfect)."""
    return 100.0 * (raw + windows) / (2.0 * windows)


def _within(span: tuple[int, int], row: int) -> float:
    first, last = span
    return sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1.0)


def _after(spans: Spans, row: int) -> float:
    passed = [(first, last) for first, last in spans if last < row]
    if not passed:
        return -1.0
    first, last = passed[-1]
    return sigmoid((row - last) / max(last - first, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What a detector gets with thresholds chosen on the other categories."""

    score: float
    per_category: dict[str, float]
    """Of the categories that have windows."""
    chosen_on_all: float
    """For comparison only: one threshold chosen on what it is judged on."""


def transferred(
    files: Mapping[str, Labelled], scores: Mapping[str, Floats], refractory: int = REFRACTORY_ROWS
) -> Transferred:
    """Judge scores by name of file, leaving one category out at a time."""
    grid = _grid(files, scores)
    table = {
        name: np.array(
            [raw_score(file, detections(scores[name], t, refractory).tolist()) for t in grid]
        )
        for name, file in files.items()
    }
    categories = sorted({file.category for file in files.values()})
    windows = {c: sum(len(f.judged) for f in files.values() if f.category == c) for c in categories}
    raw = {c: _total(files, table, c) for c in categories}
    whole: Floats = np.sum(list(raw.values()), axis=0)
    got = {c: float(raw[c][_best(whole - raw[c])]) for c in categories}
    all_windows = sum(windows.values())
    return Transferred(
        score=normalised(sum(got.values()), all_windows),
        per_category={c: normalised(got[c], windows[c]) for c in categories if windows[c]},
        chosen_on_all=normalised(float(whole.max()), all_windows),
    )


def _total(files: Mapping[str, Labelled], table: Mapping[str, Floats], category: str) -> Floats:
    mine = [table[name] for name, file in files.items() if file.category == category]
    total: Floats = np.sum(mine, axis=0)
    return total


def _best(total: Floats) -> int:
    """The middle one of the thresholds that do best."""
    best = np.flatnonzero(total >= total.max() - 1e-9)
    return int(best[len(best) // 2])


def _grid(files: Mapping[str, Labelled], scores: Mapping[str, Floats]) -> Floats:
    judged = np.concatenate([scores[name][file.probation :] for name, file in files.items()])
    shares = 1.0 - np.geomspace(2e-5, 0.1, THRESHOLDS)
    return np.unique(np.quantile(judged, shares))


def spans_of(times_ms: Ints, windows: Sequence[tuple[int, int]]) -> Spans:
    """Rows of windows given by their first and last instants.

    Raises ValueError where a window's edge is no row, or windows overlap.
    """
    place = {int(ts): row for row, ts in reversed(list(enumerate(times_ms.tolist())))}
    try:
        spans = tuple((place[first], place[last]) for first, last in windows)
    except KeyError as edge:
        raise ValueError(f"no row at {edge}, where a window has its edge") from edge
    if any(after[0] <= before[1] for before, after in pairwise(spans)):
        raise ValueError("windows overlap")
    return spans
