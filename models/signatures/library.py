"""What a signature library holds: features that carry the physics, failure modes, and the odds."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

HORIZONS_H: Final = (6.0, 12.0, 24.0, 48.0)
ORDER_HORIZON_H: Final = 24.0
NO_ORDER: Final = 1.0
"""A threshold that no probability reaches: such a library opens no order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A quantity derived from a frame's channels by a named formula of `models.signatures.physics`.

    `channel` is the one that an engineer would look at. `inputs` map the formula's words to
    channels, the first that a device has being taken; `constants` are the formula's figures.
    """

    name: str
    formula: str
    channel: str
    inputs: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, float]
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a failing part does to one channel or feature.

    `level` is a level of `models.features.spec.LEVELS`; `direction` is 1 (rises), -1 (falls) or 0
    (either). The log-likelihood ratio grows from 0 at `begins` to `weight` at `full`, and is
    `-against` of it where nothing is seen: a weight below 0 speaks against the mode where something
    is seen. In deviations from the device's own baseline, or in the
    subject's own unit where `absolute`. `spread` (the unit) and `spread_share` (of the usual value)
    are how far healthy hours of one device lie apart.
    """

    subject: str
    level: str
    direction: int
    weight: float
    begins: float
    full: float
    against: float
    absolute: bool
    spread: float
    spread_share: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """An error code that speaks for a mode; `weight` is its log-likelihood ratio for a day."""

    code: str
    weight: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One failure mode of one component: how often, and what tells of it.

    `life_h` is the mean operating time between such failures, hours.
    """

    component: str
    failure_mode: str
    life_h: float
    evidence: tuple[Evidence, ...]
    codes: tuple[Code, ...]
    source: str

    @property
    def prior(self) -> float:
        """Log-odds that it fails within the order horizon, before anything is seen."""
        return math.log(ORDER_HORIZON_H / self.life_h)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A device model whose vibration may be judged by zones: power, support, where to look."""

    model: str
    rated_kw: float
    support: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Log-odds of the library to probabilities: a discrete hazard per interval of `HORIZONS_H`.

    `hazards[i][h]` is the logit of the hazard at the odds `knots[i]`, straight between knots and
    level beyond; `shifts[k]` moves those of one mode. `threshold` is the probability at the order
    horizon from which an order may open. `evidence` is the fingerprint of the data that it was
    fitted for.
    """

    knots: tuple[float, ...]
    hazards: tuple[tuple[float, ...], ...]
    shifts: tuple[float, ...]
    threshold: float
    evidence: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Library:
    """Everything that is known of one family's failures before any label exists."""

    family: str
    version: int
    features: tuple[Feature, ...]
    modes: tuple[Mode, ...]
    machines: tuple[Machine, ...] = ()
    calibration: Calibration | None = field(default=None)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve digits that change with any figure that is told, and not with its source."""
        told = repr([asdict(one, dict_factory=_figures) for one in self._content])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def _content(self) -> tuple[Feature | Mode | Machine, ...]:
        return (*self.features, *self.modes, *self.machines)

    @cached_property
    def name(self) -> str:
        """What predictions name as their model: family, version and fingerprint."""
        return f"signatures:{self.family}:{self.version}:{self.fingerprint}"

    @property
    def calibrated(self) -> bool:
        """Whether the calibration was fitted for this very evidence."""
        return self.calibration is not None and self.calibration.evidence == self.fingerprint

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Channels and features that evidence speaks of, in the order of first mention."""
        return tuple(dict.fromkeys(e.subject for mode in self.modes for e in mode.evidence))

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Component instances, in the order of first mention."""
        return tuple(dict.fromkeys(mode.component for mode in self.modes))

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Error codes that speak for any mode."""
        return tuple(dict.fromkeys(c.code for mode in self.modes for c in mode.codes))

    def feature(self, subject: str) -> Feature | None:
        """Give the feature of this name; None where the subject is a channel itself."""
        return next((f for f in self.features if f.name == subject), None)

    def channel_of(self, subject: str) -> str:
        """Give the channel that an engineer would look at for a subject."""
        feature = self.feature(subject)
        return subject if feature is None else feature.channel


def _figures(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Give a dataclass's fields without where they come from."""
    return {name: value for name, value in fields if name != "source"}
