"""Drift: has the level of a score, or of a prediction's error, changed for good.

    watch = DriftWatch(DriftKind.SCORE_TAIL)
    drift = watch.update(hourly_mean_score, at_ms)      # None, or Drift(kind, at_ms, reason, ...)
    watch.reset()                                       # a part was replaced: begin again
    watch.snapshot() -> bytes; watch.restore(bytes)

One watch per device, or per cohort with the cohort's mean. ADWIN finds a lasting change of the
mean in either direction without a threshold (Bifet & Gavaldà, 2007); Page-Hinkley finds a rise
sooner (Page, 1954). Feed means over an hour or so, not single frames: neighbouring frames are not
independent, and both tests take them to be. On hourly means of healthy scores correlated by .8 from
hour to hour they raise about one false drift per device in 50 weeks (ADWIN) and 10 (Page-Hinkley).
"""

from dataclasses import dataclass
from enum import Enum

from river import drift as river_drift

from models.journal import Journal, Row

CAPACITY = 1024
"""Values that a watch looks back on: six weeks of hours."""
_WIDTH = 1


class DriftKind(Enum):
    """What has drifted."""

    SCORE_TAIL = "score_tail"
    """Anomaly scores: the device, or the cohort, no longer behaves as when it was learnt."""
    RESIDUAL = "residual"
    """A model's errors: it no longer fits, and retraining is to be proposed."""


class DriftReason(Enum):
    """Which test found it."""

    MEAN_CHANGED = "mean_changed"
    """ADWIN: two parts of the past have different means."""
    MEAN_ROSE = "mean_rose"
    """Page-Hinkley: values have been above their mean for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A change that was found."""

    kind: DriftKind
    at_ms: int
    reason: DriftReason
    before: float
    """Mean of the values that were looked back on."""
    now: float
    """Mean of the last few of them."""


class _Tests:
    """Both tests, fed with the same values."""

    def __init__(self) -> None:
        self._adwin = river_drift.ADWIN(delta=2e-4, clock=4)
        self._page_hinkley = river_drift.PageHinkley(
            min_instances=30, delta=0.1, threshold=3.0, mode="up"
        )

    def learn(self, row: Row) -> None:
        self._adwin.update(row[0])
        self._page_hinkley.update(row[0])

    @property
    def found(self) -> DriftReason | None:
        if self._page_hinkley.drift_detected:
            return DriftReason.MEAN_ROSE
        return DriftReason.MEAN_CHANGED if self._adwin.drift_detected else None


class DriftWatch:
    """Watches one series of values; after a drift it begins again."""

    def __init__(self, kind: DriftKind) -> None:
        self.kind = kind
        self._journal = Journal(_Tests, width=_WIDTH, capacity=CAPACITY)

    def update(self, value: float, at_ms: int) -> Drift | None:
        """Take the next value; the drift, if this one proves it."""
        self._journal.learn((value,))
        reason = self._journal.model.found
        if reason is None:
            return None
        seen = [row[0] for row in self._journal.rows]
        drift = Drift(
            kind=self.kind,
            at_ms=at_ms,
            reason=reason,
            before=_mean(seen),
            now=_mean(seen[-8:]),
        )
        self.reset()
        return drift

    def reset(self) -> None:
        """Forget: what was learnt is of a part, or a model, that has gone."""
        self._journal.clear()

    def snapshot(self) -> bytes:
        """The values looked back on; see `models.journal`."""
        return self._journal.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Rebuild from a snapshot. Raises models.journal.JournalRefused."""
        self._journal.restore(snapshot)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
