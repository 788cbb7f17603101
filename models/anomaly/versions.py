"""The priors that a scorer knows, stacked so that each row can take its own device's."""

from dataclasses import dataclass

import numpy as np

from models.anomaly.levels import PriorRows
from models.anomaly.prior import CohortPrior, PriorRefused, empty_prior
from models.anomaly.spec import Floats, Ints, ScorerSpec
from models.channelwise import turned
from models.exceedance import Counts, Tables

NO_PRIOR = 0
"""The version of `empty_prior`, which every scorer knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorVersions:
    """Priors by version; v versions, p phases, c channels."""

    index: dict[int, int]
    levels: Floats
    """[v, p, 7, c] the fields of `PriorRows` in their order."""
    correlation: Floats
    priors: tuple[CohortPrior, ...]
    """By place; what a device takes over once is looked up here."""
    tails: Counts
    climbs: Counts
    cadence_s: Floats
    """[v]; 0 where not known."""

    def rows(self, which: Ints, phase: Ints) -> PriorRows:
        """The levels [c, n] of devices that use priors `which` [n] in `phase` [n]."""
        taken = turned(self.levels[which, phase])
        return PriorRows(**{name: taken[i] for i, name in enumerate(PriorRows.__slots__)})

    def which(self, version: int) -> int:
        """The place of a version. Raises PriorRefused where it is not known here."""
        try:
            return self.index[version]
        except KeyError as unknown:
            raise PriorRefused from unknown

    def tables(self, own: Counts, slots: Ints, which: Ints) -> Tables:
        """Devices' own exceedance tables [s, k, b], to which those of their priors are added."""
        return Tables(own=own, slots=slots, prior=self.tails if self.any else None, which=which)

    def climb_tables(self, own: Counts, slots: Ints, which: Ints) -> Tables:
        """Likewise the tables of CUSUMs [s, c, b]."""
        return Tables(own=own, slots=slots, prior=self.climbs if self.any else None, which=which)

    @property
    def any(self) -> bool:
        """Whether there is any besides the empty one."""
        return len(self.index) > 1


def no_priors(spec: ScorerSpec) -> PriorVersions:
    """Nothing but the empty prior."""
    return _stacked({NO_PRIOR: empty_prior(spec)})


def extended(known: PriorVersions, spec: ScorerSpec, prior: CohortPrior) -> PriorVersions:
    """`known` and one more prior. Raises PriorRefused for another specification's."""
    prior.require(spec)
    if prior.version in known.index:
        return known
    new = _stacked({prior.version: prior})
    return PriorVersions(
        index=known.index | {prior.version: len(known.index)},
        levels=np.concatenate([known.levels, new.levels]),
        correlation=np.concatenate([known.correlation, new.correlation]),
        priors=(*known.priors, prior),
        tails=np.concatenate([known.tails, new.tails]),
        climbs=np.concatenate([known.climbs, new.climbs]),
        cadence_s=np.concatenate([known.cadence_s, new.cadence_s]),
    )


def _stacked(priors: dict[int, CohortPrior]) -> PriorVersions:
    all_of = list(priors.values())
    return PriorVersions(
        index={version: place for place, version in enumerate(priors)},
        levels=np.stack(
            [np.stack([getattr(p, name) for name in PriorRows.__slots__], axis=1) for p in all_of]
        ),
        correlation=np.stack([p.correlation for p in all_of]),
        priors=tuple(all_of),
        tails=np.stack([np.rint(p.tails).astype(np.uint16) for p in all_of]),
        climbs=np.stack([np.rint(p.climbs).astype(np.uint16) for p in all_of]),
        cadence_s=np.array([p.cadence_s for p in all_of]),
    )
