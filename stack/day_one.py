"""Priors for new devices, learnt beside a failure model from the same history."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from models import priors, registry, stored
from models.history import Frames
from models.priors import PriorSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from foremend.db import Connection
    from models.anomaly import CohortPrior
    from models.history import Findings, History, Marks
    from models.registry import Record
    from models.signing import SigningKey
    from models.stored import Cohort
    from simulators.histories import History as Simulated


def of_simulated(simulated: Simulated, history: History) -> PriorSet:
    """Learn priors from the first days of a simulation, in which most is healthy."""
    chosen = np.array(priors.some(range(len(simulated.names))))
    upto = min(priors.FRAMES, len(simulated.ts))
    grid = Frames.of_grid(
        simulated.ts[:upto], simulated.phase[:upto, chosen], simulated.values[:upto, chosen]
    )
    frames = _renamed(grid, chosen)
    told = [{"name": c.name, "kind": str(c.kind)} for c in simulated.channels]
    return _set([_learnt(told, [frames], history.findings, history.replacements)])


def of_stored(
    connection: Connection, cohort: Cohort, findings: Findings, replaced: Marks
) -> PriorSet:
    """Learn priors from the last frames of some devices, one for each list of channels."""
    told: defaultdict[int, list[Frames]] = defaultdict(list)
    for device in priors.some(range(len(cohort.ids))):
        for schema, frames in stored.read_recent(connection, cohort, device, priors.FRAMES).items():
            told[schema].append(frames)
    return _set(
        [
            _learnt(cohort.channels[schema], parts, findings, replaced)
            for schema, parts in sorted(told.items())
        ]
    )


def sealed(learnt: PriorSet, family: str, source: dict[str, Any], key: SigningKey) -> Record | None:
    """Sign a family's priors; None where there was too little to learn any."""
    if not learnt.by_digest:
        return None
    meta = {
        "source": source,
        "lists_of_channels": len(learnt.by_digest),
        "prior_versions": sorted(str(prior.version) for prior in learnt.by_digest.values()),
    }
    return registry.seal(learnt.dumps(), kind=priors.KIND, cohort=family, meta=meta, key=key)


def _learnt(
    channels: Sequence[dict[str, Any]],
    parts: Sequence[Frames],
    findings: Findings,
    replaced: Marks,
) -> CohortPrior | None:
    whole = Frames(**{n: np.concatenate([getattr(f, n) for f in parts]) for n in Frames.__slots__})
    kept = priors.healthy(whole, findings, replaced)
    return priors.learn(channels, Frames(**{n: getattr(whole, n)[kept] for n in Frames.__slots__}))


def _renamed(frames: Frames, names: np.ndarray[Any, np.dtype[np.int64]]) -> Frames:
    return Frames(
        device=names[frames.device], ts_ms=frames.ts_ms, phase=frames.phase, values=frames.values
    )


def _set(learnt: Iterable[CohortPrior | None]) -> PriorSet:
    return PriorSet({prior.digest: prior for prior in learnt if prior is not None})
