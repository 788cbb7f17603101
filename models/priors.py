"""The priors of one family, as one artefact: what a new device is taken to be like on day one.

A family's devices may tell different lists of channels; each list has a prior of its own, and the
fleet scorer's specification says which is whose. The bytes need no pickle to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from foremend.errors import ForemendError, Remedy
from models.anomaly import CohortPrior, ScorerSpec, fit_prior
from models.history import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.history import Findings, Frames, Marks

KIND: Final = "prior"
DEVICES: Final = 48
"""Devices that a prior is learnt from, at most: it is made of medians over them."""
FRAMES: Final = 1200
"""Frames of each, at most."""
FEWEST: Final = 4
"""Devices under which nothing is told of how devices differ."""
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
        """Read what `dumps` gave.

        Raises:
            WrongPriors: it holds something else.
        """
        try:
            priors = [
                CohortPrior.from_bytes(one)
                for one in msgspec.msgpack.decode(payload, type=list[bytes])
            ]
        except (ValueError, ForemendError) as error:
            raise WrongPriors from error
        return PriorSet({prior.digest: prior for prior in priors})


def scored_columns(channels: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    """Give the columns that are scored: settings and counters are not measurements of health."""
    gauges = [i for i, c in enumerate(channels) if c.get("kind", "gauge") == "gauge"]
    return tuple(gauges or range(len(channels)))


def spec_of(channels: Sequence[dict[str, Any]]) -> ScorerSpec:
    """Give the fleet scorer's specification for the channels that a birth tells."""
    return ScorerSpec(channels=tuple(channels[i]["name"] for i in scored_columns(channels)))


def some(devices: Sequence[int], most: int = DEVICES) -> list[int]:
    """Choose at most so many devices, evenly along their order."""
    places = np.linspace(0, len(devices) - 1, min(most, len(devices))).round().astype(int)
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


def learn(channels: Sequence[dict[str, Any]], frames: Frames) -> CohortPrior | None:
    """Learn a prior from healthy frames whose columns are `channels`; None where there are few."""
    if len(np.unique(frames.device)) < FEWEST:
        return None
    return fit_prior(
        spec_of(channels),
        device=frames.device,
        ts_ms=frames.ts_ms,
        phase=frames.phase,
        values=frames.values[:, scored_columns(channels)].astype(np.float64),
    )
