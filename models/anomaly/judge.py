"""How unusual a wave's frames are, and how unusual is too unusual for their devices."""

from dataclasses import dataclass

import numpy as np

from models import calibration, exceedance
from models.anomaly import evidence
from models.anomaly.evidence import Deviations, Evidence
from models.anomaly.spec import Bools, Floats, Floats32, Ints, ScorerSpec
from models.anomaly.state import HIGH, LOW, STATISTICS, ScorerState
from models.anomaly.versions import PriorVersions
from models.anomaly.view import View
from models.calibration import Limits
from models.exceedance import Counts, Tables

CUSUM = STATISTICS.index("cusum")
LIMIT_FRAMES = 16
_USUAL_SUMS = calibration.usual_sums()
_NEVER_RELEASED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How unusual each frame is."""

    deviations: Deviations
    motion: Floats
    trend: Floats32
    evidence: Evidence
    log_tails: Floats
    """[n, k] of each detector."""
    tables: Tables
    """The last one of a device is of its evidence above `LEAST_ODD` so far."""
    bins: Ints
    """[n, k + 1 + c] where the statistics, the evidence and the CUSUMs belong in their tables; -1
    where they mean nothing."""
    evidenced: Floats
    """[n, 2] the running evidence, as `calibration.evidence` gives it."""
    score: Floats
    fresh: Floats
    """[n] the score without what the CUSUMs have piled up."""
    known: Bools


def judged(state: ScorerState, priors: PriorVersions, slots: Ints, view: View) -> Judgement:
    """Weigh a wave's evidence; nothing is known until the tables hold enough values."""
    deviations = evidence.deviations(view.values, view.residuals, view.steps, view.base, view.known)
    motion, trend = evidence.moved(view.motion, view.trend, deviations, view.base.wander)
    heights = np.where(view.known, np.maximum(trend[:, HIGH], trend[:, LOW]), np.nan)
    rises = exceedance.binned_at(heights)
    climbs = _climbs(priors.climb_tables(state.climbs, slots, view.which), heights, rises)
    precision = evidence.unfolded(np.take(state.precision, slots, axis=0), view.values.shape[1])
    found = evidence.gathered(deviations, trend, view.base.wander, climbs, precision)
    tables = priors.tables(state.tails, slots, view.which)
    totals = tables.at(np.zeros(found.statistics.shape, np.int64))
    ready = (totals >= exceedance.READY_LEAST).all(axis=1)
    bins = exceedance.binned_at(found.statistics)
    log_tails = exceedance.log_tail(tables, found.statistics, totals, bins)
    seen = np.any(view.known, axis=1) & np.all(np.isfinite(found.statistics), axis=1)
    known = np.asarray(seen & ready, np.bool_)
    before = state.evidence[slots].astype(np.float64)
    evidenced = calibration.evidence(before, log_tails, CUSUM)
    joint = calibration.joined(evidenced[:, 0], log_tails)
    whole, fresh = calibration.scored(joint), calibration.scored(evidenced[:, 1])
    total = np.where(known, np.maximum(joint - calibration.LEAST_ODD, 0.0), np.nan)
    return Judgement(
        deviations=deviations,
        motion=motion,
        trend=trend,
        evidence=found,
        log_tails=log_tails,
        evidenced=np.where(known[:, None], evidenced, before),
        tables=tables,
        bins=np.concatenate([bins, exceedance.binned_at(total)[:, None], rises], axis=1),
        score=np.where(known, whole, 0.0),
        fresh=np.where(known, fresh, 0.0),
        known=known,
    )


def _climbs(tables: Tables, heights: Floats, bins: Ints) -> Floats:
    """Log-tails [n, c] of the CUSUMs; NaN where a channel's table does not hold enough yet."""
    totals = tables.at(np.zeros(heights.shape, np.int64))
    tails = exceedance.log_tail(tables, heights, totals, np.minimum(bins, tables.bins - 1))
    return np.where(totals >= exceedance.READY_LEAST, tails, np.nan)


def limited(
    state: ScorerState, priors: PriorVersions, spec: ScorerSpec, slots: Ints, tables: Tables
) -> Limits:
    """Tell at which scores each device's states change, by what it has reached so far.

    They are worked out anew after every so many frames of a device, and kept in its state.
    """
    due = state.seen[slots] % LIMIT_FRAMES == 0
    if due.any():
        own = state.cadence[slots[due]]
        cadence_s = np.where(own > 0, own, priors.cadence_s[state.which[slots[due]]])
        rows = np.flatnonzero(due)
        sums = tables.whole(rows, np.full(len(rows), len(STATISTICS)))
        state.limits[slots[due]] = _limits(spec, sums + _USUAL_SUMS, cadence_s)
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
    reached = exceedance.quantiles(sums, -np.log(np.stack([chance, odd])))
    return calibration.scored(reached + calibration.LEAST_ODD).T
