"""How unusual a wave's frames are, and how unusual is too unusual for their devices."""

from dataclasses import dataclass

import numpy as np

from models import calibration
from models.anomaly import evidence
from models.anomaly.evidence import Deviations, Evidence
from models.anomaly.spec import Bools, Floats, Ints, ScorerSpec
from models.anomaly.state import HIGH, LOW, STATISTICS, ScorerState
from models.anomaly.versions import PriorVersions
from models.anomaly.view import View
from models.calibration import Counts, Limits

CUSUM = STATISTICS.index("cusum")
LIMIT_FRAMES = 16
_USUAL_SUMS = calibration.usual_sums()
_NEVER_RELEASED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How unusual each frame is."""

    deviations: Deviations
    motion: Floats
    heights: Floats
    """[n, c] the higher CUSUM; NaN where unknown."""
    evidence: Evidence
    log_tails: Floats
    """[n, k] of each detector."""
    sums: Counts
    """[n, b] the table of their sums so far."""
    total: Floats
    """[n] the evidence above `LEAST_ODD`, for the table; NaN where it means nothing yet."""
    evidenced: Floats
    """[n, 2] the running evidence, as `calibration.evidence` gives it."""
    score: Floats
    fresh: Floats
    """[n] the score without what the CUSUMs have piled up."""
    known: Bools


def judged(state: ScorerState, priors: PriorVersions, slots: Ints, view: View) -> Judgement:
    """Weigh a wave's evidence; nothing is known until the tables hold enough values."""
    deviations = evidence.deviations(view.values, view.residuals, view.steps, view.base, view.known)
    motion = evidence.moved(view.motion, deviations, view.base.wander)
    heights = np.where(view.known, motion[:, HIGH : LOW + 1].max(axis=1), np.nan)
    climbs = _climbs(priors.with_climbs(state.climbs[slots], view.which), heights)
    precision = evidence.unfolded(state.precision[slots], view.values.shape[1])
    found = evidence.gathered(deviations, motion, view.base.wander, climbs, precision)
    table = priors.with_tails(state.tails[slots], view.which)
    ready = (table[:, :-1, 0] >= calibration.READY_LEAST).all(axis=1)
    log_tails = calibration.log_tail(table[:, :-1], found.statistics)
    seen = np.any(view.known, axis=1) & np.all(np.isfinite(found.statistics), axis=1)
    known = np.asarray(seen & ready, np.bool_)
    before = state.evidence[slots].astype(np.float64)
    evidenced = calibration.evidence(before, log_tails, CUSUM)
    whole, fresh = calibration.scored(evidenced).T
    return Judgement(
        deviations=deviations,
        motion=motion,
        heights=heights,
        evidence=found,
        log_tails=log_tails,
        total=np.where(known, np.maximum(evidenced[:, 0] - calibration.LEAST_ODD, 0.0), np.nan),
        evidenced=np.where(known[:, None], evidenced, before),
        sums=table[:, -1] + _USUAL_SUMS,
        score=np.where(known, whole, 0.0),
        fresh=np.where(known, fresh, 0.0),
        known=known,
    )


def _climbs(tables: Counts, heights: Floats) -> Floats:
    """Log-tails [n, c] of the CUSUMs; NaN where a channel's table does not hold enough yet."""
    ready = tables[..., 0] >= calibration.READY_LEAST
    return np.where(ready, calibration.log_tail(tables, heights), np.nan)


def limited(
    state: ScorerState, priors: PriorVersions, spec: ScorerSpec, slots: Ints, sums: Counts
) -> Limits:
    """Tell at which scores each device's states change, by what it has reached so far.

    They are worked out anew after every so many frames of a device, and kept in its state.
    """
    due = state.seen[slots] % LIMIT_FRAMES == 0
    if due.any():
        own = state.cadence[slots[due]]
        cadence_s = np.where(own > 0, own, priors.cadence_s[state.which[slots[due]]])
        state.limits[slots[due]] = _limits(spec, sums[due], cadence_s)
    alarm, enter = state.limits[slots].astype(np.float64).T
    return Limits(
        enter=enter,
        leave=np.full(len(slots), spec.leave),
        alarm=alarm,
        release=np.where(state.free[slots], _NEVER_RELEASED, spec.release_frames),
    )


def _limits(spec: ScorerSpec, sums: Counts, cadence_s: Floats) -> Floats:
    """Scores [n, 2] that a device reaches as often as the budget, and as the odd share, allow."""
    chance = calibration.frame_chance(spec.alarms_per_week, cadence_s)
    odd = np.maximum(spec.odd_share, chance)
    reached = calibration.quantiles(sums, -np.log(np.stack([chance, odd])))
    return calibration.scored(reached + calibration.LEAST_ODD).T
