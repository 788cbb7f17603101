"""One device watched twice: by what it has come to be, and by what it was when it was last well.

The first watcher learns whatever comes, so that its score tells what is new. The second learns
nothing while the device is anomalous, so that its state lasts as long as the fault does. Both are
slots of one fleet scorer, and cost hardly more than one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from models.anomaly import FleetScorer, ScorerSpec
from models.calibration import WEEK_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.anomaly import Scores
    from models.anomaly.spec import Bools, Floats, Ints

LASTING_MOST: Final = 1.0
"""What lasts counts for at most this much (one in ten) of a score: it has been told."""
ODD_SHARE: Final = 0.01
"""The anomalous state begins at what this share of a healthy device's frames reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """One per row [n]."""

    score: Floats
    anomalous: Bools
    alarm: Bools
    top_channel: Ints
    """-1 where nothing is known."""

    def rows(self, which: slice) -> Verdicts:
        """Some of the rows."""
        return Verdicts(**{name: getattr(self, name)[which] for name in self.__slots__})


class Watch:
    """Judges the rows of devices, each in its order, however they are cut into blocks."""

    def __init__(
        self, channels: Sequence[str], alarms_per_week: float, *, devices: int = 1
    ) -> None:
        self._scorer = FleetScorer(
            ScorerSpec(
                channels=tuple(channels),
                phases=(0,),
                alarms_per_week=alarms_per_week,
                odd_share=ODD_SHARE,
                jobs=False,
            )
        )
        slots = [self._scorer.slot(place, free=place % 2 == 0) for place in range(2 * devices)]
        self._slots = np.array(slots, np.int64).reshape(devices, 2)
        self._alarms = _Alarms(
            rest_ms=int(self._scorer.spec.refractory_s * 1000),
            again_ms=int(WEEK_S * 1000 / alarms_per_week),
        )

    def judge(
        self, ts_ms: Ints, values: Floats, healthy: Bools, device: Ints | None = None
    ) -> Verdicts:
        """Judge rows [n], values [n, c], of `device` [n] by number, of the only one without.

        Rows that are known to be `healthy` raise nothing.
        """
        size = len(ts_ms)
        whose = np.zeros(size, np.int64) if device is None else device
        told = self._scorer.score(
            self._slots[whose].ravel(),
            np.repeat(ts_ms, 2),
            np.zeros(2 * size, np.int16),
            np.repeat(values, 2, axis=0),
            healthy=np.repeat(healthy, 2),
        )
        new, lasting = told.score[0::2], told.score[1::2]
        counted = np.minimum(lasting, LASTING_MOST)
        return Verdicts(
            score=new + counted,
            anomalous=told.anomalous[0::2] | told.anomalous[1::2],
            alarm=self._alarms.raised(whose, ts_ms, told.alarm[0::2], told.alarm[1::2]),
            top_channel=_top(told, counted / np.maximum(lasting, 1e-12)),
        )


def _top(told: Scores, share: Floats) -> Ints:
    """Name the channel that contributes most to the joint score, of which `share` [n] lasts."""
    parts = told.contributions[0::2] + share[:, None] * told.contributions[1::2]
    known = told.known[0::2] | told.known[1::2]
    top: Ints = np.where(known, parts.argmax(axis=1), -1)
    return top


@dataclass(slots=True, kw_only=True)
class _Alarms:
    """What is new raises an alarm after a rest; what lasts, once in the budget's interval."""

    rest_ms: int
    again_ms: int
    last_ms: dict[int, int] = field(default_factory=dict)
    """Per device that has raised one."""

    def raised(self, device: Ints, ts_ms: Ints, new: Bools, lasting: Bools) -> Bools:
        alarm = np.zeros(len(ts_ms), np.bool_)
        for row in np.flatnonzero(new | lasting).tolist():
            whose, now_ms = int(device[row]), int(ts_ms[row])
            wait = self.rest_ms if new[row] else max(self.rest_ms, self.again_ms)
            if whose not in self.last_ms or now_ms - self.last_ms[whose] >= wait:
                alarm[row] = True
                self.last_ms[whose] = now_ms
        return alarm
