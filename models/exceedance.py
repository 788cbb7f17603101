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
_ROUNDING = 1e-9
"""What lies on an edge reaches it."""
_LOGS: Floats = np.log(np.arange(1.0, 2**16 + 1.0))
"""ln(n + 1) of every count n."""


def binned(values: Floats) -> npt.NDArray[np.uint8]:
    """Where values [...] belong in a table; `EMPTY` for NaN."""
    return binned_at(values).astype(np.uint8)


def added(table: Counts, bins: npt.NDArray[np.uint8]) -> Counts:
    """Add one value [...], as `binned`, to each table [..., b]."""
    grown: Counts = table + np.take(_REACHED[:, : table.shape[-1]], bins, axis=0)
    full = grown[..., 0] >= CAPACITY
    if full.any():
        grown[full] >>= 1
    return grown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables that rows [n] of devices look at, k of them each, where they lie."""

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

    def at(self, index: Ints) -> Ints:
        """How many values reached the edges `index` [n, k]."""
        counts = _picked(self.own, self.slots, index)
        if self.prior is None or self.which is None:
            return counts
        return counts + _picked(self.prior, self.which, index)

    def whole(self, rows: Ints, kinds: Ints) -> Counts:
        """The tables [m, b] of some rows."""
        own = self.own[self.slots[rows], kinds]
        if self.prior is None or self.which is None:
            return own
        return own + self.prior[self.which[rows], kinds]


def _picked(tables: Counts, at: Ints, index: Ints) -> Ints:
    _, kinds, bins = tables.shape
    first = (at * (kinds * bins))[:, None] + np.arange(index.shape[1]) * bins
    counts: Ints = np.take(tables.reshape(-1), first + index).astype(np.int64)
    return counts


def log_tail(tables: Tables, values: Floats, totals: Ints, bins: Ints) -> Floats:
    """-ln P(as large as this or larger) of values [n, k]; 0 for an empty table.

    `totals` [n, k] are how many values each table holds, `bins` where the values belong, as
    `binned_at` gives it. Values are never negative. NaN gives 0: an unknown statistic says nothing.
    """
    inside = np.clip(bins, 0, tables.bins - 2)
    low, high = tables.at(inside), tables.at(inside + 1)
    below, above = np.take(_LOGS, low), np.take(_LOGS, high)
    share = (values - np.take(EDGES, inside)) / np.take(_WIDTHS, inside)
    tail = np.where(bins >= 0, np.take(_LOGS, totals) - below + (below - above) * share, 0.0)
    rows, kinds = np.nonzero((bins >= 0) & (high < _wanted(totals)))
    tail[rows, kinds] = _extrapolated(tables.whole(rows, kinds), values[rows, kinds])
    return np.where(totals > 0, tail, 0.0)


def binned_at(values: Floats) -> Ints:
    """Index of the last edge that values [...] reach; -1 for NaN.

    Worked out, not looked up: edges are geometric.
    """
    unknown = np.isnan(values)
    known = np.where(unknown, 0.0, values)
    first = EDGES[1]
    above = np.log(np.maximum(known, first) / first) * _PER_EDGE
    reached = (above + _ROUNDING).astype(np.int64) + (known >= first)
    return np.where(unknown, -1, np.minimum(reached, len(EDGES) - 1))


def _wanted(total: Floats | Ints) -> Floats:
    return np.maximum(TAIL_LEAST, TAIL_SHARE * total)


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
