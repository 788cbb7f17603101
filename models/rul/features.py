"""What a row of a life tells of its wear: smoothed levels, slopes, and distance from its youth.

All causal: a row depends on its device's rows up to it. Channels are in healthy standard units.
Noise hides wear in each channel; the health index, a ridge regression of the remaining life on all
channels at once, shows it, and is smoothed and followed like a channel, only at more spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.rul.lives import Lives

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

SPANS: Final = (4, 10, 30)
"""Cycles over which a channel's exponentially weighted means reach."""
WINDOWS: Final = (15, 40)
"""Cycles over which a channel's slopes are fitted."""
YOUTH: Final = 20
"""First cycles of a life, whose mean is its own baseline."""
INDEX_SPANS: Final = (3, 8, 20, 50)
INDEX_WINDOWS: Final = (15, 30, 60)
RIDGE: Final = 10.0
CONSTANT: Final = 1e-9
"""Standard deviations, relative to the level, up to which a channel is constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How rows are looked at, learnt from complete lives.

    `channels` are those that vary; `centre` and `scale` [c] standardise them; `weight` [c] and
    `offset` make the health index of them, in cycles left.
    """

    channels: tuple[str, ...]
    centre: Floats
    scale: Floats
    weight: Floats
    offset: float


def learn_view(lives: Lives, remaining: Floats) -> View:
    """Return the view that lives teach, `remaining`[m] being the cycles left, capped."""
    x = _held(lives, lives.values)
    centre = _mean(x)
    scale = np.sqrt(_mean((x - centre) ** 2))
    varies = scale > CONSTANT * (1.0 + np.abs(centre))
    centre, scale = centre[varies], scale[varies]
    z = np.nan_to_num((x[:, varies] - centre) / scale)
    middle = float(remaining.mean())
    gram = np.einsum("mi,mj->ij", z, z) + RIDGE * np.eye(z.shape[1])
    weight = np.linalg.solve(gram, np.einsum("mi,m->i", z, remaining - middle))
    return View(
        channels=tuple(n for n, v in zip(lives.channels, varies, strict=True) if v),
        centre=centre,
        scale=scale,
        weight=weight,
        offset=middle,
    )


def columns(view: View, lives: Lives) -> Floats:
    """Return the features of every row; [m, f]. A channel that is missing stands at its mean."""
    x = _held(lives, lives.seen_as(view.channels))
    z = np.nan_to_num((x - view.centre) / view.scale)
    index = np.einsum("mc,c->m", z, view.weight)[:, None] + view.offset
    return np.concatenate([_of_life(z[s], index[s], lives.cycle[s]) for s in lives.spans])


def _of_life(z: Floats, index: Floats, cycle: Floats) -> Floats:
    smooth = [smoothed(z, span) for span in SPANS]
    return np.hstack(
        [
            *smooth,
            *(slopes(z, window) for window in WINDOWS),
            smooth[1] - youth(z),
            *(smoothed(index, span) for span in INDEX_SPANS),
            *(slopes(index, window) for window in INDEX_WINDOWS),
            youth(index),
            np.minimum.accumulate(smoothed(index, INDEX_SPANS[1])),
            cycle[:, None],
        ]
    )


def smoothed(x: Floats, span: float) -> Floats:
    """Return exponentially weighted means of rate 1 / span along a life, unbiased at its start."""
    keep = 1.0 - 1.0 / span
    out, total, weight = np.empty_like(x), np.zeros(x.shape[1]), 0.0
    for t, row in enumerate(x):
        total = keep * total + row
        weight = keep * weight + 1.0
        out[t] = total / weight
    return out


def slopes(x: Floats, window: int) -> Floats:
    """Return the least-squares slope over the last `window` rows, shrunk while there are fewer."""
    place = np.arange(len(x))
    start = np.maximum(place - window + 1, 0)
    sums = _between(_running(x), start, place)
    place, start = place[:, None], start[:, None]
    moments = _between(_running(x * place), start[:, 0], place[:, 0])
    n = (place - start + 1).astype(float)
    middle = (start + place) / 2.0
    spread = n * (n**2 - 1.0) / 12.0
    # As if a quarter of a window without a trend had gone before.
    prior = (window / 4.0) ** 3 / 12.0
    return np.asarray((moments - middle * sums) / (spread + prior))


def youth(x: Floats) -> Floats:
    """Return the mean of the first `YOUTH` rows, as far as they are known; [m, c]."""
    n = np.minimum(np.arange(1, len(x) + 1), YOUTH)
    return np.asarray(_running(x)[n] / n[:, None])


def _running(x: Floats) -> Floats:
    return np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])


def _between(total: Floats, first: Ints, last: Ints) -> Floats:
    return np.asarray(total[last + 1] - total[first])


def _held(lives: Lives, values: Floats) -> Floats:
    """Return values with each gap filled by what stood before it; NaN where nothing did."""
    known = np.isfinite(values)
    if known.all():
        return values
    out = values.copy()
    for span in lives.spans:
        place = np.where(known[span], np.arange(span.stop - span.start)[:, None], -1)
        before = np.maximum.accumulate(place, axis=0)
        held = np.take_along_axis(values[span], np.maximum(before, 0), axis=0)
        out[span] = np.where(before >= 0, held, np.nan)
    return out


def _mean(x: Floats) -> Floats:
    """Return the means of what is known; zero where nothing is."""
    known = np.isfinite(x)
    return np.asarray(np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
