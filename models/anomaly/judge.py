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
from models.channelwise import turned
from models.exceedance import Counts, Tables

CUSUM = STATISTICS.index("cusum")
LIMIT_FRAMES = 16
_USUAL_SUMS = calibration.usual_sums()
_USUAL_PEAKS = calibration.usual_peaks()
_UNKNOWN = np.float32(np.nan)
_NEVER_RELEASED = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How unusual each frame is."""

    deviations: Deviations
    motion: Floats
    trend: Floats32
    evidence: Evidence
    log_tails: Floats32
    """[k, n] of each detector."""
    tables: Tables
    """The last one of a device is of its evidence above `LEAST_ODD` so far."""
    bins: Ints
    """[k + 1 + c, n] where the statistics, the evidence and the CUSUMs belong in their tables; -1
    where they mean nothing."""
    evidenced: Floats
    """[2, n] the running evidence, as `calibration.evidence` gives it."""
    joint: Floats
    """[n] the evidence that the score is of; 0 where nothing is known."""
    score: Floats
    fresh: Floats
    """[n] the score without what the CUSUMs have piled up."""
    known: Bools


def judged(state: ScorerState, priors: PriorVersions, slots: Ints, view: View) -> Judgement:
    """Weigh a wave's evidence; nothing is known until the tables hold enough values."""
    deviations = evidence.deviations(view.values, view.residuals, view.steps, view.base, view.known)
    motion, trend = evidence.moved(view.motion, view.trend, deviations, view.base.wander)
    heights = np.where(view.known, np.maximum(trend[HIGH], trend[LOW]), _UNKNOWN)
    rises = exceedance.binned_at(heights)
    climbs = _climbs(priors.climb_tables(state.climbs, slots, view.which), heights, rises)
    triangles = turned(np.take(state.precision, slots, axis=0))
    precision = evidence.unfolded_last(triangles, len(view.values))
    found = evidence.gathered(deviations, trend, view.base.wander, climbs, precision)
    tables = priors.tables(state.tails, slots, view.which)
    totals = tables.totals(len(found.statistics))
    ready = (totals >= exceedance.READY_LEAST).all(axis=0)
    bins = exceedance.binned_at(found.statistics)
    log_tails = exceedance.log_tail(tables, found.statistics, totals, bins)
    seen = view.known.any(axis=0) & np.isfinite(found.statistics).all(axis=0)
    known = np.asarray(seen & ready, np.bool_)
    before = turned(state.evidence[slots]).astype(np.float64)
    evidenced = calibration.evidence(before, log_tails, CUSUM)
    joint = calibration.joined(evidenced[0], log_tails)
    whole, fresh = calibration.scored(joint), calibration.scored(evidenced[1])
    total = np.where(known, np.maximum(joint - calibration.LEAST_ODD, 0.0), np.nan)
    return Judgement(
        deviations=deviations,
        motion=motion,
        trend=trend,
        evidence=found,
        log_tails=log_tails,
        evidenced=np.where(known, evidenced, before),
        tables=tables,
        bins=np.concatenate([bins, exceedance.binned_at(total)[None], rises]),
        joint=np.where(known, joint, 0.0),
        score=np.where(known, whole, 0.0),
        fresh=np.where(known, fresh, 0.0),
        known=known,
    )


def _climbs(tables: Tables, heights: Floats32, bins: Ints) -> Floats32:
    """Log-tails [c, n] of the CUSUMs; NaN where a channel's table does not hold enough yet."""
    totals = tables.totals(len(heights))
    tails = exceedance.log_tail(tables, heights, totals, np.minimum(bins, tables.bins - 1))
    return np.where(totals >= exceedance.READY_LEAST, tails, _UNKNOWN)


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
        limits = _limits(spec, sums + _USUAL_SUMS, cadence_s)
        if spec.jobs:
            limits[:, 0] = _peak_limits(state, spec, slots[due])
            limits[:, 1] = np.minimum(limits[:, 0], limits[:, 1])
        state.limits[slots[due]] = limits
    alarm, enter = turned(state.limits[slots]).astype(np.float64)
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


def _peak_limits(state: ScorerState, spec: ScorerSpec, slots: Ints) -> Floats:
    """Scores [n] that peaks of states which passed by themselves exceed as the budget allows."""
    weeks = state.judged_s[slots] / calibration.WEEK_S + calibration.USUAL_WEEKS
    peaks = state.peaks[slots] + _USUAL_PEAKS
    allowed = spec.alarms_per_week / calibration.MARGIN * weeks
    share = np.minimum(allowed / peaks[:, 0], 1.0)
    reached = exceedance.quantiles(peaks, -np.log(share)[None])[0]
    return calibration.scored(reached + calibration.LEAST_ODD)
