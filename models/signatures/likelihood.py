"""From evidence to the odds of each failure mode: pure, and the same for any family.

Naive Bayes on log-odds. Each piece of evidence adds its log-likelihood ratio to the mode's base
rate. Against a mode stand *healthy* (odds 1), *unknown* (something is odd that no mode explains)
and its *rivals*, the modes that would show in the same places: two modes that share nothing can be
true at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.features.spec import BASELINE_OF, BASELINES, HOUR_MS, LEVELS, RING, SHORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.features import FeatureSpec
    from models.signatures.library import Evidence, Library, Mode

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

OWN_BLOCKS: Final = 4
"""Blocks of a device's own below which nothing is compared with its baseline."""
SPREAD_BLOCKS: Final = 12.0
"""Blocks of a device's own whose spread weighs as much as the library's."""
_REACH: Final = {"last": 1, "short": SHORT, "long": RING}
"""Blocks that a level looks back on; those that fade count as the short window."""
LIMIT: Final = 20.0
UNKNOWN: Final = -3.5
"""Log-odds, where nothing is odd, that something ails a device which no mode explains."""
ODD: Final = (4.0, 12.0, 5.0)
"""Deviation from which that becomes likelier, up to which, and by how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """Rows as a library sees them; m rows, i pieces of evidence, q codes, k modes.

    z[m, i] in deviations (or units, where absolute), signed as seen; now, usual [m, i]; ratio[m, i]
    and code_ratio[m, k, q] log-likelihood ratios; odds[m, k] log-odds of each mode against all that
    speaks otherwise; known[m, k] whether anything at all can be said of it.
    """

    z: Floats
    now: Floats
    usual: Floats
    ratio: Floats
    code_ratio: Floats
    odds: Floats
    known: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where a library's evidence stands in feature rows; made once a library."""

    library: Library
    spec: FeatureSpec
    items: tuple[Evidence, ...]
    owner: NDArray[np.int64]
    """[i] the mode of each piece of evidence."""
    rivals: Floats
    """[k, k] 1 where two modes would show in the same places, and of each with itself."""
    shown_by: Bools
    """[i, p] the components that show where each piece of evidence is looked for."""
    code_weight: Floats
    """[k, q] log-likelihood ratio of each code of the specification."""
    said_by: Bools
    """[q, p] the components that a code may speak of."""
    component: NDArray[np.int64]
    """[k] the component of each mode, among the specification's."""

    @staticmethod
    def of(library: Library, spec: FeatureSpec) -> Layout:
        """Lay a library out for rows of this specification."""
        items = tuple(e for mode in library.modes for e in mode.evidence)
        owner = [k for k, mode in enumerate(library.modes) for _ in mode.evidence]
        told = np.zeros((len(library.modes), len(spec.codes) + 1))
        component = np.array([spec.components.index(m.component) for m in library.modes])
        shown = np.zeros((len(items), len(spec.components)), dtype=bool)
        for k, mode in enumerate(library.modes):
            for code in mode.codes:
                told[k, spec.codes.index(code.code)] = code.weight
            subjects = {e.subject for e in mode.evidence}
            shown[:, component[k]] |= np.array([e.subject in subjects for e in items], dtype=bool)
        of_component = component[:, None] == np.arange(len(spec.components))
        return Layout(
            library=library,
            spec=spec,
            items=items,
            owner=np.array(owner, dtype=np.int64),
            rivals=_rivals(library.modes),
            shown_by=shown,
            code_weight=told,
            said_by=((told != 0).astype(float).T @ of_component) > 0,
            component=component,
        )


def _rivals(modes: Sequence[Mode]) -> Floats:
    """Tell which modes share a subject or a code, or are of one component; [k, k]."""
    shown = [{e.subject for e in m.evidence} | {c.code for c in m.codes} for m in modes]
    share = [
        [
            bool(a & b) or one.component == other.component
            for b, other in zip(shown, modes, strict=True)
        ]
        for a, one in zip(shown, modes, strict=True)
    ]
    return np.array(share, dtype=np.float64)


def weigh(layout: Layout, values: NDArray[np.float32]) -> Weighed:
    """Weigh feature rows [m, f]."""
    z, now, usual = _deviations(layout, values)
    ratio = _ratios(layout.items, z)
    code_ratio = _code_ratios(layout, values)
    prior = np.array([mode.prior for mode in layout.library.modes])
    gathered = np.zeros((len(values), len(prior)))
    for i, k in enumerate(layout.owner):
        gathered[:, k] += ratio[:, i]
    score = prior + gathered + code_ratio.sum(axis=2)
    return Weighed(
        z=z,
        now=now,
        usual=usual,
        ratio=ratio,
        code_ratio=code_ratio,
        odds=_against_others(layout, score, _oddest(layout, z)),
        known=_known(layout, z),
    )


def _deviations(layout: Layout, values: NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """Give deviation, present and usual value of every piece of evidence; each [m, i]."""
    spec, m = layout.spec, len(values)
    c = len(spec.channels)
    level = values[:, spec.parts["level"]].astype(float).reshape(m, len(LEVELS), c)
    centre, scale, count = (
        values[:, spec.parts[name]].astype(float).reshape(m, len(BASELINES), c)
        for name in ("centre", "scale", "count")
    )
    at = np.array([LEVELS.index(e.level) for e in layout.items])
    base = np.array(BASELINE_OF)[at]
    column = np.array([spec.channels.index(e.subject) for e in layout.items])
    now, usual = level[:, at, column], centre[:, base, column]
    own, n = scale[:, base, column], count[:, base, column]
    declared = _spread(layout.items, usual)
    blended = (n * own**2 + SPREAD_BLOCKS * declared**2) / (n + SPREAD_BLOCKS)
    sigma = np.sqrt(blended * (1.0 + OWN_BLOCKS / np.maximum(n, 1.0))) + 1e-12
    compared = np.where(n >= OWN_BLOCKS, np.clip((now - usual) / sigma, -LIMIT, LIMIT), np.nan)
    absolute = np.array([e.absolute for e in layout.items], dtype=bool)
    z = np.where(absolute, now, compared)
    return np.where(_stale(layout, values), np.nan, z), now, usual


def _stale(layout: Layout, values: NDArray[np.float32]) -> Bools:
    """Tell where a window reaches back before a part that shows in it was changed; [m, i]."""
    step_h = layout.spec.step_ms / HOUR_MS
    reach = np.array([step_h * _REACH.get(e.level, SHORT) for e in layout.items])
    return _youngest(layout, values, layout.shown_by) < reach


def _youngest(layout: Layout, values: NDArray[np.float32], of: Bools) -> Floats:
    """Give the age of the youngest of some components; infinite where none is known; [m, x]."""
    age = values[:, layout.spec.parts["age_h"]].astype(float)
    known = np.where(np.isfinite(age), age, np.inf)
    told: Floats = np.where(of[None], known[:, None, :], np.inf).min(axis=2)
    return told


def _spread(items: Sequence[Evidence], usual: Floats) -> Floats:
    absolute = np.array([e.spread for e in items])
    share = np.array([e.spread_share for e in items])
    told: Floats = np.hypot(absolute, share * np.abs(usual))
    return told


def _ratios(items: Sequence[Evidence], z: Floats) -> Floats:
    """Give each piece's log-likelihood ratio; nothing where it is not known; [m, i]."""
    direction = np.array([e.direction for e in items], dtype=float)
    begins, full = np.array([e.begins for e in items]), np.array([e.full for e in items])
    seen = np.where(direction == 0.0, np.abs(z), direction * z)
    grown = (seen - begins) / (full - begins)
    against = np.array([e.against for e in items])
    weight = np.array([e.weight for e in items])
    return np.asarray(weight * np.nan_to_num(np.clip(grown, -against, 1.0)))


def _code_ratios(layout: Layout, values: NDArray[np.float32]) -> Floats:
    """Give each code's log-likelihood ratio for each mode, where it was heard in the last day.

    What was said before a part was changed that it may speak of was said of that part.
    """
    parts = layout.spec.parts
    heard = values[:, parts["count_day"]] > 0
    since = values[:, parts["hours_since"]].astype(float)
    fresh = heard & np.logical_not(since >= _youngest(layout, values, layout.said_by))
    return np.where(fresh[:, None, :], layout.code_weight, 0.0)


def _oddest(layout: Layout, z: Floats) -> Floats:
    """Give the largest deviation from any own baseline; [m]."""
    compared = [i for i, e in enumerate(layout.items) if not e.absolute]
    if not compared:
        return np.zeros(len(z))
    return np.asarray(np.nan_to_num(np.abs(z[:, compared])).max(axis=1, initial=0.0))


def _against_others(layout: Layout, score: Floats, oddest: Floats) -> Floats:
    """Turn scores into log-odds against healthy, unknown and the rivals; [m, k]."""
    begins, full, most = ODD
    unknown = UNKNOWN + most * np.clip((oddest - begins) / (full - begins), 0.0, 1.0)
    grown = np.exp(np.clip(score, -40.0, 40.0))
    others = np.einsum("mj,jk->mk", grown, layout.rivals - np.eye(len(layout.rivals)))
    odds: Floats = np.clip(score, -40.0, 40.0) - np.log(1.0 + np.exp(unknown)[:, None] + others)
    return odds


def _known(layout: Layout, z: Floats) -> Bools:
    known = np.zeros((len(z), len(layout.library.modes)), dtype=bool)
    for i, k in enumerate(layout.owner):
        known[:, k] |= np.isfinite(z[:, i])
    return known
