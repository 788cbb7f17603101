"""What the engine is fed with and what it gives; plain values, no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRows:
    """Frames of equal width, each device's in its own order."""

    device: Ints
    """[n] database ids."""
    rank: Ints
    """[n] place among the same device's frames and events of the batch."""
    ts_ms: Ints
    schema: Ints
    """[n] database ids of the lists of channels that the values follow."""
    phase: Ints
    quality: Ints
    values: NDArray[np.float64]
    """[n, c]; NaN where missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event of a device."""

    device: int
    rank: int
    ts_ms: int
    code: str
    severity: str
    component: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one commit of ingest holds for one partition."""

    partition: int
    frames: tuple[FrameRows, ...]
    events: tuple[EventRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """A birth: what a device is and which parts it carries."""

    partition: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """From here on, this partition's devices of `cohort` follow this version."""

    partition: int
    kind: str
    """`model` or `prior`."""
    cohort: str
    version: str


Entry = Batch | Introduction | Adoption


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One device's hour."""

    device: int
    ts_ms: int
    score: float
    anomalous: bool
    top_channel: str | None
    second_opinion: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """An anomalous state that begins or ends, or a drift."""

    device: int
    kind: str
    """`alarm`, `cleared` or `drift`."""
    ts_ms: int
    score: float
    top_channel: str | None
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """The latest word on one component; probabilities are NaN where the model abstains."""

    device: int
    component: str
    failure_mode: str
    ts_ms: int
    probability: float
    horizon_h: float
    band_h: tuple[float | None, float | None, float | None]
    """P10, P50 and P90 of the hours to failure; None past the last horizon."""
    version: str
    abstained: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An evaluation above its threshold, or the first below it afterwards."""

    hazard: Hazard
    above: bool
    threshold: float
    reasons: tuple[dict[str, Any], ...]


@dataclass(slots=True, kw_only=True)
class Outputs:
    """Everything that follows from a run of entries, in order."""

    health: list[Health] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    hazards: list[Hazard] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
