"""Baselines: robust running centre and spread per (device, phase, channel), blended with a prior.

Rows n, channels c. Every operation is elementwise, so a row's result does not depend on which
other rows are computed beside it.
"""

from dataclasses import dataclass

import numpy as np

from models.anomaly.spec import Bools, Floats
from models.anomaly.state import CENTRE, COUNT, RESIDUAL, SPREAD, STEP

MAD_TO_SD = 1.2533141373155001
"""sqrt(pi / 2): mean absolute deviation to standard deviation, for a normal distribution."""
CLIP = 4.0
"""A deviation moves a baseline by at most that of one so many standard deviations out."""
INDEPENDENT_FRAMES = 30.0
"""A level known from so many independent frames is believed as much as the last few frames."""
RESOLUTION = 1e-4
"""A channel that never moved is taken to vary by this share of its value."""
HURRY_FRAMES = 32.0
_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorRows:
    """The part of a prior that concerns each row; all [n, c]."""

    centre: Floats
    spread: Floats
    between: Floats
    step: Floats
    weight: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What to expect of each row's channels; all [n, c]."""

    centre: Floats
    spread: Floats
    step: Floats
    local: Floats
    """How far to follow the recent level instead of the long-run centre: 0 not, 1 wholly."""
    frames: Floats
    """How many frames, own and the prior's, stand behind it."""


def blended(levels: Floats, prior: PriorRows) -> Baseline:
    """The baseline of each row from its own levels [n, 5, c] and the prior's.

    A slow channel (ambient temperature, say) shows few independent values in many frames: its
    successive differences are small against its spread. By von Neumann's ratio r = step² / 2
    spread² its n frames are worth about n r, and its long-run centre is believed accordingly.
    """
    count = levels[:, COUNT]
    frames = count + prior.weight
    own = count / np.maximum(frames, 1.0)
    rest = 1.0 - own
    unlike = rest * (prior.spread**2 + prior.between**2)
    spread = np.sqrt(own * levels[:, SPREAD] ** 2 + unlike)
    step = own * levels[:, STEP] + rest * prior.step
    ratio = np.minimum(0.5 * (step / np.maximum(spread, _TINY)) ** 2, 1.0)
    local = INDEPENDENT_FRAMES / (INDEPENDENT_FRAMES + count * ratio + prior.weight)
    centre = own * levels[:, CENTRE] + rest * prior.centre
    residual = np.sqrt(own * levels[:, RESIDUAL] ** 2 + unlike)
    floor = RESOLUTION * np.abs(centre) + _TINY
    return Baseline(
        centre=centre,
        spread=np.maximum(residual, floor),
        step=np.maximum(step, 0.1 * floor),
        local=local,
        frames=frames,
    )


def learnt(
    levels: Floats,
    *,
    values: Floats,
    steps: Floats,
    residuals: Floats,
    where: Bools,
    hurry: Bools,
    memory: float,
) -> Floats:
    """The levels [n, 5, c] after one more value each [n, c], where told; NaN steps are unknown.

    A running mean at first, an exponentially weighted one after `memory` frames, with deviations
    clipped at `CLIP` spreads once there are enough frames to know the spread (Huber's psi).
    Rows in a `hurry` [n] unlearn what they knew: short memory, nothing clipped.
    """
    count = levels[:, COUNT]
    rate = 1.0 / np.minimum(count + 1.0, np.where(hurry, HURRY_FRAMES, memory)[:, None])
    settled = (count >= CLIP * CLIP) & ~hurry[:, None]
    error = np.where(where, values - levels[:, CENTRE], 0.0)
    error = np.where(settled, _clipped(error, levels[:, SPREAD]), error)
    after = levels.copy()
    after[:, CENTRE] += rate * error
    for row, size in ((SPREAD, error), (STEP, steps), (RESIDUAL, residuals)):
        # The first value of all is its own centre: it has no deviation to learn from.
        use = where & (count > 0) & np.isfinite(size)
        change = _change(levels[:, row], np.where(use, size, 0.0), settled)
        after[:, row] += rate * np.where(use, change, 0.0)
    after[:, COUNT] = np.where(where, count + 1.0, count)
    return after


def _clipped(error: Floats, spread: Floats) -> Floats:
    bound = CLIP * spread + _TINY
    return np.clip(error, -bound, bound)


def _change(before: Floats, error: Floats, settled: Bools) -> Floats:
    size = MAD_TO_SD * np.abs(error)
    bound = np.where(settled & (before > 0), CLIP * MAD_TO_SD * before, np.inf)
    return np.minimum(size, bound) - before
