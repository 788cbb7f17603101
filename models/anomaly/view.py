"""A wave's frames in the light of what their devices were like before."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from models.anomaly import context, levels
from models.anomaly.context import Light
from models.anomaly.levels import Baseline
from models.anomaly.spec import Bools, Floats, Floats32, Ints, ScorerSpec
from models.anomaly.state import FAST, HELD_SHARE, LAST, ScorerState
from models.anomaly.timing import Timing, timed
from models.anomaly.versions import PriorVersions
from models.calibration import AlarmRule
from models.channelwise import turned

STALE, SUSPECT = 1, 2
HELD_WARM_UP = 8
"""Readings of a held channel before it is scored; they are seldom."""
Held = TypeVar("Held", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stays the same from wave to wave."""

    spec: ScorerSpec
    rule: AlarmRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """At most one frame of a device each."""

    slots: Ints
    ts_ms: Ints
    phase: npt.NDArray[np.int16]
    place: Ints
    """[n] the phase's index in the specification; -1 where it is not scored."""
    values: Floats
    context: Floats
    quality: Ints
    healthy: Bools
    """[n] known to be healthy, by whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Frames in the light of their devices' past, before anything is learnt from them."""

    heard: Bools
    """[n] the frame says something: not stale, not empty."""
    scored: Bools
    same: Bools
    """[n, c] the same reading as in the device's frame before."""
    timing: Timing
    which: Ints
    place: Ints
    values: Floats
    """[c, n] with the context's part taken out; NaN where missing or not scored."""
    light: Light
    centre: Floats
    own: Floats32
    """[5, c, n] the devices' own levels."""
    base: Baseline
    motion: Floats
    trend: Floats32
    """[2, c, n], [4, c, n] with what a break interrupted begun again."""
    steps: Floats32
    """[c, n] successive differences; NaN where unknown."""
    residuals: Floats32
    """[c, n] values less what was to be expected; NaN where unknown."""
    known: Bools
    """[c, n] there is a value, and enough is known to judge it."""


def viewed(state: ScorerState, priors: PriorVersions, setting: Setting, frames: Frames) -> View:
    """Look at a wave's frames with the state that their devices are in."""
    spec, slots = setting.spec, frames.slots
    told = turned(frames.values)
    present = np.isfinite(told)
    heard = (frames.quality != STALE) & present.any(axis=0)
    scored = heard & (frames.place >= 0)
    place = np.maximum(frames.place, 0)
    timing = timed(
        frames.ts_ms,
        state.ts[slots],
        state.cadence[slots],
        state.seen[slots],
        spec.gap_factor,
    )
    which = state.which[slots]
    same = np.take(state.told, slots, axis=0) == frames.values.astype(np.float32)
    held = turned(np.take(state.repeats, slots, axis=0) > HELD_SHARE)
    restart = timing.broken | (frames.phase != state.phase[slots])
    held &= spec.jobs
    says = scored & present
    if held.any():
        says &= ~(turned(same) & held & ~restart)
    raw = np.where(says, told, np.nan)
    light = _light(state, spec, frames, timing.broken)
    values = raw - light.shift
    centre = turned(_at(state.centre, slots, place))
    own = turned(_at(state.levels, slots, place))
    base = (
        levels.blended(centre, own, priors.rows(which, place))
        if priors.any
        else levels.alone(centre, own)
    )
    motion = _restarted(turned(np.take(state.motion, slots, axis=0)), values, restart)
    trend = turned(np.take(state.trend, slots, axis=0))
    # What spans several frames means nothing after a break.
    trend[..., timing.broken] = 0.0
    least, local = _trust(base, held, spec.warm_up)
    local = np.where(state.free[slots], 0.0, local)
    expected = base.centre + local * (motion[FAST] - base.centre)
    return View(
        heard=heard,
        scored=scored,
        same=same,
        timing=timing,
        which=which,
        place=place,
        values=values,
        light=light,
        centre=centre,
        own=own,
        base=base,
        motion=motion,
        trend=trend,
        steps=np.where(restart, np.nan, values - motion[LAST]).astype(np.float32) * light.weight,
        residuals=(values - expected).astype(np.float32) * light.weight,
        known=np.isfinite(values) & (base.frames >= least) & ~light.strange,
    )


def _light(state: ScorerState, spec: ScorerSpec, frames: Frames, broken: Bools) -> Light:
    if not spec.context:
        return context.none(len(frames.slots))
    working, told = frames.phase == spec.work, turned(frames.context)
    return context.seen(state, frames.slots, working, told, broken)


def _trust(base: Baseline, held: Bools, warm_up: int) -> tuple[Ints | int, Floats32]:
    """Give how many readings a level needs, and how much the moving one is followed instead.

    What is held was measured anew each time it moved, so that its level is soon known.
    """
    if not held.any():
        return warm_up, base.local
    far = levels.INDEPENDENT_FRAMES
    return (
        np.where(held, HELD_WARM_UP, warm_up),
        np.where(held, far / (far + base.frames), base.local),
    )


def _at(held: npt.NDArray[Held], slots: Ints, place: Ints) -> npt.NDArray[Held]:
    """`held[slots, place]`, several times as fast."""
    flat = held.reshape(-1, *held.shape[2:])
    taken: npt.NDArray[Held] = np.take(flat, slots * held.shape[1] + place, axis=0)
    return taken


def _restarted(motion: Floats, values: Floats, restart: Bools) -> Floats:
    """`motion`, which is changed in place, with the fast level begun again where it must."""
    fast = motion[FAST]
    np.copyto(fast, values, where=restart | ~np.isfinite(fast))
    return motion
