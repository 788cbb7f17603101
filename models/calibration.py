"""From tail probabilities to a score, and from an alarm budget to a threshold and a state."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.channelwise import summed
from models.exceedance import EDGES, Counts

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WEEK_S = 7 * 86400.0
RELEARN_FRAMES = 200
"""A released device learns anew for so many frames, and is not anomalous meanwhile."""
BRIEF_FRAMES = 30
"""An anomalous state that ends within so many frames enters the tables, and no longer one."""
UNSEEN = 2.5
"""A healthy device reaches a score so many times as often as its tables say (simulated), for what
lasts longer than `BRIEF_FRAMES` never enters them."""
USUAL_WEEKS = 2.0
PEAKS_PER_WEEK = 6.0
PEAKS_FROM = 3.0
PEAKS_SCALE = 1.0
"""What a device is taken to be like before it has shown it: for so many weeks it had so many
states that passed, whose peaks lie so far above `LEAST_ODD` and are exponential from there."""
MARGIN = 1.5
"""A threshold is set for so much less than the budget: what comes is not quite as what was."""
LONGEST_S = 8 * WEEK_S
"""Peaks of so much time are kept; then their tables are halved."""
REFERENCE_COUNT = 200.0
"""`usual_sums` counts for so many values."""
SMOOTH = 0.2
"""Weight of the newest frame in a device's evidence: what several frames say weighs more."""
USUAL = 4.1
USUAL_ROOT = 0.89
"""The evidence of a healthy device on average, and one detector's part in it: E sqrt(Exp(1))."""
ONE_IN_TEN = 5.3
TEN_TIMES_RARER = 1.0
"""See `scored`."""
ONE_IN_TEN_AT_ONCE = 6.1
TEN_TIMES_RARER_AT_ONCE = 1.75
ASKED_TWICE = 0.3
"""log10(2): see `joined`."""
LEAST_ODD = 3.0
"""Tables of evidence hold what is above this, because their edges are finest near 0."""


def evidence(before: Floats, log_tails: Floats32, lasting: int) -> Floats:
    """Add frames [n] to their devices' running evidence [2, n]: all of it, and the fresh part.

    Each detector adds the root of its log-tail [k, n], so that one of them alone, however loud,
    does not outweigh two that agree. The fresh part takes the detector `lasting`, which piles up
    and only time clears, to be as usual.
    """
    roots = np.sqrt(np.maximum(log_tails, 0.0))
    whole = summed(roots)
    fresh = whole - roots[lasting] + USUAL_ROOT
    return before + SMOOTH * (np.stack([whole, fresh]) - before)


def joined(smoothed: Floats, log_tails: Floats32) -> Floats:
    """Give the stronger of running evidence [n] and of what the newest frame [k, n] alone says.

    One frame's evidence is put on the scale of running evidence by equal chance: nine in ten
    frames are below 6.1, and each 1.75 more is ten times rarer (simulated as for `scored`). Who
    asks twice finds something twice as often at most, which is taken off (Bonferroni).
    """
    at_once = summed(np.sqrt(np.maximum(log_tails, 0.0)))
    rarer = (at_once - ONE_IN_TEN_AT_ONCE) / TEN_TIMES_RARER_AT_ONCE - ASKED_TWICE
    joint: Floats = np.maximum(smoothed, ONE_IN_TEN + TEN_TIMES_RARER * rarer)
    return joint


def scored(evidence: Floats) -> Floats:
    """-log10 of the chance of evidence [n] at least this strong.

    The evidence of five detectors, each calibrated to its own device, has much the same
    distribution for any number of channels and any autocorrelation (simulated: 1 to 10 channels,
    white and AR(1) at .9): nine in ten are below 5.3, and each 1 more is ten times rarer. So
    scores compare across devices; how often a device reaches one is for its own table to say.
    """
    over = evidence - ONE_IN_TEN
    below = np.square(np.square(np.maximum(evidence, 0.0) / ONE_IN_TEN))
    return np.where(over < 0, below, 1.0 + over / TEN_TIMES_RARER)


def usual_sums() -> Counts:
    """The exceedance table [b] of `scored`, for as many values as it counts for."""
    counts = REFERENCE_COUNT * 10.0 ** -scored(EDGES + LEAST_ODD)
    return np.rint(counts).astype(np.uint16)


def usual_peaks() -> Counts:
    """Give the exceedance table [b] of the peaks of `USUAL_WEEKS` of a device like any other."""
    beyond = np.maximum(EDGES - PEAKS_FROM, 0.0) / PEAKS_SCALE
    return np.rint(USUAL_WEEKS * PEAKS_PER_WEEK * np.exp(-beyond)).astype(np.uint16)


def frame_chance(alarms_per_week: float, cadence_s: Floats) -> Floats:
    """The share of frames that may raise an alarm, for `alarms_per_week` of them in a week.

    `cadence_s` [...] is the time between two frames. Evidence is smoothed, so that frames exceed a
    threshold in runs of about 1 / `SMOOTH`, and a run raises one alarm.
    """
    frames = alarms_per_week * np.maximum(cadence_s, 1e-3) / WEEK_S
    return np.minimum(frames / SMOOTH / UNSEEN, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """When the anomalous state begins and ends, and how often it may be announced.

    The state begins earlier than an alarm: what is merely odd is not learnt from, and if it goes
    on, nothing has blurred it by the time it is beyond the budget's threshold.
    """

    clear_frames: int
    refractory_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Scores [n] at which each device's states change."""

    enter: Floats
    """The anomalous state begins."""
    leave: Floats
    """A frame is calm below it."""
    alarm: Floats
    """The budget's threshold."""
    release: Ints
    """[n] frames after which the anomalous state is the new normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmState:
    """The alarm state of n devices."""

    anomalous: Bools
    announced: Bools
    """[n] this anomalous state has raised its alarm."""
    calm: Ints
    """[n] calm frames in a row."""
    held: Ints
    """[n] frames since the anomalous state began; below 0, frames of relearning still to go."""
    last_alarm_ms: Ints
    """[n] when an alarm was last raised; a large negative number if never."""


def advance(
    rule: AlarmRule,
    state: AlarmState,
    *,
    score: Floats,
    fresh: Floats,
    known: Bools,
    limits: Limits,
    healthy: Bools,
    ts_ms: Ints,
) -> tuple[AlarmState, Bools]:
    """Take one frame each: the state after it, and where an alarm is raised.

    A frame that is not known moves nothing: it neither raises nor clears. `fresh` is the score
    without the evidence that only time takes away. A frame known to be healthy ends the state.
    """
    amnesty = state.held < 0
    begins = known & ~healthy & (score >= limits.enter)
    calm = np.where(known, np.where(fresh < limits.leave, state.calm + 1, 0), state.calm)
    released = state.anomalous & (state.held >= limits.release)
    stays = state.anomalous & ~healthy & (calm < rule.clear_frames)
    anomalous = (begins | stays) & ~released & ~amnesty
    rested = ts_ms - state.last_alarm_ms >= int(rule.refractory_s * 1000)
    announced = state.announced & state.anomalous
    alarm = anomalous & known & (score >= limits.alarm) & rested & ~announced
    held = np.where(anomalous | amnesty, state.held + known, 0)
    after = AlarmState(
        anomalous=anomalous,
        announced=(announced | alarm) & anomalous,
        calm=calm,
        held=np.where(released, -RELEARN_FRAMES, held),
        last_alarm_ms=np.where(alarm, ts_ms, state.last_alarm_ms),
    )
    return after, alarm
