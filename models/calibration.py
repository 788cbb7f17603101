"""From raw statistics to tail probabilities, and from an alarm budget to a threshold.

A statistic's history is an *exceedance table*: for each of `EDGES`, how many past values were at
least that large. Adding a value is one comparison, reading a tail is one look-up, two tables
blend by addition, and nothing depends on the order of the values.

Beyond the edge that a small share of the values exceeded, the tail is extrapolated: exponential
excesses with k observations and mean excess b, their rate unknown, have the predictive survival
function (1 + x / (k b)) ** -k (Pareto II; exponential as k grows). Few observations thus make a
heavier tail, so that a short history does not shout.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.uint16]

WEEK_S = 7 * 86400.0
EDGES: Floats = np.concatenate(([0.0], 0.1 * 1.25 ** np.arange(39)))
"""[b] lower edges, geometric from 0.1 to about 480."""
CAPACITY = 8192
"""A table that has seen this many values is halved, so that it forgets slowly."""
RELEARN_FRAMES = 200
"""A released device learns anew for so many frames, and is not anomalous meanwhile."""
BRIEF_FRAMES = 30
"""An anomalous state that ends within so many frames enters the tables, and no longer one."""
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
LEAST_ODD = 3.0
"""Tables of evidence hold what is above this, because their edges are finest near 0."""
TAIL_SHARE = 0.005
TAIL_LEAST = 8.0
"""The extrapolated tail holds this share of the values, and at least so many of them. A spike that
comes back every few hundred frames is in the table, and does not stand out for ever."""
READY_LEAST = 20.0
"""A table of fewer values says nothing."""

_BINS = np.arange(len(EDGES), dtype=np.int8)
_WIDTHS: Floats = np.diff(EDGES)


def binned(values: Floats) -> npt.NDArray[np.uint8]:
    """Where values [...] belong in a table; `EMPTY` for NaN."""
    return _bin(values).astype(np.uint8)


def added(table: Counts, bins: npt.NDArray[np.uint8]) -> Counts:
    """Add one value [...], as `binned`, to each table [..., b]."""
    here = bins.astype(np.int8)[..., None]
    grown: Counts = table + (_BINS[: table.shape[-1]] <= here)
    full = grown[..., 0] >= CAPACITY
    if full.any():
        grown[full] >>= 1
    return grown


def log_tail(table: Counts, values: Floats) -> Floats:
    """-ln P(as large as this or larger) of values [...] by tables [..., b]; 0 for an empty table.

    Values are never negative. NaN gives 0: an unknown statistic says nothing.
    """
    total = table[..., 0].astype(np.float64)
    here = np.minimum(_bin(values), table.shape[-1] - 1)
    inside = np.clip(here, 0, table.shape[-1] - 2)
    low, high = _at(table, inside), _at(table, inside + 1)
    share = (values - EDGES[inside]) / _WIDTHS[inside]
    lower, upper = _log_survival(low, total), _log_survival(high, total)
    tail = np.where(here >= 0, lower + (upper - lower) * share, 0.0)
    far = (here >= 0) & (high < _wanted(total))
    tail[far] = _extrapolated(table[far], values[far])
    return np.where(total > 0, tail, 0.0)


def _bin(values: Floats) -> Ints:
    """Index of the last edge that a value reaches; -1 for NaN."""
    reached = np.searchsorted(EDGES, values, side="right") - 1
    return np.where(np.isnan(values), -1, reached)


def _at(table: Counts, index: Ints) -> Floats:
    taken = np.take_along_axis(table, index[..., None], axis=-1)[..., 0]
    return taken.astype(np.float64)


def _wanted(total: Floats) -> Floats:
    return np.maximum(TAIL_LEAST, TAIL_SHARE * total)


def _log_survival(count: Floats, total: Floats) -> Floats:
    return np.log((total + 1.0) / (count + 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    total: Floats
    start: Ints
    """The last edge that enough values exceed."""
    count: Floats
    """How many exceed it, and by how much on average."""
    mean_excess: Floats


def _tail(table: Counts) -> _Tail:
    """Fit the tail of each table [m, b]."""
    counts = table.astype(np.float64)
    widths = _WIDTHS[: counts.shape[1] - 1]
    total = counts[:, 0]
    start = np.maximum((counts >= _wanted(total)[:, None]).sum(axis=1) - 1, 0)
    count = np.maximum(_at(table, start), 1.0)
    # Simpson's rule with the geometric mean as middle: near exact where survival is exponential.
    middle = np.sqrt(counts[:, :-1] * counts[:, 1:])
    areas = (counts[:, :-1] + 4.0 * middle + counts[:, 1:]) * widths / 6.0
    beyond = _BINS[: len(widths)] >= start[:, None]
    least = 0.1 * widths[np.minimum(start, len(widths) - 1)]
    mean_excess = np.maximum(np.where(beyond, areas, 0.0).sum(axis=1) / count, least)
    return _Tail(total=total, start=start, count=count, mean_excess=mean_excess)


def _extrapolated(table: Counts, values: Floats) -> Floats:
    tail = _tail(table)
    excess = np.maximum(values - EDGES[tail.start], 0.0) / (tail.count * tail.mean_excess)
    return _log_survival(tail.count, tail.total) + tail.count * np.log1p(excess)


def quantiles(table: Counts, log_tails: Floats) -> Floats:
    """Give the values that tables [n, b] exceed with probability exp(-log_tails) [q, n]; [q, n].

    The inverse of `log_tail` where it extrapolates; the edge where that begins, for less.
    """
    tail = _tail(table)
    further = np.maximum(log_tails - _log_survival(tail.count, tail.total), 0.0)
    return EDGES[tail.start] + tail.count * tail.mean_excess * np.expm1(further / tail.count)


def evidence(before: Floats, log_tails: Floats, lasting: int) -> Floats:
    """Add frames [n] to their devices' running evidence [n, 2]: all of it, and the fresh part.

    Each detector adds the root of its log-tail [n, k], so that one of them alone, however loud,
    does not outweigh two that agree. The fresh part takes the detector `lasting`, which piles up
    and only time clears, to be as usual.
    """
    roots = np.sqrt(np.maximum(log_tails, 0.0))
    whole = roots.sum(axis=1)
    fresh = whole - roots[:, lasting] + USUAL_ROOT
    return before + SMOOTH * (np.stack([whole, fresh], axis=1) - before)


def scored(evidence: Floats) -> Floats:
    """-log10 of the chance of evidence [n] at least this strong.

    The evidence of five detectors, each calibrated to its own device, has much the same
    distribution for any number of channels and any autocorrelation (simulated: 1 to 10 channels,
    white and AR(1) at .9): nine in ten are below 5.3, and each 1 more is ten times rarer. So
    scores compare across devices; how often a device reaches one is for its own table to say.
    """
    over = evidence - ONE_IN_TEN
    below = (np.maximum(evidence, 0.0) / ONE_IN_TEN) ** 4
    return np.where(over < 0, below, 1.0 + over / TEN_TIMES_RARER)


def usual_sums() -> Counts:
    """The exceedance table [b] of `scored`, for as many values as it counts for."""
    counts = REFERENCE_COUNT * 10.0 ** -scored(EDGES + LEAST_ODD)
    return np.rint(counts).astype(np.uint16)


def frame_chance(alarms_per_week: float, cadence_s: Floats) -> Floats:
    """The share of frames that may raise an alarm, for `alarms_per_week` of them in a week.

    `cadence_s` [...] is the time between two frames. Evidence is smoothed, so that frames exceed a
    threshold in runs of about 1 / `SMOOTH`, and a run raises one alarm.
    """
    frames = alarms_per_week * np.maximum(cadence_s, 1e-3) / WEEK_S
    return np.minimum(frames / SMOOTH, 0.1)


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
