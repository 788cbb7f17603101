"""Priors for new devices, learnt beside a failure model from the same history."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from models import priors, registry, stored
from models.history import Frames
from models.priors import PriorSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.db import Connection
    from models.history import Findings, History, Marks
    from models.priors import Learnt
    from models.registry import Record
    from models.signing import SigningKey
    from models.stored import Cohort
    from simulators.histories import History as Simulated


def of_simulated(simulated: Simulated, history: History) -> list[Learnt]:
    """Learn priors from the first days of a simulation, in which most is healthy."""
    chosen = np.array(priors.some(range(len(simulated.names))))
    upto = min(priors.FRAMES, len(simulated.ts))
    grid = Frames.of_grid(
        simulated.ts[:upto], simulated.phase[:upto, chosen], simulated.values[:upto, chosen]
    )
    frames = _renamed(grid, chosen)
    told = [{"name": c.name, "kind": str(c.kind)} for c in simulated.channels]
    return _learnt(told, [frames], history.findings, history.replacements)


def of_stored(
    connection: Connection, cohort: Cohort, findings: Findings, replaced: Marks
) -> list[Learnt]:
    """Learn priors from the last frames of some devices, one for each list of channels."""
    told: defaultdict[int, list[Frames]] = defaultdict(list)
    for device in priors.some(range(len(cohort.ids))):
        for schema, frames in stored.read_recent(connection, cohort, device, priors.FRAMES).items():
            told[schema].append(frames)
    return [
        one
        for schema, parts in sorted(told.items())
        for one in _learnt(cohort.channels[schema], parts, findings, replaced)
    ]


def sealed(
    learnt: Sequence[Learnt], family: str, source: dict[str, Any], key: SigningKey
) -> Record | None:
    """Sign a family's priors with what they are worth; None where none is of use."""
    kept = PriorSet({o.prior.digest: o.prior for o in learnt if o.prior is not None})
    if not kept.by_digest:
        return None
    meta = {
        "source": source,
        "lists_of_channels": len(kept.by_digest),
        "judged": [
            {"verdict": o.verdict.name.lower()} | ({} if o.worth is None else asdict(o.worth))
            for o in learnt
        ],
    }
    return registry.seal(kept.dumps(), kind=priors.KIND, cohort=family, meta=meta, key=key)


def _learnt(
    channels: Sequence[dict[str, Any]],
    parts: Sequence[Frames],
    findings: Findings,
    replaced: Marks,
) -> list[Learnt]:
    whole = Frames(**{n: np.concatenate([getattr(f, n) for f in parts]) for n in Frames.__slots__})
    told = priors.learn(channels, priors.where(whole, priors.healthy(whole, findings, replaced)))
    return [] if told is None else [told]


def _renamed(frames: Frames, names: np.ndarray[Any, np.dtype[np.int64]]) -> Frames:
    return Frames(
        device=names[frames.device], ts_ms=frames.ts_ms, phase=frames.phase, values=frames.values
    )
