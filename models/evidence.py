"""Evidence per component: the same few numbers for every component, whatever its channels.

With some tens of failures spread over several components no model can learn each by itself. So what
is known of a row is first told in terms of each component: how much its telemetry looks like the
days before that component's failures, and how strongly the error codes speak for it. Models then
learn from all components together.

Telemetry: nearest shrunken centroids (Tibshirani et al., PNAS 2002): the mean deviation in the
hours before a component's failures, in healthy standard deviations, soft-thresholded at what chance
gives with so few failures. Codes: naive Bayes with presence and absence, shrunk to the base rate
and never below it: a failing part makes no other part's codes rarer.
A failure is one unit of evidence, however many rows stand before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.features.spec import DEVICE_COLUMNS, HOUR_MS, LEVELS, RING, SHORT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.deviations import Compared
    from models.features import FeatureSpec
    from models.labels import Outcomes

    Floats = NDArray[np.float64]

LEAD_H = 24.0
"""Hours before a failure in which its signs are learnt."""
CHANCE = 3.0
"""Soft threshold in standard errors of a mean over failures."""
PSEUDO_FAILURES = 2.0
"""Failures' worth of base rate mixed into the rate of a code before failures."""
ALONE = 3
"""Failures of a component by itself from which those beside another's failure are left out."""
COLUMNS = (
    "match",
    "match_short",
    "match_others",
    "codes",
    "codes_others",
    "hours_since_code",
    "age_ratio",
    "unrest",
    "score_last",
    "score_peak",
    "component",
    "visit",
)
RISING = (1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
"""Evidence that can only raise a hazard (a constraint on the trees)."""
CORE = (0, 1, 3)
"""Evidence that even few failures suffice to weigh; with more columns they mislead."""
VISIT = COLUMNS.index("visit")
"""Looked at only where failures keep to the rhythm of visits: elsewhere it misleads."""
RHYTHM = (0.5, 1.95)
"""Distance of Kolmogorov and Smirnov that tells a rhythm: at least, and in units of chance."""
VIEWS = 2
"""Each deviation is seen as it is, and beyond what the other channels explain."""
_LEVEL_BLOCKS = (1, SHORT, RING, SHORT, SHORT, SHORT, SHORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """What stands before the failures of each component.

    `weight[k, v * l * c]` in healthy standard deviations `sigma[v * l * c]`; `said[k, q]` and
    `unsaid[k, q]` log-likelihood ratios of a code heard or not heard in the last day;
    `life_h[k]` median age at failure of all `ages_h[k]` (sorted); `failures[k]` how many failures
    taught this.
    """

    weight: Floats
    sigma: Floats
    said: Floats
    unsaid: Floats
    life_h: Floats
    ages_h: tuple[Floats, ...]
    failures: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighted:
    """Rows as evidence is learnt from: deviations z[m, v * l * c], codes heard[m, q], age_h[m, k].

    `reach_h[v * l * c]` is how far back each deviation's window goes.
    """

    z: Floats
    heard: NDArray[np.bool_]
    hours_since: Floats
    age_h: Floats
    device: Floats
    reach_h: Floats


def sight(spec: FeatureSpec, compared: Compared, values: NDArray[np.float32]) -> Sighted:
    """Return rows as evidence sees them: deviations, then what others do not explain of them."""
    parts = spec.parts
    return Sighted(
        z=np.stack([compared.z, compared.beyond], axis=1).reshape(
            len(values), VIEWS * len(LEVELS) * len(spec.channels)
        ),
        heard=values[:, parts["count_day"]] > 0,
        hours_since=values[:, parts["hours_since"]].astype(float),
        age_h=values[:, parts["age_h"]].astype(float),
        device=values[:, parts["device"]].astype(float),
        reach_h=np.repeat(np.tile(_LEVEL_BLOCKS, VIEWS), len(spec.channels))
        * (spec.step_ms / HOUR_MS),
    )


def learn(seen: Sighted, result: Outcomes, kept: NDArray[np.bool_]) -> Signatures:
    """Return the signatures taught by the rows in `kept`[m]."""
    near = result.failed & (result.hours <= LEAD_H) & kept[:, None]
    quiet = kept & calm(result)
    z = np.nan_to_num(seen.z)
    sigma = np.maximum(z[quiet].std(axis=0) if quiet.any() else np.ones(z.shape[1]), 0.05)
    base = (seen.heard[quiet].sum(axis=0) + 0.5) / (quiet.sum() + 1.0)
    learnt = [
        _component(seen, z, sigma, base, _unmixed(near, result.episode, k), k)
        for k in range(near.shape[1])
    ]
    weight, said, unsaid, ages, failures = zip(*learnt, strict=True)
    return Signatures(
        weight=np.stack(weight),
        sigma=sigma,
        said=np.stack(said),
        unsaid=np.stack(unsaid),
        life_h=np.array([np.median(a) if len(a) else np.nan for a in ages]),
        ages_h=ages,
        failures=np.array(failures),
    )


def calm(result: Outcomes) -> NDArray[np.bool_]:
    """Tell which rows have no failure near, nor a failed part waiting to be replaced; [m]."""
    near = result.failed & (result.hours <= 3 * LEAD_H)
    return np.asarray(~(near | (result.hours <= 0)).any(axis=1))


def _component(
    seen: Sighted,
    z: Floats,
    sigma: Floats,
    base: Floats,
    episode: NDArray[np.int64],
    k: int,
) -> tuple[Floats, Floats, Floats, Floats, int]:
    near = episode >= 0
    names, which = np.unique(episode[near], return_inverse=True)
    n = len(names)
    heard = _heard(seen, k)[near]
    shift = _episode_means(z[near] / sigma, which, n).mean(axis=0) if n else np.zeros(z.shape[1])
    rate = _episode_means(heard.astype(float), which, n).sum(axis=0) if n else 0.0 * base
    rate = np.maximum((rate + PSEUDO_FAILURES * base) / (n + PSEUDO_FAILURES), base)
    rate = np.minimum(rate, 1 - 1e-4)
    weight = np.sign(shift) * np.maximum(np.abs(shift) - CHANCE / np.sqrt(max(n, 1)), 0.0)
    told = seen.age_h[near, k]
    ages = np.array([told[which == i].max() for i in range(n)])
    ages = np.sort(ages[np.isfinite(ages)])
    return weight, np.log(rate / base), np.log((1 - rate) / (1 - base)), ages, n


def _unmixed(near: NDArray[np.bool_], episode: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return component k's failure number per row, -1 where it teaches nothing; [m].

    Where another component fails in the same hours nobody can tell whose signs they are: such
    failures teach only while there are fewer than three that stand alone.
    """
    mine = np.where(near[:, k], episode[:, k], -1)
    mixed = np.unique(mine[near[:, k] & (near.sum(axis=1) > 1)])
    alone = np.where(np.isin(mine, mixed), -1, mine)
    return alone if len(np.unique(alone[alone >= 0])) >= ALONE else mine


def _episode_means(x: Floats, which: NDArray[np.int64], n: int) -> Floats:
    total = np.zeros((n, x.shape[1]))
    np.add.at(total, which, x)
    return total / np.bincount(which, minlength=n)[:, None]


def _heard(seen: Sighted, k: int) -> NDArray[np.bool_]:
    """Codes of the last day that came after component k was put in; [m, q]."""
    age = seen.age_h[:, k, None]
    return seen.heard & np.logical_not(seen.hours_since >= age)


def matches(signatures: Signatures, seen: Sighted, k: int) -> Floats:
    """Return each deviation's share in the likeness to component k's failures; [m, v * l * c].

    The sum over all is 1 where the row stands where the mean row before a failure stood. A window
    that reaches back before the component was put in is left out.
    """
    weight = signatures.weight[k]
    norm = float((weight**2).sum())
    stale = seen.age_h[:, k, None] < seen.reach_h
    z = np.where(stale, 0.0, np.nan_to_num(seen.z)) / signatures.sigma
    return z * weight / norm if norm > 0 else np.zeros_like(z)


def code_ratios(signatures: Signatures, seen: Sighted, k: int) -> Floats:
    """Return each code's log-likelihood ratio for component k; [m, q]."""
    ratio: Floats = np.where(_heard(seen, k), signatures.said[k], signatures.unsaid[k])
    return ratio


def evidence(signatures: Signatures, seen: Sighted) -> Floats:
    """Return the columns `COLUMNS` for every row and component; [m, k, e]."""
    components = signatures.weight.shape[0]
    every, short = np.ones(seen.z.shape[1], dtype=bool), _short(seen.z.shape[1])
    match, brief = (_likeness(signatures, seen, part) for part in (every, short))
    codes = np.stack(
        [code_ratios(signatures, seen, k).sum(axis=1) for k in range(components)], axis=1
    )
    score, peak = seen.device[:, DEVICE_COLUMNS.index("score_last")], seen.device[:, -1]
    unrest = np.sqrt(np.mean((np.nan_to_num(seen.z) / signatures.sigma) ** 2, axis=1))
    columns = [
        np.clip(match, -2, 3),
        brief,
        _most_of_others(match),
        codes,
        _most_of_others(codes),
        np.stack([_since(signatures, seen, k) for k in range(components)], axis=1),
        seen.age_h / signatures.life_h,
        *(np.repeat(x[:, None], components, axis=1) for x in (unrest, score, peak)),
        np.broadcast_to(np.arange(components, dtype=float), match.shape),
        np.repeat(_since_visit(seen)[:, None], components, axis=1),
    ]
    return np.stack(columns, axis=2)


def keeps_rhythm(seen: Sighted, result: Outcomes) -> bool:
    """Tell whether failures come so long after the last visit as ordinary hours seldom are.

    Parts of a fleet that is looked after every so many days are found failed on those days. Where
    failures come at any time, hours since the last replacement are spread alike before them and
    anywhere; the two-sample distance of Kolmogorov and Smirnov tells the one from the other.
    """
    since = _since_visit(seen)
    row, k = np.nonzero(result.failed & (result.hours <= LEAD_H) & np.isfinite(since)[:, None])
    if not len(row):
        return False
    _, first = np.unique(result.episode[row, k], return_index=True)
    before, usual = np.sort(since[row[first]]), np.sort(since[np.isfinite(since)])
    places = np.concatenate([before, usual])
    shares = [np.searchsorted(x, places, side="right") / len(x) for x in (before, usual)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    least, chance = RHYTHM
    return bool(distance > max(least, chance / np.sqrt(len(before))))


def _since_visit(seen: Sighted) -> Floats:
    """Hours since any part of the device was replaced; NaN where none is known; [m]."""
    age = np.where(np.isfinite(seen.age_h), seen.age_h, np.inf).min(axis=1)
    return np.where(np.isfinite(age), age, np.nan)


def _likeness(signatures: Signatures, seen: Sighted, part: NDArray[np.bool_]) -> Floats:
    """Return the sum of `matches` over some deviations for every component; [m, k]."""
    norm = (signatures.weight**2).sum(axis=1, keepdims=True)
    pull = signatures.weight * part / signatures.sigma / np.where(norm > 0, norm, 1.0)
    z = np.nan_to_num(seen.z)
    told: Floats = np.einsum("mf,kf->mk", z, pull)
    for k in range(len(pull)):
        fresh = np.flatnonzero(seen.age_h[:, k] < seen.reach_h.max())
        whole = seen.age_h[fresh, k, None] >= seen.reach_h
        told[fresh, k] = np.einsum("mf,f->m", np.where(whole, z[fresh], 0.0), pull[k])
    return told


def _short(width: int) -> NDArray[np.bool_]:
    """Tell which of the deviations [v * l * c] are those of the short window."""
    by_level = np.zeros((VIEWS, len(LEVELS), width // VIEWS // len(LEVELS)), dtype=bool)
    by_level[:, LEVELS.index("short")] = True
    return by_level.reshape(-1)


def _since(signatures: Signatures, seen: Sighted, k: int) -> Floats:
    """Hours since the latest code that speaks for component k; NaN if none in its life; [m]."""
    speaks = _heard(seen, k) & (signatures.said[k] > 1.0)
    hours = np.where(speaks, seen.hours_since, np.inf).min(axis=1)
    return np.where(np.isfinite(hours), hours, np.nan)


def _most_of_others(x: Floats) -> Floats:
    """Return for each component the largest value among the other components; [m, k]."""
    if x.shape[1] == 1:
        return np.full_like(x, np.nan)
    ordered = np.sort(x, axis=1)
    top, second = ordered[:, -1:], ordered[:, -2:-1]
    return np.where(x == top, second, top)
