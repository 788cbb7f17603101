"""river's anomaly detectors by name: a second opinion on a device, on its hourly digest.

    opinion = SecondOpinion("half_space_trees", spec.channels)
    for digest in digests.add(slots, ts_ms, scores):       # models.digest: a row an hour a device
        verdict = opinions[digest.slot].observe(digest.deviation)
        verdict.score, verdict.unusual

They take some 50 us a row, a thousand times what the fleet scorer does, so they see digests and not
frames. Rows are scored before they are learnt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log10
from typing import Final, Protocol

from river import anomaly, compose, preprocessing

from models.journal import Journal, Row

CAPACITY = 256
"""Digests that a second opinion looks back on: about eleven days of hours."""
WARM_UP = 48
"""Digests before an opinion is given."""

Features = dict[str, float]


class Detector(Protocol):
    """An online detector of river's kind: score a row, learn a row."""

    def score_one(self, x: Features) -> float:
        """How unusual a row is; larger is more so."""

    def learn_one(self, x: Features) -> None:
        """Learn from a row."""


def half_space_trees(channels: Sequence[str]) -> Detector:
    """Half-space trees (Tan, Ting & Liu, 2011) on rows scaled to their own range."""
    trees = anomaly.HalfSpaceTrees(
        n_trees=15, height=6, window_size=24, limits=dict.fromkeys(channels, (0.0, 1.0)), seed=7
    )
    pipeline: Detector = compose.Pipeline(preprocessing.MinMaxScaler(), trees)
    return pipeline


def one_class_svm(channels: Sequence[str]) -> Detector:  # noqa: ARG001 - one signature for all
    """Linear one-class SVM trained by stochastic gradient descent, on standardised rows."""
    pipeline: Detector = compose.Pipeline(
        preprocessing.StandardScaler(), anomaly.OneClassSVM(nu=0.1)
    )
    return pipeline


DETECTORS: Final[Mapping[str, Callable[[Sequence[str]], Detector]]] = {
    "half_space_trees": half_space_trees,
    "one_class_svm": one_class_svm,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a detector says about one digest."""

    score: float
    """The detector's own figure, on its own scale."""
    unusual: float
    """-log10 of the share of past digests that scored as high; 0 while warming up."""


class _Scored:
    """A detector, and the scores that it gave to what it then learnt."""

    def __init__(self, make: Callable[[], Detector], channels: Sequence[str]) -> None:
        self._detector, self._channels = make(), channels
        self.past: list[float] = []

    def learn(self, row: Row) -> None:
        pairs = zip(self._channels, row, strict=True)
        features = {name: value for name, value in pairs if isfinite(value)}
        self.past.append(float(self._detector.score_one(features)))
        self._detector.learn_one(features)


class SecondOpinion:
    """One detector on one device."""

    def __init__(self, name: str, channels: Sequence[str]) -> None:
        """Raise KeyError for a name that `DETECTORS` does not hold."""
        make = DETECTORS[name]
        self.name = name
        self._journal = Journal(
            lambda: _Scored(lambda: make(channels), channels), len(channels), CAPACITY
        )

    def observe(self, deviation: Sequence[float]) -> Verdict:
        """Judge a digest [c], then learn from it; NaN is a missing channel."""
        self._journal.learn(deviation)
        *past, score = self._journal.model.past
        if len(past) < WARM_UP:
            return Verdict(score=score, unusual=0.0)
        as_high = sum(other >= score for other in past)
        return Verdict(score=score, unusual=log10((len(past) + 1) / (as_high + 1)))

    def reset(self) -> None:
        """Begin again: a part was replaced."""
        self._journal.clear()

    def snapshot(self) -> bytes:
        """The digests looked back on; see `models.journal`."""
        return self._journal.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Rebuild from a snapshot. Raises models.journal.JournalRefused."""
        self._journal.restore(snapshot)
