"""Baselines: robust running centre and spread per (device, phase, channel), blended with a prior.

Channels c, devices n. Every operation is elementwise, so a device's result does not depend on which
others are computed beside it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.anomaly.spec import Bools, Floats, Floats32
from models.anomaly.state import COUNT, RESIDUAL, SPREAD, STEP, WANDER

Reals = npt.NDArray[np.floating[Any]]

MAD_TO_SD = 1.2533141373155001
"""sqrt(pi / 2): mean absolute deviation to standard deviation, for a normal distribution."""
FORGET = 0.1
"""Weight of the newest frame in the running mean deviation (MEWMA: Lowry et al., 1992)."""
FORGET_FAST = 0.2
"""Weight of the newest frame in the fast level that slow channels are compared with."""
CLIP = 4.0
"""A deviation moves a baseline by at most that of one so many standard deviations out."""
INDEPENDENT_FRAMES = 10.0
"""A level known from so many independent frames is believed as much as the fast level."""
RESOLUTION = 1e-4
"""A channel that never moved is taken to vary by this share of its value."""
HURRY_FRAMES = 32.0
USUAL_WANDER = (FORGET / (2.0 - FORGET)) ** 0.5
"""Standard deviation of the running mean where deviations are independent, in theirs."""
USUAL_FRAMES = 50.0
"""Frames that `USUAL_WANDER` counts for."""
_TINY = 1e-15
_UNBOUNDED = np.float32(np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorRows:
    """The part of a prior that concerns each device; all [c, n]."""

    centre: Floats
    spread: Floats
    between: Floats
    step: Floats
    wander: Floats
    weight: Floats
    independent: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What to expect of each device's channels; all [c, n]."""

    centre: Floats
    spread: Floats32
    step: Floats32
    wander: Floats32
    """Standard deviation of the running mean of standardised deviations."""
    local: Floats32
    """How far to follow the fast level instead of the long-run centre: 0 not, 1 wholly."""
    frames: Floats32
    """How many frames, own and the prior's, stand behind it."""


def blended(centre: Floats, levels: Floats32, prior: PriorRows) -> Baseline:
    """Blend each device's own centre [c, n] and levels [5, c, n] with the prior's by frames.

    The prior's figures are taken at the levels' own precision, and only the centre is not: it is in
    raw units.
    """
    count = levels[COUNT]
    told_spread, between, told_step, told_wander, weight, told_independent = (
        figure.astype(np.float32)
        for figure in (
            prior.spread,
            prior.between,
            prior.step,
            prior.wander,
            prior.weight,
            prior.independent,
        )
    )
    frames = count + weight
    own = count / np.maximum(frames, 1.0)
    rest = 1.0 - own
    unlike = rest * (told_spread**2 + between**2)
    spread = np.sqrt(own * levels[SPREAD] ** 2 + unlike)
    step = own * levels[STEP] + rest * told_step
    residual = np.sqrt(own * levels[RESIDUAL] ** 2 + unlike)
    middle = own * centre + rest * prior.centre
    floor = _floor(middle)
    wander = count * levels[WANDER] + weight * told_wander + USUAL_FRAMES * USUAL_WANDER
    wander /= frames + USUAL_FRAMES
    independent = count * independence(step, spread) + told_independent
    scale = np.maximum(residual, floor)
    # How far this device is from its cohort does not average out.
    unsure = (rest * between / scale) ** 2
    return Baseline(
        centre=middle,
        spread=scale,
        step=np.maximum(step, 0.1 * floor),
        wander=np.sqrt(np.maximum(wander, 0.1 * USUAL_WANDER) ** 2 + unsure),
        local=_local(independent),
        frames=frames,
    )


def alone(centre: Floats, levels: Floats32) -> Baseline:
    """Give what `blended` does with a prior that knows nothing, to the last bit, for less."""
    count = levels[COUNT]
    floor = _floor(centre)
    wander = (count * levels[WANDER] + USUAL_FRAMES * USUAL_WANDER) / (count + USUAL_FRAMES)
    independent = count * independence(levels[STEP], levels[SPREAD])
    return Baseline(
        centre=centre,
        spread=np.maximum(levels[RESIDUAL], floor),
        step=np.maximum(levels[STEP], 0.1 * floor),
        wander=np.maximum(wander, 0.1 * USUAL_WANDER),
        local=_local(independent),
        frames=count,
    )


def _local(independent: Reals) -> Reals:
    return INDEPENDENT_FRAMES / (INDEPENDENT_FRAMES + independent)


def _floor(centre: Floats) -> Floats32:
    return (RESOLUTION * np.abs(centre) + _TINY).astype(np.float32)


def independence(step: Reals, spread: Reals) -> Reals:
    """How many independent frames one frame is worth for knowing a channel's level; .2 at most.

    A channel is taken to be white noise on a slow wander (of the surroundings, say). By von
    Neumann's ratio r = step² / 2 spread², the fast level's own ratio is then
    r f² / (2 - f) / (1 - r (1 - f / (2 - f))): what is left of the wander once the noise has been
    smoothed away. A channel that only drifted while it was watched has no known level.
    """
    smooth = FORGET_FAST / (2.0 - FORGET_FAST)
    ratio = np.minimum(0.5 * (step / np.maximum(spread, _TINY)) ** 2, 1.0)
    return FORGET_FAST * smooth * ratio / (1.0 - ratio * (1.0 - smooth))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What frames have to teach; [c, n] but for `hurry`; NaN where unknown."""

    values: Floats
    steps: Floats32
    residuals: Floats32
    means: Floats32
    """Running mean of standardised deviations."""
    where: Bools
    hurry: Bools
    """[n] unlearn what was known: short memory, nothing clipped."""


def learnt(
    centre: Floats, levels: Floats32, lesson: Lesson, memory: float
) -> tuple[Floats, Floats32]:
    """The centre [c, n] and levels [5, c, n] after one more frame.

    Running means at first, exponentially weighted ones after `memory` frames, with deviations
    clipped at `CLIP` spreads once there are enough frames to know the spread (Huber's psi).
    """
    count, hurry = levels[COUNT], lesson.hurry
    longest = np.where(hurry, HURRY_FRAMES, memory).astype(np.float32)
    rate = 1.0 / np.minimum(count + 1.0, longest)
    settled = (count >= CLIP * CLIP) & ~hurry
    error = np.where(lesson.where, lesson.values - centre, 0.0)
    moving = _moving(centre, levels)
    error = np.where(settled, _clipped(error, moving), error)
    after = levels.copy()
    # The first value of all is its own centre: it has no deviation to learn from.
    taught = lesson.where & (count > 0)
    for row, size in (
        (SPREAD, error.astype(np.float32)),
        (STEP, lesson.steps),
        (RESIDUAL, lesson.residuals),
        (WANDER, lesson.means),
    ):
        before = moving if row == SPREAD else levels[row]
        change = rate * (_bounded(before, size, settled) - levels[row])
        np.add(after[row], change, out=after[row], where=taught & np.isfinite(size))
    after[COUNT] += lesson.where
    return centre + rate * error, after


def _moving(centre: Floats, levels: Floats32) -> Floats32:
    """The spread, or for a channel that stood still until it once moved, by how much it did.

    Nothing would be left of a deviation that is bounded by a spread of 0.
    """
    spread: Floats32 = levels[SPREAD]
    return np.where(spread > _floor(centre), spread, np.maximum(levels[RESIDUAL], spread))


def _clipped(error: Floats, spread: Floats32) -> Floats:
    bound = CLIP * spread + _TINY
    return np.clip(error, -bound, bound)


def _bounded(before: Floats32, error: Floats32, settled: Bools) -> Floats32:
    size = MAD_TO_SD * np.abs(error)
    bound = np.where(settled & (before > 0), CLIP * MAD_TO_SD * before, _UNBOUNDED)
    return np.minimum(size, bound)
