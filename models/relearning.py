"""Whether a family's model should be learnt anew: signs of drift over a whole cohort; pure.

A single device that changes is a matter for its owner. Where the usual device of a family scores
otherwise than it did, or where findings surprise the model more often than they used to, the model
itself no longer fits. Learning anew is proposed then, and done by a person.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from foremend.clock import HOUR_MS
from models.drift import DriftKind, DriftReason, DriftWatch
from models.trials.judging import WITHIN_H

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from foremend.clock import Millis

FEWEST_DEVICES: Final = 3
"""Devices that an hour must have been heard of: fewer are no cohort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What speaks for learning anew."""

    kind: DriftKind
    reason: DriftReason
    at_ms: Millis
    before: float
    now: float
    devices: int
    """That it was seen on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One finding as the model should have foreseen it."""

    device: str
    component: str
    at_ms: Millis
    failed: bool
    """False: somebody was sent, and nothing was wrong."""


def tail_drift(scores: Mapping[Millis, Sequence[float]]) -> Sign | None:
    """Watch the hourly score of a cohort's median device; `scores` are its devices' by hour.

    The median does not move when a few devices fail, however badly, nor when their parts are
    replaced.
    """
    watch = DriftWatch(DriftKind.SCORE_TAIL)
    for at_ms, heard in sorted(scores.items()):
        if len(heard) < FEWEST_DEVICES:
            continue
        found = watch.update(median(heard), at_ms)
        if found is not None:
            return Sign(
                kind=found.kind,
                reason=found.reason,
                at_ms=found.at_ms,
                before=found.before,
                now=found.now,
                devices=len(heard),
            )
    return None


def residual_drift(outcomes: Sequence[Outcome], foreseen: Foreseen) -> Sign | None:
    """Watch how often findings surprise the model, in order of time.

    A surprise is 1: a part failed that no prediction had stood for, or somebody was sent for
    nothing. Only a rise counts: a model that errs less often is no reason to learn anew.
    """
    watch = DriftWatch(DriftKind.RESIDUAL)
    for outcome in sorted(outcomes, key=lambda o: o.at_ms):
        surprise = outcome.failed != foreseen.stood(outcome)
        found = watch.update(float(surprise), outcome.at_ms)
        if found is not None and found.now > found.before:
            return Sign(
                kind=found.kind,
                reason=found.reason,
                at_ms=found.at_ms,
                before=found.before,
                now=found.now,
                devices=len({o.device for o in outcomes if o.at_ms <= found.at_ms}),
            )
    return None


class Foreseen:
    """The instants at which predictions stood above their threshold, by part."""

    def __init__(self, above: Iterable[tuple[str, str, Millis]]) -> None:
        """Take (device, component, instant)."""
        self._by_part: defaultdict[tuple[str, str], list[Millis]] = defaultdict(list)
        for device, component, at_ms in sorted(above, key=lambda told: told[2]):
            self._by_part[device, component].append(at_ms)

    def stood(self, outcome: Outcome, within_h: float = WITHIN_H) -> bool:
        """Tell whether one stood in the time before a finding."""
        mine = self._by_part[outcome.device, outcome.component]
        first = bisect_left(mine, outcome.at_ms - within_h * HOUR_MS)
        return first < len(mine) and mine[first] < outcome.at_ms
