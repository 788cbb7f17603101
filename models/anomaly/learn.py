"""What a wave's frames change in the state of their devices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models import calibration, exceedance
from models.anomaly import context, evidence, levels
from models.anomaly.judge import Judgement
from models.anomaly.spec import Bools, Floats, Ints, ScorerSpec
from models.anomaly.state import COUNT, EMPTY, MEAN, PENDING, SPREAD, ScorerState
from models.anomaly.versions import PriorVersions
from models.anomaly.view import SUSPECT, Frames, View
from models.calibration import AlarmState
from models.channelwise import Held, turned, turned_back

SHAPE_EVERY = 4
HELD_EVERY = 4
HELD_FRAMES = 500.0
"""Frames over which it is told how often a channel repeats itself."""
WAITING_EVERY = 16
"""Of a long anomalous state one frame in so many waits for it to pass."""
NEVER = 2**62
SETTLED_FRAMES = 128
"""Values from before a device's first so many frames count for half: its baselines moved yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What each of n frames may teach."""

    unjudged: Bools
    """Baselines of channels that are not judged yet."""
    levels: Bools
    """Baselines: not while the device is anomalous."""
    shape: Bools
    """Covariance: nor while it learns anew."""
    tables: Bools
    """Calibration: also in an anomalous state, for a table that never saw a healthy device's odd
    moments would find them ever odder."""
    wait: Bools
    """The state is not brief: what it shows waits, one frame in many, until it has passed."""
    hurry: Bools
    """Learning anew after a release."""


def permitted(frames: Frames, view: View, after: AlarmState, free: Bools) -> Permit:
    """Decide what may be learnt; a device that learns freely [n] does so in any state."""
    trusted = view.scored & (frames.quality != SUSPECT)
    hurry = after.held < 0
    normal = trusted & (~after.anomalous | free)
    wait = (after.held > calibration.BRIEF_FRAMES) & ~free
    return Permit(
        unjudged=trusted,
        levels=normal,
        shape=normal & ~hurry,
        tables=trusted & ~hurry & view.known.any(axis=0),
        wait=wait,
        hurry=hurry,
    )


def learn(
    state: ScorerState,
    priors: PriorVersions,
    frames: Frames,
    view: View,
    judged: Judgement,
    after: AlarmState,
    spec: ScorerSpec,
) -> None:
    """Write back what changed: nothing at all where a device was not heard."""
    memory = float(spec.memory)
    slots, permit = frames.slots, permitted(frames, view, after, state.free[frames.slots])
    where = np.where(view.known, permit.levels, permit.unjudged)
    lesson = levels.Lesson(
        values=view.values,
        steps=view.steps,
        residuals=view.residuals,
        means=np.where(view.known, judged.trend[MEAN], np.nan),
        where=where & np.isfinite(view.values),
        hurry=permit.hurry,
    )
    centre, own = levels.learnt(view.centre, view.own, lesson, memory)
    _put(state.centre, slots, view.place, turned_back(centre))
    _put(state.levels, slots, view.place, turned_back(own))
    judged.trend[..., state.anomalous[slots] & ~after.anomalous] = 0.0
    motion, trend = turned_back(judged.motion), turned_back(judged.trend)
    if view.scored.all():
        state.motion[slots], state.trend[slots] = motion, trend
    else:
        at = slots[view.scored]
        state.motion[at], state.trend[at] = motion[view.scored], trend[view.scored]
    if len(view.light.features):
        _learn_context(state, frames, view, permit, memory)
    _learn_tables(state, slots, judged, permit, jobs=spec.jobs)
    _learn_peaks(state, frames, view, judged, after)
    _learn_shape(state, priors, slots, judged, permit.shape, memory)
    state.evidence[slots] = judged.evidenced.T
    _keep_time(state, frames, view, after)


def _learn_context(
    state: ScorerState, frames: Frames, view: View, permit: Permit, memory: float
) -> None:
    state.slow[frames.slots[view.heard]] = view.light.slow.T[view.heard]
    bound = levels.CLIP * view.own[SPREAD] + levels.RESOLUTION * np.abs(view.centre)
    settled = view.known & (view.own[COUNT] >= levels.CLIP**2)
    error = view.values - view.centre
    error = np.where(settled, np.clip(error, -bound, bound), error)
    error = np.where(np.isfinite(error) & (view.own[COUNT] > 0), error, 0.0)
    where = permit.unjudged & view.light.working
    taught = view.light.shift + error
    context.learn(state, frames.slots, view.place, view.light, taught, where, memory)


def _put(
    held: npt.NDArray[Held],
    slots: Ints,
    place: npt.NDArray[np.integer[Any]],
    rows: npt.NDArray[Held],
) -> None:
    """`held[slots, place] = rows`, several times as fast."""
    held.reshape(-1, *held.shape[2:])[slots * held.shape[1] + place] = rows


def _learn_tables(
    state: ScorerState, slots: Ints, judged: Judgement, permit: Permit, *, jobs: bool
) -> None:
    """Let the oldest waiting values into the tables, and every other frame's into the ring.

    In a long state nothing leaves the ring, and one frame in many enters it: if the device is
    repaired, they are forgotten; if the state passes by itself, they were a healthy device's.
    """
    if not jobs:
        state.pending[slots[permit.wait]] = EMPTY
    turn = state.seen[slots] % np.where(permit.wait, WAITING_EVERY if jobs else NEVER, 2) == 0
    rows = np.flatnonzero(permit.tables & turn)
    at = slots[rows]
    head = state.head[at]
    due = state.pending[at, head]
    due[permit.wait[rows]] = EMPTY
    kinds = state.tails.shape[1]
    settled = at[state.seen[at] == SETTLED_FRAMES]
    state.tails[settled] >>= 1
    state.climbs[settled] >>= 1
    state.tails[at] = exceedance.added(np.take(state.tails, at, axis=0), due[:, :kinds])
    state.climbs[at] = exceedance.added(np.take(state.climbs, at, axis=0), due[:, kinds:])
    _put(state.pending, at, head, turned_back(judged.bins.astype(np.uint8))[rows])
    state.head[at] = (head + 1) % PENDING


def _learn_peaks(
    state: ScorerState, frames: Frames, view: View, judged: Judgement, after: AlarmState
) -> None:
    """Keep how high each anomalous state reached that passed by itself: a healthy device's do."""
    slots = frames.slots
    state.judged_s[slots] += np.where(judged.known, view.timing.cadence_s, 0.0)
    over = judged.joint.astype(np.float32) - np.float32(calibration.LEAST_ODD)
    peak = np.where(after.anomalous, np.maximum(state.peak[slots], over), state.peak[slots])
    ended = np.flatnonzero(state.anomalous[slots] & ~after.anomalous)
    state.peak[slots] = np.where(after.anomalous, peak, 0.0)
    at = slots[ended]
    state.peaks[at] = exceedance.added(state.peaks[at], exceedance.binned(peak[ended]))
    long = slots[state.judged_s[slots] > calibration.LONGEST_S]
    state.judged_s[long] /= 2.0
    state.peaks[long] >>= 1


def _learn_shape(
    state: ScorerState,
    priors: PriorVersions,
    slots: Ints,
    judged: Judgement,
    where: Bools,
    memory: float,
) -> None:
    """Learn how channels move together, from one frame in four: they soon tell no more."""
    rows = np.flatnonzero(where & (state.seen[slots] % SHAPE_EVERY == 0))
    at = slots[rows]
    if not len(rows):
        return
    frame = judged.deviations
    z, known = np.take(frame.z, rows, axis=1), np.take(frame.known, rows, axis=1)
    before = turned(np.take(state.pairs, at, axis=0))
    state.pairs[at] = turned_back(evidence.paired(before, z, known, memory / SHAPE_EVERY))
    due = at[state.pairs[at, 0] % evidence.REFRESH_FRAMES == 0]
    if len(due):
        refresh(state, priors, due)


def refresh(state: ScorerState, priors: PriorVersions, slots: Ints) -> None:
    """Work out the precision matrices of devices anew."""
    cohort = priors.correlation[state.which[slots]]
    state.precision[slots] = evidence.precisions(state.pairs[slots], cohort)


def _keep_time(state: ScorerState, frames: Frames, view: View, after: AlarmState) -> None:
    heard = view.heard
    slots = frames.slots[heard]
    _keep_readings(state, slots, frames.values[heard], view.same[heard])
    state.ts[slots] = frames.ts_ms[heard]
    state.phase[slots] = frames.phase[heard]
    state.cadence[slots] = view.timing.cadence_s[heard]
    state.seen[slots] += 1
    state.anomalous[slots] = after.anomalous[heard]
    state.announced[slots] = after.announced[heard]
    state.calm[slots] = np.minimum(after.calm[heard], 10_000)
    state.held[slots] = after.held[heard]
    state.last_alarm[slots] = after.last_alarm_ms[heard]


def _keep_readings(state: ScorerState, slots: Ints, told: Floats, same: Bools) -> None:
    """Remember the last readings [n, c], and of one frame in four whether they are repeated."""
    before = np.take(state.told, slots, axis=0)
    state.told[slots] = np.where(np.isfinite(told), told, before)
    rows = np.flatnonzero(state.seen[slots] % HELD_EVERY == 0)
    at = slots[rows]
    share = state.repeats[at].astype(np.float32)
    count = state.seen[at][:, None] // HELD_EVERY + 1.0
    rate = 1.0 / np.minimum(count, HELD_FRAMES / HELD_EVERY)
    change = np.where(np.isfinite(told[rows]), rate * (same[rows] - share), 0.0)
    state.repeats[at] = share + change
