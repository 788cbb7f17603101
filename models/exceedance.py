"""Exceedance tables: what share of a statistic's past was as large as this.

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
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint16]

EDGES: Floats = np.concatenate(([0.0], 0.1 * 1.25 ** np.arange(39)))
"""[b] lower edges, geometric from 0.1 to about 480."""
CAPACITY = 8192
"""A table that has seen this many values is halved, so that it forgets slowly."""
TAIL_SHARE = 0.005
TAIL_LEAST = 8.0
"""The extrapolated tail holds this share of the values, and at least so many of them. A spike that
comes back every few hundred frames is in the table, and does not stand out for ever."""
READY_LEAST = 20.0
"""A table of fewer values says nothing."""

_BINS = np.arange(len(EDGES), dtype=np.int8)
_WIDTHS: Floats = np.diff(EDGES)
_REACHED: Counts = np.zeros((256, len(EDGES)), np.uint16)
"""[bin, b] 1 where a value of that bin counts; the last row is of none."""
_REACHED[:255] = np.arange(255)[:, None] >= _BINS
_PER_EDGE = 1.0 / np.log(1.25)
_NOTHING = np.float32(0.0)
_ROUNDING = 1e-9
"""What lies on an edge reaches it."""
_LOGS: Floats32 = np.log(np.arange(1.0, 2**16 + 1.0)).astype(np.float32)
"""ln(n + 1) of every count n."""
_STARTS: Floats32 = EDGES.astype(np.float32)
_PER_WIDTH: Floats32 = (1.0 / _WIDTHS).astype(np.float32)


def binned(values: Floats) -> npt.NDArray[np.uint8]:
    """Where values [...] belong in a table; `EMPTY` for NaN."""
    return binned_at(values).astype(np.uint8)


def added(table: Counts, bins: npt.NDArray[np.uint8]) -> Counts:
    """Add one value [...], as `binned`, to each table [..., b]."""
    grown: Counts = np.take(_REACHED[:, : table.shape[-1]], bins, axis=0)
    grown += table
    full = grown[..., 0] >= CAPACITY
    if full.any():
        grown[full] >>= 1
    return grown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables that devices [n] look at, k of them each, where they lie."""

    own: Counts
    """[s, >= k, b] of all devices."""
    slots: Ints
    prior: Counts | None = None
    """[v, >= k, b] added to them; None for nothing."""
    which: Ints | None = None

    @property
    def bins(self) -> int:
        """Edges of each table."""
        return int(self.own.shape[-1])

    def totals(self, kinds: int) -> Counts:
        """How many values the first `kinds` tables of each hold, [k, n]."""
        return self.between(np.zeros((kinds, 1), np.int64))[0]

    def between(self, index: Ints) -> tuple[Counts, Counts]:
        """How many values reached the edges `index` [k, n], and how many the edges after them."""
        low, high = _picked(self.own, self.slots, index)
        if self.prior is None or self.which is None:
            return low, high
        more = _picked(self.prior, self.which, index)
        return low + more[0], high + more[1]

    def whole(self, rows: Ints, kinds: Ints) -> Counts:
        """The tables [m, b] of some rows."""
        own = self.own[self.slots[rows], kinds]
        if self.prior is None or self.which is None:
            return own
        return own + self.prior[self.which[rows], kinds]


def _picked(tables: Counts, at: Ints, index: Ints) -> tuple[Counts, Counts]:
    _, kinds, bins = tables.shape
    place = index + (np.arange(len(index)) * bins)[:, None] + at * (kinds * bins)
    counts = tables.reshape(-1)
    return np.take(counts, place), np.take(counts, place + 1)


def log_tail(tables: Tables, values: Floats32, totals: Counts, bins: Ints) -> Floats32:
    """-ln P(as large as this or larger) of values [k, n]; 0 for an empty table.

    `totals` [k, n] are how many values each table holds, `bins` where the values belong, as
    `binned_at` gives it. Values are never negative. NaN gives 0: an unknown statistic says nothing.
    """
    inside = np.minimum(np.maximum(bins, 0), tables.bins - 2)
    low, high = tables.between(inside)
    below, above = np.take(_LOGS, low), np.take(_LOGS, high)
    share = (values - np.take(_STARTS, inside)) * np.take(_PER_WIDTH, inside)
    says = (bins >= 0) & (totals > 0)
    tail = np.where(says, np.take(_LOGS, totals) - below + (below - above) * share, _NOTHING)
    beyond = np.flatnonzero(says & (high < _wanted(totals)))
    kinds, rows = np.divmod(beyond, tail.shape[1])
    tail[kinds, rows] = _extrapolated(tables.whole(rows, kinds), values[kinds, rows])
    return tail


def binned_at(values: Floats | Floats32) -> Ints:
    """Index of the last edge that values [...] reach; -1 for NaN.

    Worked out, not looked up: edges are geometric.
    """
    unknown = np.isnan(values)
    known = np.where(unknown, 0.0, values)
    first = EDGES[1]
    above = np.log(np.maximum(known, first) / first) * _PER_EDGE
    reached = (above + _ROUNDING).astype(np.int64) + (known >= first)
    return np.where(unknown, -1, np.minimum(reached, len(EDGES) - 1))


def _wanted(total: Floats | Counts) -> Floats:
    wanted: Floats = np.maximum(TAIL_LEAST, TAIL_SHARE * total)
    return wanted


def _log_survival(count: Floats, total: Floats) -> Floats:
    return np.log((total + 1.0) / (count + 1.0))


def _at(table: Counts, index: Ints) -> Floats:
    return table[np.arange(len(table)), index].astype(np.float64)


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


def _extrapolated(table: Counts, values: Floats32) -> Floats:
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
