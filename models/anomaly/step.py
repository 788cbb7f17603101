"""One wave: read the state of its devices, score one frame each, learn from it, write it back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import calibration
from models.anomaly import evidence, levels
from models.anomaly.levels import Baseline
from models.anomaly.spec import Bools, Floats, Ints, ScorerSpec, Scores
from models.anomaly.state import FAST, HIGH, LAST, LOW, MEAN, STIR, ScorerState
from models.anomaly.timing import Timing, timed
from models.anomaly.versions import PriorVersions

STALE, SUSPECT = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stays the same from wave to wave."""

    spec: ScorerSpec
    rule: calibration.AlarmRule
    ambient: Ints
    """[a] columns of the ambient channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """At most one frame of a device each."""

    slots: Ints
    ts_ms: Ints
    phase: npt.NDArray[np.int16]
    place: Ints
    """[n] the phase's index in the specification; -1 where it is not scored."""
    values: Floats
    quality: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A frame in the light of its device's past, before anything is learnt from it."""

    heard: Bools
    """[n] the frame says something: not stale, not empty."""
    scored: Bools
    timing: Timing
    which: Ints
    place: Ints
    values: Floats
    """[n, c] with the surroundings' part taken out; NaN where missing or not scored."""
    shift: Floats
    """[n, c] the surroundings' part."""
    centre: Floats
    own: Floats
    """[n, 5, c] the device's own levels."""
    base: Baseline
    motion: Floats
    """[n, 6, c] with what a break interrupted begun again."""
    steps: Floats
    """[n, c] successive differences; NaN where unknown."""
    residuals: Floats
    """[n, c] values less what was to be expected; NaN where unknown."""
    known: Bools
    """[n, c] there is a value, and enough is known to judge it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How unusual each frame is."""

    motion: Floats
    z: Floats
    heights: Floats
    """[n, c] the higher CUSUM; NaN where unknown."""
    evidence: evidence.Evidence
    log_tails: Floats
    """[n, k] of each detector."""
    total: Floats
    """[n] their sum; NaN where it means nothing yet."""
    score: Floats
    known: Bools


def step(state: ScorerState, priors: PriorVersions, setting: Setting, frames: Frames) -> Scores:
    """Score one wave and bring the state up to date."""
    view = viewed(state, priors, setting, frames)
    judged = judgement(state, priors, frames, view)
    limit = calibration.threshold(setting.spec.alarms_per_week, view.timing.cadence_s)
    after, alarm, released = calibration.advance(
        setting.rule,
        _alarm_state(state, frames.slots),
        score=judged.score,
        known=judged.known,
        limit=limit,
        ts_ms=frames.ts_ms,
    )
    learn(state, priors, setting, frames, view, judged, after, released)
    contributions = evidence.shares(judged.evidence.parts, judged.log_tails)
    contributions *= judged.score[:, None]
    return Scores(
        score=judged.score,
        known=judged.known,
        threshold=limit,
        anomalous=after.anomalous,
        alarm=alarm,
        top_channel=np.where(judged.known, contributions.argmax(axis=1), -1),
        contributions=contributions.astype(np.float32),
        deviation=np.where(view.known, judged.motion[:, MEAN], np.nan).astype(np.float32),
        baseline=np.where(view.base.frames > 0, view.base.centre + view.shift, np.nan),
    )


def viewed(state: ScorerState, priors: PriorVersions, setting: Setting, frames: Frames) -> View:
    """Look at a wave's frames with the state that their devices are in."""
    spec, slots = setting.spec, frames.slots
    heard = (frames.quality != STALE) & np.isfinite(frames.values).any(axis=1)
    scored = heard & (frames.place >= 0)
    place = np.maximum(frames.place, 0)
    timing = timed(
        frames.ts_ms, state.ts[slots], state.cadence[slots], state.seen[slots], spec.gap_factor
    )
    which = state.which[slots]
    raw = np.where(scored[:, None] & np.isfinite(frames.values), frames.values, np.nan)
    shift = priors.shift(which, place, raw, setting.ambient)
    values = raw - shift
    centre = state.centre[slots, place]
    own = state.levels[slots, place].astype(np.float64)
    base = levels.blended(centre, own, priors.rows(which, place))
    restart = timing.broken | (frames.phase != state.phase[slots])
    motion = _restarted(state.motion[slots], values, timing.broken, restart)
    expected = base.centre + base.local * (motion[:, FAST] - base.centre)
    return View(
        heard=heard,
        scored=scored,
        timing=timing,
        which=which,
        place=place,
        values=values,
        shift=shift,
        centre=centre,
        own=own,
        base=base,
        motion=motion,
        steps=np.where(restart[:, None], np.nan, values - motion[:, LAST]),
        residuals=values - expected,
        known=np.isfinite(values) & (base.frames >= spec.warm_up),
    )


def judgement(state: ScorerState, priors: PriorVersions, frames: Frames, view: View) -> Judgement:
    """Weigh a wave's evidence; nothing is known until the tables hold enough values."""
    top = evidence.Z_TOP
    z = np.where(view.known, np.clip(view.residuals / view.base.spread, -top, top), 0.0)
    stepped = view.known & np.isfinite(view.steps)
    jumps = np.where(stepped, np.clip(view.steps / view.base.step, -top, top), 0.0)
    motion = evidence.moved(
        view.motion,
        values=view.values,
        z=z,
        jumps=jumps,
        wander=view.base.wander,
        known=view.known,
        stepped=stepped,
    )
    precision = state.precision[frames.slots].astype(np.float64)
    heights = np.where(view.known, motion[:, HIGH : LOW + 1].max(axis=1), np.nan)
    own = priors.with_climbs(state.climbs[frames.slots], view.which)
    climbs = calibration.log_tail(own, heights)
    climbs = np.where(own[..., 0] >= calibration.TAIL_LEAST, climbs, 0.0)
    found = evidence.gathered(
        evidence.Residuals(z=z, jumps=jumps, motion=motion),
        view.base,
        climbs,
        precision,
        view.known,
    )
    table = priors.with_tails(state.tails[frames.slots], view.which)
    ready = table[..., 0] >= calibration.TAIL_LEAST
    log_tails = calibration.log_tail(table[:, :-1], found.statistics)
    any_known = view.known.any(axis=1)
    total = np.where(any_known & ready[:, :-1].all(axis=1), log_tails.sum(axis=1), np.nan)
    known = np.isfinite(total) & ready[:, -1]
    score = calibration.log_tail(table[:, -1], total) / np.log(10.0)
    return Judgement(
        motion=motion,
        z=z,
        heights=heights,
        evidence=found,
        log_tails=log_tails,
        total=total,
        score=np.where(known, score, 0.0),
        known=known,
    )


def learn(
    state: ScorerState,
    priors: PriorVersions,
    setting: Setting,
    frames: Frames,
    view: View,
    judged: Judgement,
    after: calibration.AlarmState,
    released: Bools,
) -> None:
    """Write back what the wave's frames changed: nothing at all where a device was not heard."""
    slots, memory = frames.slots, float(setting.spec.memory)
    hurry = after.held < 0
    trusted = view.scored & (frames.quality != SUSPECT)
    normal = trusted & ~after.anomalous
    # A table that never saw a healthy device's odd moments would find them ever odder.
    brief = trusted & (after.held <= calibration.BRIEF_FRAMES)
    lesson = levels.Lesson(
        values=view.values,
        steps=view.steps,
        residuals=view.residuals,
        means=np.where(view.known, judged.motion[:, MEAN], np.nan),
        where=normal[:, None] & np.isfinite(view.values),
        hurry=hurry,
    )
    learnt = levels.learnt(view.centre, view.own, lesson, memory)
    state.centre[slots, view.place], state.levels[slots, view.place] = learnt
    motion = np.where(released[:, None, None], _stilled(judged.motion), judged.motion)
    state.motion[slots] = np.where(view.scored[:, None, None], motion, state.motion[slots])
    _learn_tails(state, slots, judged, brief & view.known.any(axis=1) & ~hurry)
    _learn_pairs(state, priors, slots, view, judged, normal & ~hurry, memory)
    _keep_time(state, frames, view, after)


def _restarted(motion: Floats, values: Floats, broken: Bools, restart: Bools) -> Floats:
    again = np.where(broken[:, None, None], _stilled(motion), motion)
    fast = motion[:, FAST]
    again[:, FAST] = np.where(restart[:, None] | ~np.isfinite(fast), values, fast)
    return again


def _stilled(motion: Floats) -> Floats:
    still = motion.copy()
    still[:, MEAN : STIR + 1] = 0.0
    return still


def _alarm_state(state: ScorerState, slots: Ints) -> calibration.AlarmState:
    return calibration.AlarmState(
        anomalous=state.anomalous[slots],
        announced=state.announced[slots],
        calm=state.calm[slots].astype(np.int64),
        held=state.held[slots],
        last_alarm_ms=state.last_alarm[slots],
    )


def _learn_tails(state: ScorerState, slots: Ints, judged: Judgement, where: Bools) -> None:
    values = np.concatenate([judged.evidence.statistics, judged.total[:, None]], axis=1)
    values = np.where(where[:, None], values, np.nan)
    state.tails[slots] = calibration.added(state.tails[slots], values)
    heights = np.where(where[:, None], judged.heights, np.nan)
    state.climbs[slots] = calibration.added(state.climbs[slots], heights)


def _learn_pairs(
    state: ScorerState,
    priors: PriorVersions,
    slots: Ints,
    view: View,
    judged: Judgement,
    where: Bools,
    memory: float,
) -> None:
    pairs = state.pairs[slots]
    state.pairs[slots] = evidence.paired(pairs, judged.z, view.known, where, memory)
    learnt = state.pairs[slots, 0]
    due = (learnt != pairs[:, 0]) & (learnt % evidence.REFRESH_FRAMES == 0)
    if due.any():
        refreshed(state, priors, slots[due])


def refreshed(state: ScorerState, priors: PriorVersions, slots: Ints) -> None:
    """Work out the precision matrices of devices anew."""
    cohort = priors.correlation[state.which[slots]]
    state.precision[slots] = evidence.precisions(state.pairs[slots], cohort)


def _keep_time(
    state: ScorerState, frames: Frames, view: View, after: calibration.AlarmState
) -> None:
    heard = view.heard
    slots = frames.slots[heard]
    state.ts[slots] = frames.ts_ms[heard]
    state.phase[slots] = frames.phase[heard]
    state.cadence[slots] = view.timing.cadence_s[heard]
    state.seen[slots] += 1
    state.anomalous[slots] = after.anomalous[heard]
    state.announced[slots] = after.announced[heard]
    state.calm[slots] = np.minimum(after.calm[heard], 10_000)
    state.held[slots] = after.held[heard]
    state.last_alarm[slots] = after.last_alarm_ms[heard]
