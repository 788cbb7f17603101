"""The priors of one family, as one artefact: what a new device is taken to be like on day one.

A family's devices may tell different lists of channels; each list has a prior of its own, and the
fleet scorer's specification says which is whose. The bytes need no pickle to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from foremend.errors import ForemendError, Remedy
from models.anomaly import CohortPrior, FleetScorer, ScorerSpec, fit_prior
from models.anomaly.prior import OUTDATED
from models.backtest import WEEK_MS
from models.history import HOUR_MS, Frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.history import Findings, Marks

KIND: Final = "prior"
DEVICES: Final = 48
"""Devices that a prior is learnt from, at most: it is made of medians over them."""
FRAMES: Final = 600
"""Frames of each, at most."""
FEWEST: Final = 4
"""Devices under which nothing is told of how devices differ."""
BUDGET: Final = 1.0
"""False alarms a device-week that a scorer is set to."""
UNREST: Final = 0.05
"""Share of the time that a healthy device may count as anomalous."""
MORE: Final = 1.25
"""Times what there is without a prior that a prior may bring of either."""
BEFORE_H: Final = 72.0
"""Hours before a failure that are not taken to be healthy."""


class WrongPriors(ForemendError):
    """These bytes hold no priors."""

    remedy = Remedy.REJECT


@dataclass(frozen=True, slots=True)
class PriorSet:
    """Priors by the digest of the specification that each is for."""

    by_digest: dict[bytes, CohortPrior]

    def of(self, spec: ScorerSpec) -> CohortPrior | None:
        """Give the prior for a scorer's specification, if there is one."""
        return self.by_digest.get(spec.digest)

    def dumps(self) -> bytes:
        """Give the priors as bytes; equal sets are equal bytes."""
        ordered = [self.by_digest[digest].to_bytes() for digest in sorted(self.by_digest)]
        return msgspec.msgpack.encode(ordered)

    @staticmethod
    def load(payload: bytes) -> PriorSet:
        """Read what `dumps` gave; priors of an earlier layout are left out, as nobody's.

        Raises:
            WrongPriors: it holds something else.
        """
        try:
            priors = [
                CohortPrior.from_bytes(one)
                for one in msgspec.msgpack.decode(payload, type=list[bytes])
                if not one.startswith(OUTDATED)
            ]
        except (ValueError, ForemendError) as error:
            raise WrongPriors from error
        return PriorSet({prior.digest: prior for prior in priors})


def scored_columns(channels: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    """Give the columns that are scored: settings and counters are not measurements of health."""
    gauges = [i for i, c in enumerate(channels) if c.get("kind", "gauge") == "gauge"]
    return tuple(gauges or range(len(channels)))


def context_columns(channels: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    """Give the columns in whose light the others are scored; none where nothing else is told."""
    context = tuple(i for i, c in enumerate(channels) if c.get("kind") == "context")
    return tuple(i for i in context if i not in scored_columns(channels))


def spec_of(channels: Sequence[dict[str, Any]]) -> ScorerSpec:
    """Give the fleet scorer's specification for the channels that a birth tells."""
    return ScorerSpec(
        channels=tuple(channels[i]["name"] for i in scored_columns(channels)),
        context=tuple(channels[i]["name"] for i in context_columns(channels)),
    )


def some(devices: Sequence[int], most: int | None = None) -> list[int]:
    """Choose at most so many devices, evenly along their order."""
    places = (
        np.linspace(0, len(devices) - 1, min(most or DEVICES, len(devices))).round().astype(int)
    )
    return [devices[i] for i in places]


def healthy(frames: Frames, findings: Findings, replaced: Marks) -> NDArray[np.bool_]:
    """Tell which frames have no failure of their device near, nor one waiting for a part; [m]."""
    kept = np.ones(len(frames.ts_ms), dtype=bool)
    for device, ts_ms, part in zip(findings.device, findings.ts_ms, findings.what, strict=True):
        swaps = replaced.ts_ms[
            (replaced.device == device) & (replaced.what == part) & (replaced.ts_ms >= ts_ms)
        ]
        end = swaps.min() if len(swaps) else ts_ms + round(BEFORE_H * HOUR_MS)
        near = (frames.ts_ms > ts_ms - BEFORE_H * HOUR_MS) & (frames.ts_ms <= end)
        kept &= ~((frames.device == device) & near)
    return kept


class Verdict(Enum):
    """Whether a prior is used, and why."""

    BETTER = "devices that it never saw are judged sooner, and raise no more alarms"
    MORE_ALARMS = "healthy devices that it never saw raise more alarms with it"
    MORE_UNREST = "healthy devices that it never saw count as anomalous for longer with it"
    UNTRIED = "there are too few devices to hold some back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a prior does to healthy devices that it was not learnt from."""

    alarms: float
    """Per device and week of being judged, with the prior."""
    alarms_without: float
    anomalous: float
    """Share of the judged frames in the anomalous state, with the prior."""
    anomalous_without: float
    known: float
    """Share of frames that something could be said of, with the prior."""
    known_without: float


def decide(worth: Worth | None) -> Verdict:
    """Decide whether devices begin from a prior; `worth` None where nothing could be held back.

    An alarm a device-week, and a twentieth of the time, are within what the scorer is allowed;
    beyond it a prior may bring little more than there is without.
    """
    if worth is None:
        return Verdict.UNTRIED
    if worth.alarms > max(BUDGET, MORE * worth.alarms_without):
        return Verdict.MORE_ALARMS
    if worth.anomalous > max(UNREST, MORE * worth.anomalous_without):
        return Verdict.MORE_UNREST
    return Verdict.BETTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """A prior, what it is worth, and whether it is used; None where it is not."""

    prior: CohortPrior | None
    worth: Worth | None
    verdict: Verdict


def learn(channels: Sequence[dict[str, Any]], frames: Frames) -> Learnt | None:
    """Learn a prior from healthy frames whose columns are `channels`; None where there are few.

    It is judged by one that two thirds of the devices taught, on the others.
    """
    devices = np.unique(frames.device)
    if len(devices) < FEWEST:
        return None
    spec, columns = spec_of(channels), (*scored_columns(channels), *context_columns(channels))
    worth = None
    if len(devices) >= 2 * FEWEST:
        held = np.isin(frames.device, devices[::3])
        worth = _worth(
            spec, columns, _fit(spec, columns, where(frames, ~held)), where(frames, held)
        )
    verdict = decide(worth)
    used = verdict in {Verdict.BETTER, Verdict.UNTRIED}
    prior = _fit(spec, columns, frames) if used else None
    return Learnt(prior=prior, worth=worth, verdict=verdict)


def where(frames: Frames, kept: NDArray[np.bool_]) -> Frames:
    """Those frames that are kept[m]."""
    return Frames(**{name: getattr(frames, name)[kept] for name in Frames.__slots__})


def _fit(spec: ScorerSpec, columns: tuple[int, ...], frames: Frames) -> CohortPrior:
    return fit_prior(
        spec,
        device=frames.device,
        ts_ms=frames.ts_ms,
        phase=frames.phase,
        values=frames.values[:, columns].astype(np.float64),
    )


def _worth(spec: ScorerSpec, columns: tuple[int, ...], prior: CohortPrior, frames: Frames) -> Worth:
    told, without = (
        _played(scorer, columns, frames) for scorer in (FleetScorer(spec, prior), FleetScorer(spec))
    )
    return Worth(
        alarms=told[0],
        alarms_without=without[0],
        anomalous=told[1],
        anomalous_without=without[1],
        known=told[2],
        known_without=without[2],
    )


def _played(
    scorer: FleetScorer, columns: tuple[int, ...], frames: Frames
) -> tuple[float, float, float]:
    """Give alarms per judged device-week, the anomalous share of it, and how much was judged."""
    order = np.argsort(frames.ts_ms, kind="stable")
    slots = np.array([scorer.slot(d) for d in frames.device[order].tolist()])
    told = scorer.score(
        slots, frames.ts_ms[order], frames.phase[order], frames.values[order][:, columns]
    )
    judged = max(int(told.known.sum()), 1)
    known = judged / max(len(order), 1)
    ends = [frames.ts_ms[frames.device == d] for d in np.unique(frames.device)]
    weeks = known * sum(float(ts.max() - ts.min()) for ts in ends) / WEEK_MS
    alarms = float(told.alarm.sum()) / weeks if weeks else 0.0
    return alarms, float((told.anomalous & told.known).sum()) / judged, known
